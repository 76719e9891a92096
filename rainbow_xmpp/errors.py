"""The three kinds of error, told apart by who must act.

`StanzaError`: the peer's stanza was wrong; it becomes a reply.
`PeerViolation`: the peer broke the stream; it closes it.
`LocalMisuse`: our own code was called wrongly; nobody catches it.
"""

from enum import StrEnum


class RainbowError(Exception):
    """The base of everything this package raises on purpose."""


class ErrorType(StrEnum):
    """What the sender may do about a stanza error (RFC 6120 §8.3.2)."""

    AUTH = "auth"
    CANCEL = "cancel"
    CONTINUE = "continue"
    MODIFY = "modify"
    WAIT = "wait"


class Condition(StrEnum):
    """Defined conditions of stanza errors (RFC 6120 §8.3.3)."""

    BAD_REQUEST = "bad-request"
    CONFLICT = "conflict"
    FEATURE_NOT_IMPLEMENTED = "feature-not-implemented"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    ITEM_NOT_FOUND = "item-not-found"
    JID_MALFORMED = "jid-malformed"
    NOT_ACCEPTABLE = "not-acceptable"
    NOT_ALLOWED = "not-allowed"
    NOT_AUTHORIZED = "not-authorized"
    POLICY_VIOLATION = "policy-violation"
    RECIPIENT_UNAVAILABLE = "recipient-unavailable"
    REDIRECT = "redirect"
    REGISTRATION_REQUIRED = "registration-required"
    REMOTE_SERVER_NOT_FOUND = "remote-server-not-found"
    REMOTE_SERVER_TIMEOUT = "remote-server-timeout"
    RESOURCE_CONSTRAINT = "resource-constraint"
    SERVICE_UNAVAILABLE = "service-unavailable"
    SUBSCRIPTION_REQUIRED = "subscription-required"
    UNDEFINED_CONDITION = "undefined-condition"
    UNEXPECTED_REQUEST = "unexpected-request"

    @property
    def usual_type(self) -> ErrorType:
        """The error type the RFC recommends for this condition."""
        return _USUAL_TYPES.get(self, ErrorType.CANCEL)


_USUAL_TYPES = {
    Condition.BAD_REQUEST: ErrorType.MODIFY,
    Condition.FORBIDDEN: ErrorType.AUTH,
    Condition.JID_MALFORMED: ErrorType.MODIFY,
    Condition.NOT_ACCEPTABLE: ErrorType.MODIFY,
    Condition.NOT_AUTHORIZED: ErrorType.AUTH,
    Condition.POLICY_VIOLATION: ErrorType.MODIFY,
    Condition.RECIPIENT_UNAVAILABLE: ErrorType.WAIT,
    Condition.REDIRECT: ErrorType.MODIFY,
    Condition.REGISTRATION_REQUIRED: ErrorType.AUTH,
    Condition.REMOTE_SERVER_TIMEOUT: ErrorType.WAIT,
    Condition.RESOURCE_CONSTRAINT: ErrorType.WAIT,
    Condition.SUBSCRIPTION_REQUIRED: ErrorType.AUTH,
    Condition.UNEXPECTED_REQUEST: ErrorType.WAIT,
}


class StreamCondition(StrEnum):
    """Defined conditions of stream errors (RFC 6120 §4.9.3)."""

    BAD_FORMAT = "bad-format"
    BAD_NAMESPACE_PREFIX = "bad-namespace-prefix"
    CONFLICT = "conflict"
    CONNECTION_TIMEOUT = "connection-timeout"
    HOST_GONE = "host-gone"
    HOST_UNKNOWN = "host-unknown"
    IMPROPER_ADDRESSING = "improper-addressing"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    INVALID_FROM = "invalid-from"
    INVALID_NAMESPACE = "invalid-namespace"
    INVALID_XML = "invalid-xml"
    NOT_AUTHORIZED = "not-authorized"
    NOT_WELL_FORMED = "not-well-formed"
    POLICY_VIOLATION = "policy-violation"
    REMOTE_CONNECTION_FAILED = "remote-connection-failed"
    RESET = "reset"
    RESOURCE_CONSTRAINT = "resource-constraint"
    RESTRICTED_XML = "restricted-xml"
    SEE_OTHER_HOST = "see-other-host"
    SYSTEM_SHUTDOWN = "system-shutdown"
    UNDEFINED_CONDITION = "undefined-condition"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    UNSUPPORTED_STANZA_TYPE = "unsupported-stanza-type"
    UNSUPPORTED_VERSION = "unsupported-version"


class StanzaError(RainbowError):
    """Becomes an <error/> reply; `detail` goes to the log and never to the peer."""

    def __init__(
        self,
        condition: Condition,
        text: str = "",
        *,
        type: ErrorType | None = None,
        specific: str = "",
        language: str = "en",
        feature: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(detail or text or condition)
        self.condition = condition
        self.text = text
        self.language = language
        """Of the text."""
        self.type = type or condition.usual_type
        self.specific = specific
        """An application's own condition beside the defined one, as `{namespace}name` (RFC 6120 §8.3.4)."""
        self.feature = feature
        """What of the application is not supported, as an attribute of its condition (XEP-0060 §3)."""
        self.about = b""
        """An element before the error, by which the sender knows what it is about (RFC 6120 §8.3.1)."""
        self.detail = detail


class PeerViolation(RainbowError):
    """Closes the peer's stream with this condition; `detail` goes to the log and never to the peer."""

    def __init__(
        self, condition: StreamCondition, text: str = "", *, specific: str = "", detail: str = ""
    ) -> None:
        super().__init__(detail or text or condition)
        self.condition = condition
        self.text = text
        self.specific = specific
        """An application's own condition beside the defined one, as `{namespace}name` (RFC 6120 §4.9.4)."""
        self.attributes: dict[str, str] = {}
        """The attributes of that."""
        self.detail = detail


class SeeOther(PeerViolation):
    """No fault of the peer's: it is sent to another server of the same service (RFC 6120 §4.9.3.19).

    Over TCP it reads `host` (a name or address with an optional port), on a WebSocket `websocket_uri`.
    """

    def __init__(self, host: str, websocket_uri: str) -> None:
        super().__init__(StreamCondition.SEE_OTHER_HOST)
        self.host = host
        self.websocket_uri = websocket_uri


class LocalMisuse(RainbowError):
    """Our own code was called wrongly; nobody catches this."""
