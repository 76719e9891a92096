"""The elements of both SASL profiles: RFC 6120 §6.4 and XEP-0388, which differ in names more than in meaning."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.xml import Element, View, escape, names

NAMESPACES = (names.SASL, names.SASL2)

_MAX_AGENT_TEXT = 128
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What a client says of itself (XEP-0388 §2.3). Nobody but the account's own user may learn it."""

    id: str = ""
    """Names this installation of the client: a UUID, lower case. "" when it gave none, or one that is none."""
    software: str = ""
    device: str = ""


NO_AGENT = UserAgent()


@dataclass(frozen=True, slots=True)
class Begin:
    """`<auth/>` or `<authenticate/>`."""

    ns: str
    mechanism: str
    initial: str | None
    """The initial response as it was written; None when there is none."""
    agent: UserAgent = NO_AGENT
    inline: tuple[Element, ...] = ()
    """What else is asked for: elements of other namespaces (XEP-0388 §2.3)."""


@dataclass(frozen=True, slots=True)
class Respond:
    text: str


@dataclass(frozen=True, slots=True)
class Abort:
    pass


@dataclass(frozen=True, slots=True)
class Next:
    """The client chooses a task (XEP-0388 §2.6.3)."""

    task: str
    payload: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """`<task-data/>`."""

    payload: tuple[Element, ...]


SaslElement = Begin | Respond | Abort | Next | Data


def read(view: View) -> SaslElement:
    """A top-level element of either namespace. Raise PeerViolation for one that no client sends."""
    match view.name:
        case "auth" if view.ns == names.SASL:
            return Begin(view.ns, view.attrs.get("mechanism", ""), view.text or None)
        case "authenticate" if view.ns == names.SASL2:
            return _authenticate(view)
        case "response":
            return Respond(view.text)
        case "abort":
            return Abort()
        case "next" if view.ns == names.SASL2:
            return Next(view.attrs.get("task", ""), _foreign(view))
        case "task-data" if view.ns == names.SASL2:
            return Data(_foreign(view))
    raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail=f"SASL {view.name[:20]} from a client")


def _authenticate(view: View) -> Begin:
    initial = view.text_of("initial-response")
    if initial is not None and not initial.strip():
        initial = "="  # as classic SASL writes a response that is there and empty (XEP-0388 §2.2)
    agent = view.child("user-agent")
    return Begin(
        view.ns,
        view.attrs.get("mechanism", ""),
        initial,
        NO_AGENT if agent is None else _agent(view.child_element(agent)),
        _foreign(view),
    )


def _agent(element: Element) -> UserAgent:
    found = element.get("id", "")
    return UserAgent(
        found.lower() if _UUID4.fullmatch(found) else "",
        (element.findtext(f"{{{names.SASL2}}}software") or "").strip()[:_MAX_AGENT_TEXT],
        (element.findtext(f"{{{names.SASL2}}}device") or "").strip()[:_MAX_AGENT_TEXT],
    )


def _foreign(view: View) -> tuple[Element, ...]:
    """The children that other specifications define."""
    return tuple(view.child_element(child) for child in view.children if child.ns != view.ns)


# -- what the server says ------------------------------------------------------------------------------


def challenge(ns: str, data: bytes) -> bytes:
    """`<challenge/>`, the same in both profiles."""
    return _with_data("challenge", data, ns)


def classic_success(data: bytes) -> bytes:
    """`<success/>` of RFC 6120 §6.4.6."""
    return _with_data("success", data, names.SASL)


def success(jid: str, data: bytes, results: bytes) -> bytes:
    """`<success/>` of XEP-0388 §2.6.1: who one is now, and what became of what was asked for inline."""
    return (
        f"<success xmlns='{names.SASL2}'>".encode()
        + _additional(data)
        + f"<authorization-identifier>{escape(jid)}</authorization-identifier>".encode()
        + results
        + b"</success>"
    )


def continue_with(tasks: Iterable[str], data: bytes, text: str) -> bytes:
    """`<continue/>` (XEP-0388 §2.6.3)."""
    listed = "".join(f"<task>{escape(task)}</task>" for task in tasks)
    told = f"<text>{escape(text)}</text>" if text else ""
    return (
        f"<continue xmlns='{names.SASL2}'>".encode()
        + _additional(data)
        + f"<tasks>{listed}</tasks>{told}</continue>".encode()
    )


def task_data(payload: bytes) -> bytes:
    """`<task-data/>` around elements that declare their namespaces."""
    return f"<task-data xmlns='{names.SASL2}'>".encode() + payload + b"</task-data>"


def failure(ns: str, condition: FailureCondition, text: str = "") -> bytes:
    """`<failure/>` with a condition of RFC 6120 §6.5, which both profiles take."""
    own = "" if ns == names.SASL else f" xmlns='{names.SASL}'"
    language = " xml:lang='en'" if ns == names.SASL else ""
    told = f"<text{language}>{escape(text)}</text>" if text else ""
    return f"<failure xmlns='{ns}'><{condition}{own}/>{told}</failure>".encode()


def _additional(data: bytes) -> bytes:
    return b"<additional-data>%b</additional-data>" % base64.b64encode(data) if data else b""


def _with_data(name: str, data: bytes, ns: str) -> bytes:
    text = base64.b64encode(data).decode()
    return (f"<{name} xmlns='{ns}'>{text}</{name}>" if text else f"<{name} xmlns='{ns}'/>").encode()
