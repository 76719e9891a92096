"""The entrance of the control plane."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control.faces import DataPlane, FiveTuple, Reports
from rainbow_xmpp.plugins.webrtc_relay.control.settings import Settings
from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy

REQUESTS = frozenset({stun.BINDING, stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, stun.CHANNEL_BIND})


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
        self._settings = settings
        self._policy = policy
        self._secrets = tuple(secrets)
        self._data_plane = data_plane
        self._reports = reports
        self._wall = wall

    def handle(self, data: bytes, five_tuple: FiveTuple, now: float) -> bytes | None:
        """What to answer to this datagram or frame, if anything. `now` is monotonic, in seconds."""
        try:
            message = stun.decode(data)
        except stun.NotStun:
            return None
        if message.cls != stun.REQUEST or message.method != stun.BINDING:
            return None
        mapped = stun.xor_address(five_tuple.client, message.transaction)
        return stun.encode(
            message.method,
            stun.SUCCESS,
            message.transaction,
            [(stun.XOR_MAPPED_ADDRESS, mapped)],
            fingerprint=message.fingerprint,
        )

    def sweep(self, now: float) -> None:
        """Ends what has expired. To be called about once a second."""

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        """Does this client have an allocation? A stream without one is closed after a while."""
        return False

    def client_gone(self, five_tuple: FiveTuple, now: float) -> None:
        """Its connection has ended (TCP, TLS): so has its allocation."""

    def close_user(self, userid: str, revoked_until: float, now: float) -> int:
        """Ends the person's allocations; how many. Credentials that end by `revoked_until` (Unix seconds) are void.

        Name the latest end of a credential handed out so far: those handed out later, to somebody who may call
        again, end later and are good.
        """
        return 0

    def close_company(self, company: str, revoked_until: float, now: float) -> int:
        """The same for everybody whose userid begins with `company` and `-`."""
        return 0

    def configure(self, settings: Settings, now: float) -> None:
        """Other settings, for what comes from now on. What lives keeps its ports and lifetimes."""
        self._settings = settings

    def set_secrets(self, secrets: Sequence[bytes]) -> None:
        """Credentials made with any of these are good; allocations that live go on."""
        self._secrets = tuple(secrets)

    def set_policy(self, policy: PeerPolicy, now: float) -> None:
        """Another peer policy; permissions and channels that it denies end at once."""
        self._policy = policy

    def drain(self) -> None:
        """No new allocations from now on (508); what lives goes on."""

    def close_all(self, now: float) -> None:
        """Ends every allocation, with the reason `drained`."""

    @property
    def allocations(self) -> int:
        """How many are alive."""
        return 0
