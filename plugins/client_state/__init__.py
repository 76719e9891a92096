"""Clients that nobody looks at are left in peace (XEP-0352)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rainbow_xmpp.plugin import (
    BecameActive,
    ClientActivity,
    Element,
    Newcomer,
    Plugin,
    PluginOptions,
    Services,
    Session,
    SessionEnded,
    every,
    on,
    on_nonza,
    option,
    with_binding,
)
from rainbow_xmpp.plugins.client_state.quiet import Bounds, Quiet
from rainbow_xmpp.xml import names

_ACTIVE, _INACTIVE = f"{{{names.CSI}}}active", f"{{{names.CSI}}}inactive"
_LOOK_EVERY_S = 15


class ClientState(Plugin, ClientActivity, name="client_state", implements={"XEP-0352": "1.0.0"}):
    """A client that says it is inactive gets presence, chat states and news of others' nodes in one go, later.

    Whatever matters goes out at once, with all that waits before it. Whether a client is active is told to nobody.
    """

    class Options(PluginOptions):
        wait_s: int = option(
            300,
            "Seconds after which an inactive client gets what waits for it, if nothing important comes before.",
            ge=15,
            le=86_400,
            reload="live",
        )
        max_stanzas: int = option(
            500,
            "Stanzas that wait for one inactive client; one more sends them all.",
            ge=1,
            le=10_000,
            reload="live",
        )
        max_bytes: int = option(
            131_072,
            "Bytes that wait for one inactive client; more send them all.",
            ge=1024,
            le=4_194_304,
            reload="live",
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._quiet: dict[Session, Quiet] = {}
        self._waiting: dict[Quiet, float] = {}
        """Since when something waits for whom; in this order."""
        self.bounds = _bounds(options)

    def reconfigured(self, before: PluginOptions) -> None:
        self.bounds = _bounds(self.options)
        for session, quiet in list(self._quiet.items()):
            if not self.options.serves(session.account):
                quiet.remove()

    async def stop(self) -> None:
        for quiet in list(self._quiet.values()):
            quiet.remove()

    def stream_features(self) -> bytes:
        """§4.1."""
        return f"<csi xmlns='{names.CSI}'/>".encode()

    @on_nonza(_INACTIVE)
    def inactive(self, session: Session, element: Element) -> None:
        """§4.2."""
        self._calm(session)

    @on_nonza(_ACTIVE)
    def active(self, session: Session, element: Element) -> None:
        """§4.2, §5.1: what waits is sent before anything that the client asks for next is answered."""
        quiet = self._quiet.get(session)
        if quiet is not None:
            quiet.remove()
            pending = self.services.tell(BecameActive(session))
            if pending is not None:
                self.services.spawn(pending)

    @with_binding(_INACTIVE, feature=names.CSI)
    async def begin_inactive(
        self, newcomer: Newcomer, requests: Sequence[Element]
    ) -> Callable[[Session], bytes] | None:
        """XEP-0386: a client that nobody looks at need not be active first."""
        return self._calm if requests else None

    @every(seconds=_LOOK_EVERY_S)
    async def send_what_waited(self) -> None:
        """Let nothing wait for too long."""
        since = self.services.now() - self.options.wait_s
        for quiet, began in list(self._waiting.items()):
            if began > since:
                return
            quiet.flush()

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        quiet = self._quiet.get(event.session)
        if quiet is not None:
            self.waits(quiet, False)
            self.over(event.session)

    def _calm(self, session: Session) -> bytes:
        if session not in self._quiet:
            session.wire = self._quiet[session] = Quiet(session, self)
            self.services.counters.sessions_inactive += 1
        return b""

    def is_inactive(self, session: Session) -> bool:
        return session in self._quiet

    # -- for `Quiet` (`Keeper`) ------------------------------------------------------------------------

    def waits(self, quiet: Quiet, is_waiting: bool) -> None:
        if is_waiting:
            self._waiting[quiet] = self.services.now()
        else:
            self._waiting.pop(quiet, None)

    def spared(self) -> None:
        self.services.counters.stanzas_spared += 1

    def over(self, session: Session) -> None:
        del self._quiet[session]
        self.services.counters.sessions_inactive -= 1


def _bounds(options: ClientState.Options) -> Bounds:
    return Bounds(options.max_stanzas, options.max_bytes)
