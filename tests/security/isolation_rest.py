"""The API in the walk: every endpoint that anybody declares, asked about people and companies of others.

Where somebody's company or a person in the path is none of the caller's, the answer must be the one for ids that nobody
has. In every answer, whoever is named must be somebody whom the caller may know of.
"""

from __future__ import annotations

import json
import re

from rainbow_xmpp.company import Action
from rainbow_xmpp.plugin import PREFIX, Access, EndpointMark
from rainbow_xmpp.testing.web import Answer, exchange
from tests.security.isolation_events import Leak, ghost
from tests.security.isolation_oracle import Oracle
from tests.security.isolation_world import PUBLIC, Human, World

_NOBODY = "f" * 24
_QUERIES = {"/search": "?name=name&limit=200"}
"""For endpoints that want to be asked something."""
_PARAMETER = re.compile(r"{(\w+)}")


class RestProbes:
    def __init__(self, world: World, oracle: Oracle) -> None:
        self._world = world
        self._oracle = oracle
        self._apps = {server: server.web_app() for server in world.servers}
        self._marks: list[EndpointMark] = [
            mark for mark, _ in world.server.node.services().declared(EndpointMark)
        ]

    async def one(self, actor: Human, target: Human) -> str:
        """A call of an endpoint, about somebody; its name. Raises `Leak`."""
        if self._world.dice.random() < 0.2 and not actor.is_disabled:
            return await self._invite(actor, target)
        mark = self._world.dice.choice(self._marks)
        name = f"{mark.method} {mark.path}"
        if mark.access is Access.ANYBODY or actor.is_disabled:
            return name
        names_target = _PARAMETER.search(mark.path) is not None
        if not names_target and mark.method != "GET":
            return name  # changes only the caller
        is_own = target.firm is actor.firm and "{company_id}" in mark.path
        if is_own and mark.method != "GET":
            return name
        token = await self._token(actor)
        answer = await self._call(actor, mark, token, target.firm.company.id, target.account.id)
        if names_target and not is_own:
            nobody = await self._call(actor, mark, token, _NOBODY, _NOBODY)
            if seen(answer) != seen(nobody):
                raise Leak(f"{name} of {target.tag} by {actor.tag}: {seen(answer)}, of nobody {seen(nobody)}")
        if answer.status >= 500:
            raise Leak(f"{name}: {answer.status}")
        self._names(actor, name, answer)
        return name

    async def _invite(self, actor: Human, target: Human) -> str:
        """Somebody and nobody are invited alike, by address; what was agreed by it is noted."""
        world, token = self._world, await self._token(actor)
        name = "POST /invitations"
        mark = next(each for each in self._marks if f"{each.method} {each.path}" == name)
        answers = []
        for localpart in (target.localpart, ghost(actor, target)):
            note = f"invite-{actor.tag}-{target.tag}-x"
            body = json.dumps({"to": f"{localpart}@{world.server.domain}", "note": note}).encode()
            answers.append(seen(await self._send(actor, mark.method, mark.path, token, body)))
        if answers[0] != answers[1]:
            raise Leak(f"{name}: {answers[0]}, of nobody {answers[1]}")
        is_between = actor.firm is not target.firm or actor.firm.name == PUBLIC
        if is_between and not target.is_disabled and world.may(Action.INVITE, actor, target):
            world.noted_invitation(actor, target, None)
        await world.applied()
        return name

    async def _token(self, actor: Human) -> str:
        node = self._world.at(actor).node
        assert node.token_logins is not None
        account = await self._world.fresh(actor)
        issued = await node.store.refresh_tokens.begin(account, 10_000)
        return node.token_logins._pair(account, issued).access

    async def _call(
        self, actor: Human, mark: EndpointMark, token: str, company_id: str, user_id: str
    ) -> Answer:
        ids = {"company_id": company_id, "user_id": user_id}
        path = _PARAMETER.sub(lambda found: ids.get(found.group(1), user_id), mark.path)
        body = b"" if mark.body is None else b"{}"
        return await self._send(actor, mark.method, path + _QUERIES.get(mark.path, ""), token, body)

    async def _send(self, actor: Human, method: str, path: str, token: str, body: bytes) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await exchange(self._apps[self._world.at(actor)], method, f"{PREFIX}{path}", headers, body)

    def _names(self, actor: Human, name: str, answer: Answer) -> None:
        """Whoever is named is the caller's to know."""
        self._oracle.hears_text(actor, answer.body)
        for human in self._world.people:
            named = human.account.id, f"{human.localpart}@"
            if human is actor or not any(each.encode() in answer.body for each in named):
                continue
            if not self._may_know(actor, human):
                raise Leak(f"{name} tells {self._oracle.portrait(actor)} of {self._oracle.portrait(human)}")

    def _may_know(self, actor: Human, human: Human) -> bool:
        pair = frozenset((actor, human))
        known = self._world.agreements.get(pair), self._world.over.get(pair)
        is_told = any(each is not None and (each.is_accepted or each.inviter is human) for each in known)
        return is_told or self._world.allows(Action.SEARCH, actor, human)


def seen(answer: Answer) -> tuple[object, ...]:
    """What the caller can tell from an answer; not the time of day."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status, headers, answer.body
