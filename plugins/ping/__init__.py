"""Is the server still there? (XEP-0199)"""

from rainbow_xmpp.plugin import IqRequest, Plugin, on_iq

NS = "urn:xmpp:ping"


class Ping(Plugin, name="ping", implements={"XEP-0199": "2.0.1"}, features=(NS,), account_features=(NS,)):
    """Answers pings to the server and to one's own account.

    Pings between clients are theirs to answer; one to somebody's bare JID is refused like any request that
    nobody answers, whether that person exists or not.
    """

    @on_iq("get", f"{{{NS}}}ping", to=("server", "self"))
    def pong(self, request: IqRequest) -> None:
        """An empty result says it all."""
