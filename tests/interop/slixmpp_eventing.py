"""slixmpp with what builds upon personal eventing: pictures, nicknames, vCards, bookmarks, what was displayed."""

import asyncio
import sys
from typing import Any

from slixmpp import JID
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0402.stanza import Conference

from tests.interop import slixmpp_client
from tests.interop.json_lines import emit, serve

NODES = {
    "avatar_metadata": "urn:xmpp:avatar:metadata",
    "user_nick": "http://jabber.org/protocol/nick",
    "vcard4": "urn:ietf:params:xml:ns:vcard-4.0",
    "message_displayed_synchronization": "urn:xmpp:mds:displayed:0",
}
BOOKMARKS = "urn:xmpp:bookmarks:1"


class Client(slixmpp_client.Client):
    """Tells what others publish."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for plugin in (
            "0030",
            "0060",
            "0115",
            "0163",
            "0084",
            "0172",
            "0223",
            "0292",
            "0359",
            "0402",
            "0490",
        ):
            self.register_plugin(f"xep_{plugin}")
        self["xep_0060"].map_node_event(BOOKMARKS, "bookmarks")
        for name in (*NODES, "bookmarks"):
            self.add_event_handler(f"{name}_publish", self.on_published)
            self.add_event_handler(f"{name}_retract", self.on_retracted)

    def on_published(self, message: Any) -> None:
        items = message["pubsub_event"]["items"]
        for item in items["substanzas"]:
            text = "".join(item.xml.itertext()).strip()
            emit(
                "published",
                **{"from": str(message["from"]), "node": items["node"], "item": item["id"], "text": text},
            )

    def on_retracted(self, message: Any) -> None:
        items = message["pubsub_event"]["items"]
        for item in items["substanzas"]:
            emit("retracted", **{"from": str(message["from"]), "node": items["node"], "item": item["id"]})


class Driver(slixmpp_client.Driver):
    """The commands of the test."""

    client: Client

    async def login(self, **account: Any) -> None:
        self.client = Client(**account)
        self.client.attempt()
        await self.client.outcome
        self.client["xep_0163"].add_interest([*NODES.values(), BOOKMARKS])
        await self.client["xep_0115"].update_caps(broadcast=False)
        self.client.send_presence()

    async def publish_picture(self, data: str) -> None:
        avatars, image = self.client["xep_0084"], data.encode()
        options = self._options({"pubsub#access_model": "open"})
        await avatars.publish_avatar(image, options=options)
        info = {"id": avatars.generate_id(image), "type": "image/png", "bytes": len(image)}
        await avatars.publish_avatar_metadata(info, options=options)

    async def picture(self, of: str, item: str) -> None:
        try:
            answer = await self.client["xep_0084"].retrieve_avatar(JID(of), item)
            data = answer["pubsub"]["items"]["item"]["avatar_data"]["value"].decode()
            emit("picture", of=of, data=data)
        except IqError as error:
            emit("picture", of=of, data="", condition=error.condition)

    async def publish_nick(self, nick: str) -> None:
        await self.client["xep_0172"].publish_nick(nick)

    async def publish_vcard4(self, name: str) -> None:
        await self.client["xep_0292"].publish_vcard(full_name=name)

    async def bookmark(self, room: str, name: str) -> None:
        conference = Conference()
        conference["name"], conference["autojoin"] = name, True
        chosen = {"pubsub#access_model": "whitelist", "pubsub#max_items": "max", "pubsub#persist_items": "1"}
        options = self._options(chosen | {"pubsub#send_last_published_item": "never"})
        await self.client["xep_0060"].publish(
            None, BOOKMARKS, id=room, payload=conference.xml, options=options
        )

    async def forget(self, room: str) -> None:
        await self.client["xep_0060"].retract(None, BOOKMARKS, room, notify="true")

    async def bookmarks(self) -> None:
        answer = await self.client["xep_0060"].get_items(None, BOOKMARKS)
        found = {item["id"]: item["conference"]["name"] for item in answer["pubsub"]["items"]}
        emit("bookmarks", rooms=found)

    async def displayed(self, chat: str, stanza_id: str) -> None:
        await self.client["xep_0490"].flag_chat(chat, stanza_id)

    async def configuration(self, node: str) -> None:
        answer = await self.client["xep_0060"].get_node_config(None, node)
        emit(
            "configuration", node=node, values=dict(answer["pubsub_owner"]["configure"]["form"].get_values())
        )

    async def nodes(self, of: str) -> None:
        answer = await self.client["xep_0060"].get_nodes(JID(of))
        emit("nodes", of=of, nodes=sorted(item[1] for item in answer["disco_items"]["items"]))

    async def delete(self, node: str) -> None:
        await self.client["xep_0060"].delete_node(None, node)

    def _options(self, values: dict[str, str]) -> Any:
        form = self.client["xep_0004"].make_form(ftype="submit")
        form.add_field(
            var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options"
        )
        for var, value in values.items():
            form.add_field(var=var, value=value)
        return form


COMMANDS = (
    "login",
    "logout",
    "subscribe",
    "approve",
    "card",
    "publish_picture",
    "picture",
    "publish_nick",
    "publish_vcard4",
    "bookmark",
    "forget",
    "bookmarks",
    "displayed",
    "configuration",
    "nodes",
    "delete",
)


async def main() -> None:
    driver = Driver()
    await serve({name: getattr(driver, name) for name in COMMANDS})


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
