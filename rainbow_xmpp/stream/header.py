"""The header that opens a stream: what is wrong with it, and what it says (RFC 6120 §4.7, RFC 7395 §3.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.stream.outputs import Open
from rainbow_xmpp.xml import names

LANGUAGE = "en"
"""What the server's own words are written in, and so the default of every stream that it sends (§4.7.4)."""

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,4}").fullmatch  # RFC 5646, roughly
_VERSION = re.compile(r"0*([0-9]{1,9})\.[0-9]{1,9}|0*([0-9]{1,9})").fullmatch


@dataclass(frozen=True, slots=True)
class Header:
    """What a peer said when it opened its stream; nothing, before it has."""

    sender: str = ""
    """The bare JID that it claims; "" when it named none. Never to be trusted before it has logged in."""
    lang: str = LANGUAGE
    """The default language of what it sends (§4.7.4)."""


def judge_header(header: Open, open_ns: str, domain: str) -> Header:
    """Raise PeerViolation for a header that no stream of this server can begin with."""
    if header.name not in ("stream", "open") or header.ns != open_ns:
        raise PeerViolation(StreamCondition.INVALID_NAMESPACE, detail="stream header in a wrong namespace")
    if header.content_ns != names.CLIENT:
        raise PeerViolation(
            StreamCondition.INVALID_NAMESPACE, detail="content namespace is not jabber:client"
        )
    if _domain(header.attrs.get("to", "")) != domain:
        raise PeerViolation(StreamCondition.HOST_UNKNOWN, detail="stream is for another host")
    version = _VERSION(header.attrs.get("version", ""))
    if version is None or int(version[1] or version[2]) < 1:
        raise PeerViolation(StreamCondition.UNSUPPORTED_VERSION, detail="version 1.0 is needed")
    lang = header.attrs.get("xml:lang", "")
    return Header(_sender(header, domain), lang if _LANGUAGE_TAG(lang) else LANGUAGE)


def _domain(text: str) -> str:
    """A mere domain in the form that addresses have it; "" when it is none."""
    try:
        jid = JID.parse(text)
    except ValueError:
        return ""
    return jid.domain if str(jid) == jid.domain else ""


def claimed_sender(header: Open) -> str:
    """The bare JID that the peer claims, which our own header is addressed to (§4.7.2); "" for none, or no JID."""
    try:
        return str(JID.parse(header.attrs.get("from", "")).bare)
    except ValueError:
        return ""


def _sender(header: Open, domain: str) -> str:
    """As claimed, if it is of the domain that the peer speaks to (XEP-0388 §2.1)."""
    sender = claimed_sender(header)
    if header.attrs.get("from") and sender.rpartition("@")[2] != domain:
        raise PeerViolation(StreamCondition.INVALID_FROM, detail="`from` is no address of this domain")
    return sender
