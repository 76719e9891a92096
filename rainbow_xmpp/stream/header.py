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

_MAX_DOMAIN = 255
_MAX_JID = 3071  # RFC 7622 §3.1
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,4}").fullmatch  # RFC 5646, roughly
_VERSION = re.compile(r"0*([0-9]{1,9})\.[0-9]{1,9}|0*([0-9]{1,9})").fullmatch


@dataclass(frozen=True, slots=True)
class Header:
    """What a peer said when it opened its stream; nothing, before it has."""

    sender: str = ""
    """The bare JID that it claims; "" when it named none. Never to be trusted before it has logged in."""
    lang: str = LANGUAGE
    """The default language of what it sends (§4.7.4)."""


def claimed_sender(header: Open) -> str:
    """The bare JID that the peer claims, which our own header is addressed to (§4.7.2); "" for none, or no JID."""
    text = header.attrs.get("from", "")
    if not text or len(text) > _MAX_JID:
        return ""
    try:
        return str(JID.parse(text).bare)
    except ValueError:
        return ""


def judge_header(header: Open, open_ns: str, domain: str, sender: str) -> Header:
    """What the header says; `sender` is whom it claims. Raise PeerViolation for one that no stream here begins with."""
    if header.name not in ("stream", "open") or header.ns != open_ns:
        raise PeerViolation(StreamCondition.INVALID_NAMESPACE, detail="stream header in a wrong namespace")
    if header.content_ns != names.CLIENT:
        raise PeerViolation(
            StreamCondition.INVALID_NAMESPACE, detail="content namespace is not jabber:client"
        )
    if not _is_domain(header.attrs.get("to", ""), domain):
        raise PeerViolation(StreamCondition.HOST_UNKNOWN, detail="stream is for another host")
    version = _VERSION(header.attrs.get("version", ""))
    if version is None or int(version[1] or version[2]) < 1:
        raise PeerViolation(StreamCondition.UNSUPPORTED_VERSION, detail="version 1.0 is needed")
    if header.attrs.get("from") and sender.rpartition("@")[2] != domain:
        # XEP-0388 §2.1: whoever speaks to this domain is of this domain.
        raise PeerViolation(StreamCondition.INVALID_FROM, detail="`from` is no address of this domain")
    lang = header.attrs.get("xml:lang", "")
    return Header(sender, lang if _LANGUAGE_TAG(lang) else LANGUAGE)


def _is_domain(text: str, domain: str) -> bool:
    """Whether this is a way to write our domain (RFC 7622 §3.2), without work for what is far from it."""
    if text == domain:
        return True
    if len(text) > _MAX_DOMAIN:
        return False
    try:
        return str(JID.parse(text)) == domain
    except ValueError:
        return False
