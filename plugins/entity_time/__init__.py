"""What time is it on the server? (XEP-0202)"""

from __future__ import annotations

from datetime import UTC, datetime

from rainbow_xmpp.plugin import Context, Payload, Plugin, child_text, on_iq
from rainbow_xmpp.xml import names


class Time(Payload, ns=names.TIME, tag="time"):
    """`<time/>`: empty when it is asked for."""

    tzo: str = child_text(default="")
    utc: datetime | None = child_text(default=None)


class EntityTime(Plugin, name="entity_time", implements={"XEP-0202": "2.0"}, features=(names.TIME,)):
    """Tells the server's time in UTC, without saying in which part of the world it stands (§5)."""

    @on_iq("get", Time, to="server")
    def tell(self, ctx: Context, asked: Time) -> Time:
        """To the second: clients compare clocks with it, and nobody measures ours with it."""
        return Time("+00:00", datetime.fromtimestamp(int(self.services.now()), UTC))
