"""A probe over direct TLS (XEP-0368), with slixmpp: a client that people use."""

import asyncio
import logging
import secrets
from typing import Any

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from rainbow_xmpp.cli.probe_course import Course, Target, why_unreachable

STREAM = "http://etherx.jabber.org/streams"


async def walk(target: Target, course: Course) -> None:
    """All steps of the course. Raises ProbeFailed."""
    logging.getLogger("slixmpp").addHandler(logging.NullHandler())
    logging.getLogger("slixmpp").propagate = False
    client = _Client(target, course)
    client.connect(target.host, target.port)
    try:
        await client.finished
    finally:
        client.cancel_connection_attempt()
        if client.transport is not None:
            await client.disconnect(wait=1)


class _Client(slixmpp.ClientXMPP):
    """Notes each step; `finished` ends when the message came back, or with ProbeFailed."""

    def __init__(self, target: Target, course: Course) -> None:
        # The account is told to the server by `credentials`; the JID it has is learned when binding.
        super().__init__(f"probe@{target.domain}/probe", target.password)
        self.credentials["username"] = target.user
        self._target = target
        self._course = course
        self._body = secrets.token_hex(8)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.enable_starttls = False
        target.trust.set_alpn_protocols(["xmpp-client"])
        self.ssl_context = target.trust
        self.register_handler(
            Callback("Features seen", MatchXPath(f"{{{STREAM}}}features"), self._features, once=True)
        )
        self.add_event_handler("tls_success", self._connected)
        self.add_event_handler("auth_success", self._authenticated)
        self.add_event_handler("session_bind", self._bound)
        self.add_event_handler("message", self._message)
        self.add_event_handler("connection_failed", self._unreachable)
        self.add_event_handler("failed_auth", self._refused)
        self.add_event_handler("no_auth", self._refused)
        self.add_event_handler(
            "stream_error", lambda error: self._fail(f"stream error: {error['condition']}")
        )
        self.add_event_handler("disconnected", lambda _: self._fail("the server closed the connection"))

    def _connected(self, _: object) -> None:
        assert self.transport is not None
        version = self.transport.get_extra_info("ssl_object").version()
        self._course.done(f"{version}, direct TLS")

    def _features(self, _: object) -> None:
        self._course.done()

    def _authenticated(self, _: object) -> None:
        mechanism = self["feature_mechanisms"].mech
        self._course.done(mechanism.name)

    def _bound(self, jid: slixmpp.JID) -> None:
        self._course.jid = str(jid)
        self._course.done()
        message = self.make_message(mto=jid, mbody=self._body, mtype="chat")
        message["id"] = "probe"
        for hint in ("no-store", "no-copy"):  # XEP-0334
            message.append(slixmpp.xmlstream.ET.Element(f"{{urn:xmpp:hints}}{hint}"))
        message.send()

    def _message(self, message: Any) -> None:
        if message["id"] != "probe" or self.finished.done():
            return
        if message["type"] == "error" or message["body"] != self._body:
            self._fail(f"it did not come back: {message['error']['condition']}")
        else:
            self._course.done()
            self.finished.set_result(None)

    def _unreachable(self, error: object) -> None:
        self._fail(why_unreachable(self._target, error) if isinstance(error, Exception) else str(error))

    def _refused(self, failure: Any) -> None:
        condition = failure["condition"] if failure else "it offers no way to log in that slixmpp accepts"
        if condition == "not-authorized":
            self._fail("the server does not accept this user and password")
        else:
            self._fail(f"the server refuses: {condition}")

    def _fail(self, reason: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(self._course.failed(reason))
