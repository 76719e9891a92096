"""slixmpp that reads its history, says what shall be kept, and takes messages back."""

import asyncio
import sys
from typing import Any

from slixmpp import JID
from slixmpp.exceptions import IqError

from tests.interop import slixmpp_client
from tests.interop.json_lines import emit, serve


class Driver(slixmpp_client.Driver):
    """The commands of the test."""

    async def login(self, **account: Any) -> None:
        self.client = slixmpp_client.Client(**account)
        for plugin in ("0030", "0280", "0313", "0334", "0359", "0424", "0441"):
            self.client.register_plugin(f"xep_{plugin}")
        self.seen: dict[str, str] = {}
        self.client.add_event_handler("message", self._see)
        for way in ("carbon_received", "carbon_sent"):
            self.client.add_event_handler(way, lambda copy, way=way: self._see(copy[way]))
        self.client.attempt()
        await self.client.outcome

    def _see(self, message: Any) -> None:
        if message["body"]:
            self._show(message["stanza_id"]["id"], message["body"])

    def _show(self, id: str, body: str) -> None:
        """Shows a message to its reader, unless it was shown before."""
        if id not in self.seen:
            self.seen[id] = body
            emit("shown", body=body)

    async def carbons(self) -> None:
        await self.client["xep_0280"].enable()

    async def catch_up(self, of: str) -> None:
        """Fills what is missing since the archive's last message that was shown."""
        last = next(reversed(self.seen))
        pages = self.client["xep_0313"].iterate(jid=JID(of), rsm={"max": 3, "after": last})
        async for message in pages:
            result = message["mam_result"]
            self._show(result["id"], result["forwarded"]["stanza"]["body"])

    async def send(self, to: str, body: str, id: str) -> None:
        message = self.client.make_message(mto=JID(to), mbody=body, mtype="chat")
        message["id"] = id
        message.send()

    async def history(self, of: str, with_: str = "", reverse: bool = False, page: int = 3) -> None:
        """All messages, page after page."""
        pages = self.client["xep_0313"].iterate(
            jid=JID(of), with_jid=JID(with_) if with_ else None, reverse=reverse, rsm={"max": page}
        )
        emit("history", of=of, messages=[self._told(message) async for message in pages])

    def _told(self, message: Any) -> list[str]:
        result = message["mam_result"]
        said = result["forwarded"]["stanza"]
        assert result["id"], "each result has the id of its message"
        assert result["forwarded"]["delay"]["stamp"], "and its time"
        retracted = said.xml.find("{urn:xmpp:message-retract:1}retracted")
        return [said["id"], said["body"] if retracted is None else "-"]

    async def fields(self) -> None:
        form = await self.client["xep_0313"].get_fields()
        answer = await self.client["xep_0313"].get_archive_metadata()
        ends = answer["mam_metadata"]
        info = await self.client["xep_0030"].get_info(jid=self.client.boundjid.bare)
        emit(
            "fields",
            fields=sorted(form.get_fields()),
            ends=[ends["start"]["id"], ends["end"]["id"]],
            features=sorted(info["disco_info"]["features"]),
        )

    async def ends(self, of: str) -> None:
        try:
            await self.client["xep_0313"].get_archive_metadata(jid=JID(of))
            emit("ends", of=of, condition="")
        except IqError as error:
            emit("ends", of=of, condition=error.condition)

    async def prefer(self, default: str, never: list[str]) -> None:
        mam = self.client["xep_0441"]
        await mam.set_preferences(default, never=[JID(jid) for jid in never])
        told, always, not_these = await mam.get_preferences()
        emit("preferences", default=told, always=sorted(map(str, always)), never=sorted(map(str, not_these)))

    async def take_back(self, to: str, id: str) -> None:
        self.client["xep_0424"].send_retraction(JID(to), id, mtype="chat", include_fallback=True)


COMMANDS = (
    "login",
    "logout",
    "carbons",
    "catch_up",
    "message",
    "send",
    "history",
    "fields",
    "ends",
    "prefer",
    "take_back",
)


async def main() -> None:
    driver = Driver()
    await serve({name: getattr(driver, name) for name in COMMANDS})


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
