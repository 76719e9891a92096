"""One SASL negotiation, from `<auth/>` to its outcome, whatever the mechanism (RFC 6120 §6.4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rainbow_xmpp.sasl import bearer
from rainbow_xmpp.sasl.downgrade import offer_hash
from rainbow_xmpp.sasl.scram import Keys, OtherKeys, ScramError, ScramServer

SCRAM_HASHES: Mapping[str, str] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""The hash function of each SCRAM mechanism, strongest first."""

_MAX_BASE64 = 4096


class FailureCondition(StrEnum):
    """Defined conditions of `<failure/>` (RFC 6120 §6.5)."""

    ABORTED = "aborted"
    ACCOUNT_DISABLED = "account-disabled"
    CREDENTIALS_EXPIRED = "credentials-expired"
    ENCRYPTION_REQUIRED = "encryption-required"
    INCORRECT_ENCODING = "incorrect-encoding"
    INVALID_AUTHZID = "invalid-authzid"
    INVALID_MECHANISM = "invalid-mechanism"
    MALFORMED_REQUEST = "malformed-request"
    MECHANISM_TOO_WEAK = "mechanism-too-weak"
    NOT_AUTHORIZED = "not-authorized"
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure"


@dataclass(frozen=True, slots=True)
class FindKeys:
    """Find the SCRAM keys of this login name for this hash, then call `found`."""

    name: str
    authzid: str
    hash_name: str


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Check this password (slow: PBKDF2), then call `checked`."""

    name: str
    authzid: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckToken:
    """See whose token this is, then call `checked`."""

    authzid: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    data: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt is over; `detail` is for the log only."""

    condition: FailureCondition
    detail: str = ""


Step = FindKeys | CheckPassword | CheckToken | Challenge | Success | Failure


@dataclass(frozen=True, slots=True)
class Offer:
    """The mechanisms of one connection, and what channels can be bound on it (XEP-0440)."""

    mechanisms: tuple[str, ...]
    bindings: Mapping[str, bytes]
    taken: frozenset[str] | None = None
    """Of the mechanisms, those that may be used, where another server offered them; None = all."""

    def takes(self, mechanism: str) -> bool:
        """A client may log in with this."""
        return mechanism in self.mechanisms and (self.taken is None or mechanism in self.taken)

    @classmethod
    def of(cls, allowed: Sequence[str], bindings: Mapping[str, bytes]) -> Offer:
        """Of the configured mechanisms, those this connection can do: no -PLUS without a channel to bind."""
        usable = tuple(m for m in allowed if bindings or not m.endswith("-PLUS"))
        return cls(usable, bindings)

    @property
    def has_plus(self) -> bool:
        return any(m.endswith("-PLUS") for m in self.mechanisms)

    @property
    def announced_bindings(self) -> tuple[str, ...]:
        """The channel-binding types that clients are told of; none where no mechanism takes them."""
        return tuple(self.bindings) if self.has_plus else ()


class Exchange:
    """One attempt. Each call returns the next step; after `Success` or `Failure` it must not be used again."""

    def __init__(self, offer: Offer, mechanism: str, nonce: str) -> None:
        self._offer = offer
        self.mechanism = mechanism
        self._scram: ScramServer | None = None
        self._waits_for_first = True
        self._is_refused = False
        self._may_act = True
        base, plus = (mechanism.removesuffix("-PLUS"), mechanism.endswith("-PLUS"))
        if base in SCRAM_HASHES:
            self._scram = ScramServer(
                SCRAM_HASHES[base],
                nonce,
                offered=offer_hash(offer.mechanisms, offer.announced_bindings, SCRAM_HASHES[base]),
                plus=plus,
                plus_was_offered=offer.has_plus,
                bindings=offer.bindings,
            )
        self._hash_name = SCRAM_HASHES.get(base, "")

    def start(self, text: str | None) -> Step:
        """The `<auth/>` element's text; no text means that the client waits for an empty challenge."""
        if not self._offer.takes(self.mechanism):
            return Failure(FailureCondition.INVALID_MECHANISM, f"{self.mechanism[:40]!r} is not offered")
        if not text:
            return Challenge(b"")
        return self.respond(text)

    def respond(self, text: str) -> Step:
        """The text of `<response/>` (or of `<auth/>` with an initial response)."""
        try:
            data = decode(text)
        except ValueError:
            return Failure(FailureCondition.INCORRECT_ENCODING, "base64 expected")
        try:
            if self.mechanism == bearer.OAUTHBEARER:
                return self._bearer(data)
            return self._plain(data) if self._scram is None else self._scram_step(self._scram, data)
        except ScramError as error:
            wrong = FailureCondition.MALFORMED_REQUEST if error.malformed else FailureCondition.NOT_AUTHORIZED
            return Failure(wrong, str(error))

    def found(
        self, keys: Keys, others: Sequence[OtherKeys] = (), *, may_act: bool = True, refusal: str = ""
    ) -> Step:
        """The keys that `FindKeys` asked for (those of a made-up account where there is none).

        Whoever may not act as the authzid hears of it after the proof: before, the answer would tell
        anybody which accounts there are. `others` and `refusal` as for `ScramServer.challenge`.
        """
        assert self._scram is not None
        self._may_act = may_act
        return Challenge(self._scram.challenge(keys, others, refusal=refusal))

    @property
    def proven(self) -> str:
        """Which of the `others` the client knows; "" for the account's own password."""
        return "" if self._scram is None else self._scram.proven

    def checked(self, is_right: bool) -> Step:
        """The answer to `CheckPassword` or `CheckToken`."""
        if is_right:
            return Success(b"")
        if self.mechanism == bearer.OAUTHBEARER:
            self._is_refused = True
            return Challenge(bearer.REFUSED)
        return Failure(FailureCondition.NOT_AUTHORIZED, "wrong password")

    def _scram_step(self, scram: ScramServer, data: bytes) -> Step:
        if not self._waits_for_first:
            proven = scram.final(data)
            return Success(proven) if self._may_act else Failure(FailureCondition.INVALID_AUTHZID)
        client = scram.first(data)
        self._waits_for_first = False
        return FindKeys(client.username, client.authzid, self._hash_name)

    def _bearer(self, data: bytes) -> Step:
        if self._is_refused:  # whatever the client says to that (RFC 7628 §3.2.3)
            return Failure(FailureCondition.NOT_AUTHORIZED, "a token that is worth nothing")
        try:
            message = bearer.read(data)
        except ValueError as error:
            return Failure(FailureCondition.MALFORMED_REQUEST, str(error))
        return CheckToken(message.authzid, message.token)

    def _plain(self, data: bytes) -> Step:
        """RFC 4616: authzid NUL authcid NUL password."""
        try:
            authzid, name, password = data.decode().split("\0")
        except ValueError:
            return Failure(FailureCondition.MALFORMED_REQUEST, "PLAIN message expected")
        if not name or not password:
            return Failure(FailureCondition.MALFORMED_REQUEST, "PLAIN with an empty name or password")
        return CheckPassword(name, authzid, password)


def decode(text: str) -> bytes:
    """Base64 as RFC 6120 §6.4.2 wants it; ValueError when it is not."""
    if len(text) > _MAX_BASE64:
        raise ValueError("too long")
    if text == "=":
        return b""  # what is there and empty
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def login_names(name: str, domain: str) -> tuple[str, ...]:
    """What a person typed, as keys of an account in the order to try: localparts and e-mail addresses.

    Accepts `alice`, `alice@<domain>` (her JID, or else her address), `alice@acme.example` (her address) and,
    for clients that insist on a localpart, the address escaped by XEP-0106: `alice\\40acme.example`.
    """
    name = name.replace("\\40", "@").lower().strip()
    local, at, host = name.rpartition("@")
    return (local, name) if at and local and host == domain else (name,)
