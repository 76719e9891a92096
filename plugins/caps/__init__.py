"""What the server and clients can do, in a hash (XEP-0115): the server's own is announced, clients' are verified."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    ClientFeatures,
    Context,
    DiscoInfo,
    FeaturesLearned,
    Payload,
    Plugin,
    PluginOptions,
    ServerInfo,
    Services,
    Session,
    SessionElsewhere,
    SessionEnded,
    SessionKept,
    StanzaError,
    attr,
    disco_info,
    on,
    on_presence,
    option,
)
from rainbow_xmpp.plugins.caps.clients import Claim, Clients
from rainbow_xmpp.plugins.caps.verification import ver_of
from rainbow_xmpp.xml import names, serialise

ANSWER_S = 10.0
"""How long a client may take to describe itself."""

MOST_CHARS = 500
"""Of each part of what a client announces."""


_NOTE = "caps"


class Capabilities(Payload, ns=names.CAPS, tag="c"):
    """`<c/>` in presence and in stream features (§4). What is wrong in it makes no presence wrong."""

    hash: str = attr(default="")
    node: str = attr(default="")
    ver: str = attr(default="")


class Caps(
    Plugin,
    ClientFeatures,
    name="caps",
    implements={"XEP-0115": "1.6.0"},
    features=(names.CAPS,),
):
    """Announces the server's capabilities, and tells other plugins what clients can do."""

    class Options(PluginOptions):
        descriptions: int = option(
            500,
            "Kinds of clients whose verified descriptions are remembered.",
            ge=10,
            le=100_000,
            reload="live",
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._node = f"https://{services.domain}"
        self._clients = Clients(self._ask, self._learned, services.spawn, options.descriptions)

    def reconfigured(self, before: PluginOptions) -> None:
        self._clients.most = self.options.descriptions

    # -- the server's own ------------------------------------------------------------------------------

    def stream_features(self) -> bytes:
        """§6.3. Nothing when what the server can do is not the same for everybody: no hash would fit."""
        info = self._own()
        return b"" if info is None else serialise(Capabilities("sha-1", self._node, ver_of(info)).to_xml())

    @disco_info(node=None)
    def describe(self, ctx: Context, node: str) -> DiscoInfo | None:
        """What the announced hash stands for (§6.2)."""
        info = self._own()
        return info if info is not None and node == f"{self._node}#{ver_of(info)}" else None

    def _own(self) -> DiscoInfo | None:
        server = self.services.offered(ServerInfo)
        return None if server is None else server.info_for_all()

    # -- clients ---------------------------------------------------------------------------------------

    def features_of(self, session: Session) -> frozenset[str]:
        return self._clients.features_of(session)

    @on_presence(Capabilities, type="available")
    def announced(self, ctx: Context, caps: Capabilities) -> None:
        """A client says what it is, to everybody."""
        claim = Claim(caps.hash, caps.node, caps.ver)
        if ctx.session is not None and not ctx.to and caps.ver and max(map(len, claim)) <= MOST_CHARS:
            self._clients.announced(ctx.session, claim)

    @on(SessionEnded)
    def forget(self, event: SessionEnded) -> None:
        self._clients.forget(event.session)

    @on(SessionKept)
    def note(self, event: SessionKept) -> None:
        """Other nodes notify this client of what it wants (XEP-0163 §4.3)."""
        if features := self.features_of(event.session):
            event.notes[_NOTE] = "\n".join(sorted(features)).encode()

    @on(SessionElsewhere)
    def mirror(self, event: SessionElsewhere) -> None:
        """Its own node has asked it."""
        if noted := event.notes.get(_NOTE):
            self._clients.told(event.session, frozenset(noted.decode().split("\n")))

    async def _ask(self, session: Session, claim: Claim) -> DiscoInfo | None:
        """The client's answer (§6.2), or None."""
        question = DiscoInfo(node=f"{claim.node}#{claim.ver}")
        try:
            answer = await self.services.ask(session, question, timeout_s=ANSWER_S)
            return None if answer is None else DiscoInfo.from_xml(answer)
        except StanzaError:
            return None

    def _learned(self, session: Session, features: frozenset[str]) -> None:
        self.services.sessions.watch.changed(session)
        pending = self.services.tell(FeaturesLearned(session, features))
        if pending is not None:
            self.services.spawn(pending)
