"""External Service Discovery (XEP-0215): what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rainbow_xmpp.plugin import Condition, Element, Payload, StanzaError, attr, children, time_of
from rainbow_xmpp.plugins.webrtc_relay.addresses import RelayAddress
from rainbow_xmpp.plugins.webrtc_relay.desk import Grant

NS = "urn:xmpp:extdisco:2"
_SERVICES = f"{{{NS}}}services"
_SERVICE = f"{{{NS}}}service"
_CREDENTIALS = f"{{{NS}}}credentials"


class AskedServices(Payload, ns=NS, tag="services"):
    """§3.1, §3.2: all services, or those of one type."""

    type: str = attr(default="", max_len=64)


class NamedService(Payload, ns=NS, tag="service"):
    """§3.3: which service credentials are for."""

    host: str = attr(max_len=255)
    type: str = attr(max_len=64)
    port: int | None = attr(default=None, ge=0, le=65535)

    def is_at(self, address: RelayAddress) -> bool:
        return (
            self.host.lower() == address.host
            and self.type == address.kind
            and self.port in (None, address.port)
        )


class AskedCredentials(Payload, ns=NS, tag="credentials"):
    """§3.3."""

    service: tuple[NamedService, ...] = children(le=1)

    def among(self, addresses: Iterable[RelayAddress]) -> list[RelayAddress]:
        """The services that are meant, of those that take credentials. Raises StanzaError."""
        found = [each for each in addresses if each.needs_credentials and self.service[0].is_at(each)]
        if not found:
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        return found


def listed(addresses: Iterable[RelayAddress], type_: str, grant: Grant | None) -> Element:
    """The services of a type, or all; `restricted` and without credentials where none can be given (§3.1)."""
    answer = _services(type_)
    answer.extend(_service(each, grant) for each in addresses if type_ in ("", each.kind))
    return answer


def changed(
    before: Sequence[RelayAddress], after: Sequence[RelayAddress], type_: str, grant: Grant | None
) -> Element:
    """A push: what is new, what has other credentials, and what is no more (§3.2)."""
    push = _services(type_)
    for each in after:
        if type_ in ("", each.kind):
            push.append(_service(each, grant, "modify" if each in before else "add"))
    for each in before:
        if type_ in ("", each.kind) and each not in after:
            push.append(_service(each, None, "delete"))
    return push


def with_credentials(addresses: Iterable[RelayAddress], grant: Grant) -> Element:
    """The answer to a request for credentials."""
    answer = Element(_CREDENTIALS)
    answer.extend(_service(each, grant) for each in addresses)
    return answer


def _services(type_: str) -> Element:
    return Element(_SERVICES, {"type": type_} if type_ else {})


def _service(address: RelayAddress, grant: Grant | None, action: str = "") -> Element:
    said = {
        "type": address.kind,
        "host": address.host,
        "port": str(address.port),
        "transport": address.transport,
    }
    if action:
        said["action"] = action
    if address.needs_credentials:
        said["restricted"] = "true"
        if grant is not None:
            said["username"] = grant.credential.username
            said["password"] = grant.credential.password
            said["expires"] = time_of(grant.expires_at)
    return Element(_SERVICE, said)
