"""slixmpp over direct TLS: a client of the interop tests."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError

from tests.interop.json_lines import emit, serve

RETRY_S = 0.2


class Client(ClientXMPP):
    """Comes online at every start of a session and again after every loss."""

    def __init__(self, port: int, ca_file: str, username: str, password: str, **named: Any) -> None:
        domain, resource, mechanism = named["domain"], named["resource"], named["mechanism"]
        node = "" if "@" in username else f"{username}@"
        super().__init__(f"{node}{domain}/{resource}", password)
        self.credentials["username"] = username
        # Set here, since the library took a JID without a localpart for an anonymous login.
        self.plugin["feature_mechanisms"].use_mech = mechanism
        self.port, self.ca_certs = port, Path(ca_file)
        self.enable_starttls = self.enable_plaintext = False
        self.auto_authorize = None
        self.leaving = False
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if "resume" in sys.argv:
            self.register_plugin("xep_0198")
        self.register_plugin("xep_0054")
        self.register_plugin("xep_0133")  # brings commands (XEP-0050) and data forms (XEP-0004) along
        for event, handler in (
            ("session_start", self.on_session),
            ("failed_auth", self.on_refusal),
            ("disconnected", self.on_loss),
            ("message", self.on_message),
            ("message_error", self.on_refused),
            ("presence_subscribe", self.on_request),
            ("presence_available", self.on_presence),
            ("presence_unavailable", self.on_presence),
            ("roster_update", self.on_roster),
        ):
            self.add_event_handler(event, handler)

    def attempt(self) -> None:
        self.connect("127.0.0.1", self.port)

    async def on_session(self, _: Any) -> None:
        await self.get_roster()
        for jid in self.client_roster:
            emit("roster", jid=jid, subscription=self.client_roster[jid]["subscription"])
        self.send_presence()
        emit("online", jid=self.boundjid.full)
        if not self.outcome.done():
            self.outcome.set_result(None)

    def on_refusal(self, failure: Any) -> None:
        self.leaving = True
        if not self.outcome.done():
            self.outcome.set_exception(ConnectionRefusedError(failure["condition"]))

    def on_loss(self, _: Any) -> None:
        emit("offline")
        if not self.leaving:
            self.loop.call_later(RETRY_S, self.attempt)

    def on_message(self, message: Any) -> None:
        if message["body"]:
            sender = message["from"]
            emit("message", **{"from": sender.full or str(sender), "body": message["body"]})

    def on_refused(self, message: Any) -> None:
        emit("refused", **{"from": message["from"].full, "condition": message["error"]["condition"]})

    def on_request(self, presence: Any) -> None:
        emit("subscription-request", **{"from": presence["from"].bare})

    def on_presence(self, presence: Any) -> None:
        kind = "unavailable" if presence["type"] == "unavailable" else "available"
        emit("presence", **{"from": presence["from"].full, "type": kind})

    def on_roster(self, iq: Any) -> None:
        for jid, item in iq["roster"]["items"].items():
            emit("roster", jid=str(jid), subscription=item["subscription"])


class Driver:
    """The commands of the test."""

    client: Client

    async def login(self, **account: Any) -> None:
        self.client = Client(**account)
        self.client.attempt()
        await self.client.outcome

    async def subscribe(self, to: str) -> None:
        self.client.send_presence(pto=to, ptype="subscribe")

    async def approve(self, to: str) -> None:
        self.client.send_presence(pto=to, ptype="subscribed")

    async def message(self, to: str, body: str) -> None:
        self.client.send_message(mto=JID(to), mbody=body, mtype="chat")

    async def set_card(self, name: str) -> None:
        card = self.client["xep_0054"].make_vcard()
        card["FN"] = name
        await self.client["xep_0054"].publish_vcard(card)

    async def card(self, of: str) -> None:
        try:
            answer = await self.client["xep_0054"].get_vcard(JID(of), cached=False)
            emit("card", of=of, name=answer["vcard_temp"]["FN"])
        except IqError as error:
            emit("card", of=of, name="", condition=error.condition)

    async def commands(self) -> None:
        answer = await self.client["xep_0133"].get_commands()
        emit("commands", nodes=[item[1] for item in answer["disco_items"]["items"]])

    async def administer(self, command: str, values: dict[str, Any]) -> None:
        """Runs a command of XEP-0133 as the library does, with these values in its form if it shows one."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def shown(iq: Any, session: dict[str, Any]) -> None:
            form = iq["command"]["form"]
            if iq["command"]["status"] != "executing":
                outcome.set_result(iq["command"])
                return
            form["type"] = "submit"
            form["values"] = values
            session["payload"] = form
            self.client["xep_0050"].complete_command(session)

        def refused(iq: Any, _: Any) -> None:
            outcome.set_exception(RuntimeError(iq["error"]["condition"]))

        start = getattr(self.client["xep_0133"], command.replace("-", "_"))
        start(session={"next": shown, "error": refused})
        done = await asyncio.wait_for(outcome, 20)
        notes = [text for _, text in done["notes"]]
        emit("administered", command=command, values=dict(done["form"]["values"]), notes=notes)

    async def register(self, address: str, purpose: str, **account: Any) -> None:
        """The first step of XEP-0077; tells the fields of the form that is the answer."""
        loop = asyncio.get_running_loop()
        self.client, asked = Client(username=address, password="", **account), loop.create_future()
        self.code: asyncio.Future[tuple[str, str]] = loop.create_future()

        async def take_part(first: Any) -> None:
            second = await self._submit(first["register"]["form"], {"email": address, "x-purpose": purpose})
            asked.set_result([field["var"] for field in second["fields"]])
            code, password = await self.code
            self.client.password = password
            await self._submit(second, {"x-pin": code, "password": password})

        self.client.register_plugin("xep_0077")
        self.client.add_event_handler("register", take_part)
        self.client.attempt()
        emit("asked", fields=await asyncio.wait_for(asked, 20))

    async def finish(self, code: str, password: str) -> None:
        """The second step; the library logs in on the same stream then."""
        self.code.set_result((code, password))
        await self.client.outcome

    async def change_password(self, old: str, new: str) -> None:
        try:
            await self.client["xep_0077"].change_password(new, jid=self.client.boundjid.domain)
        except IqError as error:
            values = {"username": self.client.boundjid.user, "old_password": old, "password": new}
            await self._submit(error.iq["register"]["form"], values)
            emit("changed")

    async def _submit(self, form: Any, values: dict[str, str]) -> Any:
        """Fill in a form; the one of the next step, if there is one."""
        iq = self.client.Iq()
        iq["type"], form["type"], form["values"] = "set", "submit", values
        iq["register"].append(form)
        try:
            return await iq.send()
        except IqError as error:
            if error.etype != "modify":
                raise
            return error.iq["register"]["form"]

    async def logout(self) -> None:
        self.client.leaving = True
        await self.client.disconnect()


async def main() -> None:
    driver = Driver()
    commands = (
        "login",
        "subscribe",
        "approve",
        "message",
        "set_card",
        "card",
        "commands",
        "administer",
        "register",
        "finish",
        "change_password",
        "logout",
    )
    await serve({name: getattr(driver, name) for name in commands})


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
