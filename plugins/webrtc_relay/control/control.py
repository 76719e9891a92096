"""The entrance of the control plane: which message is for whom, and how it is answered (RFC 8656 §5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control import peering
from rainbow_xmpp.plugins.webrtc_relay.control.allocate import allocate, refresh
from rainbow_xmpp.plugins.webrtc_relay.control.allocations import Allocation, Allocations
from rainbow_xmpp.plugins.webrtc_relay.control.authentication import Authentication, Signer
from rainbow_xmpp.plugins.webrtc_relay.control.faces import DataPlane, FiveTuple, Reports
from rainbow_xmpp.plugins.webrtc_relay.control.quotas import Strangers
from rainbow_xmpp.plugins.webrtc_relay.control.refusal import REASONS, Refusal
from rainbow_xmpp.plugins.webrtc_relay.control.settings import Settings
from rainbow_xmpp.plugins.webrtc_relay.credentials import company_part
from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy
from rainbow_xmpp.plugins.webrtc_relay.stun import Attribute

REQUESTS = frozenset({stun.BINDING, stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, stun.CHANNEL_BIND})
UNDERSTOOD = frozenset(
    {
        stun.MAPPED_ADDRESS,
        stun.USERNAME,
        stun.ERROR_CODE,
        stun.UNKNOWN_ATTRIBUTES,
        stun.CHANNEL_NUMBER,
        stun.LIFETIME,
        stun.XOR_PEER_ADDRESS,
        stun.DATA,
        stun.REALM,
        stun.NONCE,
        stun.XOR_RELAYED_ADDRESS,
        stun.REQUESTED_ADDRESS_FAMILY,
        stun.EVEN_PORT,
        stun.REQUESTED_TRANSPORT,
        stun.PASSWORD_ALGORITHM,
        stun.USERHASH,
        stun.XOR_MAPPED_ADDRESS,
        stun.RESERVATION_TOKEN,
    }
)
"""Comprehension-required attributes. DONT-FRAGMENT is not among them: nobody sets that bit for one packet here."""
UNDERSTOOD_IN_ALLOCATE = UNDERSTOOD | {stun.DONT_FRAGMENT}
"""Refused there too, in its turn (RFC 8656 §7.2 point 4)."""


class Control:
    """Decides what every STUN message means. One of them serves all clients of one process."""

    def __init__(
        self,
        settings: Settings,
        policy: PeerPolicy,
        secrets: Sequence[bytes],
        data_plane: DataPlane,
        reports: Reports,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` is the clock that credentials end by; everything else is measured by the `now` of `handle`."""
        self._authentication = Authentication(settings.realm, secrets, settings.nonce_lifetime_s)
        self._allocations = Allocations(settings, policy, data_plane, reports)
        self._strangers = Strangers()
        self._reports = reports
        self._wall = wall
        self._draining = False

    def handle(self, data: bytes, five_tuple: FiveTuple, now: float) -> bytes | None:
        """What to answer to this datagram or frame, if anything. `now` is monotonic, in seconds."""
        try:
            message = stun.decode(data)
        except stun.NotStun:
            return None
        if message.cls == stun.INDICATION:
            if message.method == stun.SEND:
                self._send(message, five_tuple, now)
            return None
        if message.cls != stun.REQUEST or message.method not in REQUESTS:
            return None
        if message.method == stun.BINDING:
            return self._bind(message, five_tuple, now)
        if not message.has_integrity():
            return self._challenge(message, five_tuple, now)
        signer = None
        try:
            signer = self._authentication.check(message, five_tuple, now)
            attributes = self._answer(message, five_tuple, signer, now)
        except Refusal as refusal:
            return self._refuse(message, refusal, signer, five_tuple, now)
        return stun.encode(
            message.method,
            stun.SUCCESS,
            message.transaction,
            attributes,
            key=signer.key,
            sha256=signer.sha256,
            fingerprint=message.fingerprint,
        )

    def sweep(self, now: float) -> None:
        """Ends what has expired. To be called about once a second."""
        self._allocations.sweep(now)
        self._authentication.forget_revoked(self._wall())

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        """Does this client have an allocation? A stream without one is closed after a while."""
        return five_tuple in self._allocations.by_client

    def client_gone(self, five_tuple: FiveTuple, now: float) -> None:
        """Its connection has ended (TCP, TLS): so has its allocation."""
        allocation = self._allocations.by_client.get(five_tuple)
        if allocation is not None:
            self._allocations.end(allocation, now, "gone")

    def close_user(self, userid: str, revoked_until: float, now: float) -> int:
        """Ends the person's allocations; how many. Credentials that end by `revoked_until` (Unix seconds) are void.

        Name the latest end of a credential handed out so far: those handed out later, to somebody who may call
        again, end later and are good.
        """
        self._authentication.revoke(userid, revoked_until)
        return self._end_where(lambda each: each.userid == userid, now, "revoked")

    def close_company(self, company: str, revoked_until: float, now: float) -> int:
        """The same for everybody whose userid begins with `company` and `-`."""
        self._authentication.revoke(company, revoked_until)
        return self._end_where(lambda each: company_part(each.userid) == company, now, "revoked")

    def configure(self, settings: Settings, now: float) -> None:
        """Other settings, for what comes from now on. What lives keeps its ports and lifetimes."""
        self._authentication.configure(settings.realm, settings.nonce_lifetime_s)
        self._allocations.configure(settings)

    def set_secrets(self, secrets: Sequence[bytes]) -> None:
        """Credentials made with any of these are good; allocations that live go on while theirs are."""
        self._authentication.set_secrets(secrets)

    def set_policy(self, policy: PeerPolicy, now: float) -> None:
        """Another peer policy; permissions and channels that it denies end at once."""
        self._allocations.apply_policy(policy)

    def drain(self) -> None:
        """No new allocations from now on (508); what lives goes on."""
        self._draining = True

    def close_all(self, now: float) -> None:
        """Ends every allocation, with the reason `drained`."""
        self._end_where(lambda each: True, now, "drained")

    @property
    def allocations(self) -> int:
        """How many are alive."""
        return len(self._allocations.by_client)

    def _end_where(self, which: Callable[[Allocation], bool], now: float, reason: str) -> int:
        found = [each for each in self._allocations.by_client.values() if which(each)]
        for allocation in found:
            self._allocations.end(allocation, now, reason)
        return len(found)

    def _bind(self, message: stun.Message, five_tuple: FiveTuple, now: float) -> bytes | None:
        """Binding needs no credentials (RFC 8489 §7, RFC 8656 §5): its answer tells who asks his own address."""
        if not self._may_answer_stranger(five_tuple, now):
            return None
        unknown = message.unknown_required(UNDERSTOOD)
        attributes: list[Attribute]
        if unknown:
            cls, attributes = stun.ERROR, [stun.error_code(420), stun.unknown_attributes(unknown)]
        else:
            mapped = stun.xor_address(five_tuple.client, message.transaction)
            cls, attributes = stun.SUCCESS, [(stun.XOR_MAPPED_ADDRESS, mapped)]
        return stun.encode(
            message.method, cls, message.transaction, attributes, fingerprint=message.fingerprint
        )

    def _challenge(self, message: stun.Message, five_tuple: FiveTuple, now: float) -> bytes | None:
        """Not signed: 401 (RFC 8489 §9.2.4)."""
        self._reports.refused("unauthenticated")
        if not self._may_answer_stranger(five_tuple, now):
            return None
        body = self._authentication.first_challenge(five_tuple, now)
        return stun.framed(
            message.method, stun.ERROR, message.transaction, body, fingerprint=message.fingerprint
        )

    def _answer(
        self, message: stun.Message, five_tuple: FiveTuple, signer: Signer, now: float
    ) -> Sequence[Attribute]:
        allocations, wall, method = self._allocations, self._wall(), message.method
        grace_s = 0 if method == stun.ALLOCATE else allocations.settings.after_expiry_s
        if self._authentication.is_over(signer, wall, grace_s):
            raise self._authentication.challenge(401, five_tuple, now)
        unknown = message.unknown_required(UNDERSTOOD_IN_ALLOCATE if method == stun.ALLOCATE else UNDERSTOOD)
        if unknown:
            raise Refusal(420, "malformed", [stun.unknown_attributes(unknown)])
        allocation = allocations.by_client.get(five_tuple)
        if method == stun.ALLOCATE:
            if allocation is None and self._draining:
                raise Refusal(508, "capacity")
            return allocate(allocations, message, five_tuple, signer, now, wall)
        if allocation is None:
            raise Refusal(437, "mismatch")
        if allocation.userid != signer.userid:
            raise Refusal(441, "credentials")
        if method == stun.REFRESH:
            return refresh(allocations, allocation, message, signer, now, wall)
        if method == stun.CREATE_PERMISSION:
            peering.create_permission(allocations, allocation, message, now)
        else:
            peering.bind_channel(allocations, allocation, message, now)
        return ()

    def _send(self, message: stun.Message, five_tuple: FiveTuple, now: float) -> None:
        """An indication without allocation, or with what nobody understands, is ignored (§5; RFC 8489 §6.3.2)."""
        allocation = self._allocations.by_client.get(five_tuple)
        if allocation is None or message.unknown_required(UNDERSTOOD):
            return
        if not peering.send(self._allocations, allocation, message, now):
            self._reports.refused("send")

    def _refuse(
        self,
        message: stun.Message,
        refusal: Refusal,
        signer: Signer | None,
        five_tuple: FiveTuple,
        now: float,
    ) -> bytes | None:
        """An error response: signed for who is known, small and seldom for who is not."""
        self._reports.refused(refusal.kind)
        if refusal.stranger and not self._may_answer_stranger(five_tuple, now):
            return None
        reason = "" if refusal.stranger else REASONS[refusal.code]
        signed = signer is not None and not refusal.stranger
        return stun.encode(
            message.method,
            stun.ERROR,
            message.transaction,
            [stun.error_code(refusal.code, reason), *refusal.attributes],
            key=signer.key if signer is not None and signed else None,
            sha256=signer is not None and signer.sha256,
            fingerprint=message.fingerprint,
        )

    def _may_answer_stranger(self, five_tuple: FiveTuple, now: float) -> bool:
        most = self._allocations.settings.limits.unauthenticated_per_second
        if self._strangers.may_be_answered(five_tuple.client[0], now, most):
            return True
        self._reports.refused("rate")
        return False
