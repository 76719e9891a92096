"""A probe over the WebSocket (RFC 7395): a small client of its own, so that every step can be timed."""

import base64
import secrets
import ssl
from xml.sax.saxutils import quoteattr

import aiohttp

from rainbow_xmpp.cli.probe_course import Course, Target, why_unreachable
from rainbow_xmpp.cli.probe_scram import HASHES, ScramClient, ScramRefused
from rainbow_xmpp.xml import Element, parse

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
STREAM = "http://etherx.jabber.org/streams"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
CLIENT = "jabber:client"
_ERROR_NAMESPACES = ("xmpp-stanzas", "xmpp-streams", "xmpp-sasl")


async def walk(target: Target, course: Course) -> None:
    """All steps of the course. Raises ProbeFailed."""
    async with aiohttp.ClientSession() as session:
        try:
            socket = await session.ws_connect(target.url, protocols=("xmpp",), ssl=target.trust)
        except aiohttp.WSServerHandshakeError as error:
            raise course.failed(f"{target.url} answers {error.status}, not as a WebSocket") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise course.failed(why_unreachable(target, error.certificate_error)) from None
        except aiohttp.ClientConnectorError as error:
            raise course.failed(why_unreachable(target, error.os_error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise course.failed(why_unreachable(target, error)) from None
        if socket.protocol != "xmpp":
            await socket.close()
            raise course.failed(f"{target.url} is a WebSocket, but does not speak XMPP")
        tls = socket.get_extra_info("ssl_object")
        course.done(f"{tls.version()}, WebSocket" if isinstance(tls, ssl.SSLObject) else "WebSocket")
        async with socket:
            await _Walk(socket, target, course).rest()


class _Walk:
    """One stream, from its opening to a message that came back."""

    def __init__(
        self, socket: "aiohttp.ClientWebSocketResponse[bool]", target: Target, course: Course
    ) -> None:
        self._socket = socket
        self._target = target
        self._course = course

    async def rest(self) -> None:
        features = await self._open()
        self._course.done()
        await self._log_in(features)
        await self._open()
        await self._bind()
        await self._message()
        await self._send(f"<close xmlns='{FRAMING}'/>")

    async def _open(self) -> Element:
        """Open the stream, or open it again; its features."""
        await self._send(f"<open xmlns='{FRAMING}' to={quoteattr(self._target.domain)} version='1.0'/>")
        await self._receive(f"{{{FRAMING}}}open")
        return await self._receive(f"{{{STREAM}}}features")

    async def _log_in(self, features: Element) -> None:
        offered = {each.text for each in features.iter(f"{{{SASL}}}mechanism")}
        mechanism = next((each for each in HASHES if each in offered), None)
        if mechanism is None:
            raise self._course.failed(
                f"the server offers no SCRAM that needs no channel binding: {sorted(map(str, offered))}"
            )
        scram = ScramClient(mechanism, self._target.user, self._target.password)
        await self._send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{_base64(scram.first())}</auth>")
        challenge = await self._receive(f"{{{SASL}}}challenge")
        try:
            await self._send(
                f"<response xmlns='{SASL}'>{_base64(scram.final(_decoded(challenge)))}</response>"
            )
            scram.check(_decoded(await self._receive(f"{{{SASL}}}success")))
        except ScramRefused as refused:
            raise self._course.failed(str(refused)) from None
        self._course.done(mechanism)

    async def _bind(self) -> None:
        await self._send(
            f"<iq xmlns='{CLIENT}' id='bind' type='set'>"
            f"<bind xmlns='{BIND}'><resource>probe</resource></bind></iq>"
        )
        answer = await self._receive(f"{{{CLIENT}}}iq")
        jid = answer.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid")
        if not jid:
            raise self._course.failed(f"no address was given: {_condition(answer)}")
        self._course.jid = jid
        self._course.done()

    async def _message(self) -> None:
        """Hints of XEP-0334 keep the message out of archives and from the person's other devices."""
        body = secrets.token_hex(8)
        hints = "<no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/>"
        to = quoteattr(self._course.jid)
        await self._send(
            f"<message xmlns='{CLIENT}' to={to} type='chat' id='probe'><body>{body}</body>{hints}</message>"
        )
        answer = await self._receive(f"{{{CLIENT}}}message", id="probe")
        if answer.findtext(f"{{{CLIENT}}}body") != body or answer.get("type") == "error":
            raise self._course.failed(f"it did not come back: {_condition(answer)}")
        self._course.done()

    async def _send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def _receive(self, tag: str, **attributes: str) -> Element:
        """The next element with this tag; what else the server sends is passed over, errors are not."""
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise self._course.failed("the server closed the connection")
            found = parse(message.data.encode())
            if found.tag == tag and attributes.items() <= found.attrib.items():
                return found
            if found.tag == f"{{{SASL}}}failure":
                raise self._course.failed(_login_refusal(found))
            if found.tag in (f"{{{STREAM}}}error", f"{{{FRAMING}}}close"):
                raise self._course.failed(f"the server ended the stream: {_condition(found)}")


def _login_refusal(failure: Element) -> str:
    condition = _condition(failure)
    if condition == "not-authorized":
        return "the server does not accept this user and password"
    return f"the server refuses: {condition}"


def _condition(element: Element) -> str:
    """The first condition in an error, in the RFC's words."""
    for child in element.iter():
        namespace, _, name = str(child.tag).rpartition("}")
        if namespace.endswith(("xmpp-stanzas", "xmpp-streams", "xmpp-sasl")) and name not in (
            "failure",
            "text",
        ):
            return name
    return "no reason given"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(element: Element) -> bytes:
    return base64.b64decode(element.text or "")
