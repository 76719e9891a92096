"""Is the server still there? (XEP-0199)"""

from rainbow_xmpp.plugin import Context, Payload, Plugin, on_iq
from rainbow_xmpp.xml import names


class PingPayload(Payload, ns=names.PING, tag="ping"):
    """`<ping/>`: an answer is all that is asked for."""


class Ping(
    Plugin,
    name="ping",
    implements={"XEP-0199": "2.0.1"},
    features=(names.PING,),
    account_features=(names.PING,),
):
    """Answers pings to the server and to one's own account.

    Pings between clients are theirs to answer; one to somebody's bare JID is refused like any request that
    nobody answers, whether that person exists or not.
    """

    @on_iq("get", PingPayload, to=("server", "self"))
    def pong(self, ctx: Context, ping: PingPayload) -> None:
        """An empty result says it all."""
