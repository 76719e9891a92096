"""Where browsers register what they are woken by: the PushSubscription of the W3C's Push API."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.outside import MAX_URL, NotAllowedUrl, judge_url
from rainbow_xmpp.plugin import Access, Account, Call, Problem, Services, Time, absent, endpoint, time_of
from rainbow_xmpp.plugins.push.envelope import read_target
from rainbow_xmpp.plugins.push.sealing import Seals
from rainbow_xmpp.plugins.push.stanzas import hash_of
from rainbow_xmpp.plugins.push.store import NewSubscription, Subscription, Subscriptions
from rainbow_xmpp.plugins.push.values import Origin, Shows

ALL = "/push-subscriptions"
ONE = ALL + "/{node}"

EncodedKey = Annotated[str, Meta(min_length=1, max_length=200, description="base64url")]


class PushKeys(Struct, frozen=True):
    """`keys` of the subscription's JSON."""

    p256dh: EncodedKey
    auth: EncodedKey


class NewPushSubscription(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"expires": "expirationTime"}
):
    """What `PushSubscription.toJSON()` gives, and how much may be told."""

    endpoint: Annotated[
        str, Meta(min_length=1, max_length=MAX_URL, description="Of a push service that the operator allows.")
    ]
    keys: PushKeys
    expires: Annotated[float | None, Meta(description="Not looked at.")] = None
    shows: Annotated[
        Shows, Meta(description="The most that a notification tells; the operator may allow less.")
    ] = Shows.COUNT


class PushSubscriptionValue(Struct, frozen=True):
    """A browser that can be woken."""

    node: str
    shows: Shows
    enabled: Annotated[bool, Meta(description="By <enable/> of XEP-0357.")]
    created_at: Time

    @classmethod
    def of(cls, kept: Subscription) -> PushSubscriptionValue:
        return cls(kept.node, kept.shows, kept.enabled, time_of(kept.created_at))


class PushSubscriptionsValue(Struct, frozen=True):
    """The caller's, and what is needed for another one."""

    public_key: Annotated[str, Meta(description="applicationServerKey (RFC 8292), base64url.")]
    may_show: Annotated[Shows, Meta(description="The most that the operator lets a notification tell.")]
    items: list[PushSubscriptionValue]


class NewNode(Struct, frozen=True):
    """What <enable/> wants: it is shown this one time."""

    jid: str
    node: str
    secret: Annotated[str, Meta(description="`secret` of the publish-options.")]


class Settings(Protocol):
    """What an operator decides."""

    @property
    def push_services(self) -> Collection[str]: ...
    @property
    def per_person(self) -> int: ...
    @property
    def may_show(self) -> Shows: ...
    def serves(self, account: Account) -> bool: ...


class PushEndpoints:
    """`changed` is told whose devices are others now."""

    def __init__(
        self,
        services: Services,
        kept: Subscriptions,
        seals: Seals,
        settings: Callable[[], Settings],
        public_key: Callable[[], str],
        changed: Callable[[Iterable[str]], Awaitable[None]],
    ) -> None:
        self._services = services
        self._kept = kept
        self._seals = seals
        self._settings = settings
        self._public_key = public_key
        self._changed = changed

    @endpoint(
        "GET",
        ALL,
        access=Access.PERSON,
        summary="The caller's push subscriptions, and the key with which browsers make one.",
        answer=PushSubscriptionsValue,
    )
    async def list(self, call: Call) -> PushSubscriptionsValue:
        self._judge(call)
        found = await self._kept.of(call.caller)
        items = [PushSubscriptionValue.of(each) for each in found]
        return PushSubscriptionsValue(self._public_key(), self._settings().may_show, items)

    @endpoint(
        "POST",
        ALL,
        access=Access.PERSON,
        summary="Register a browser's PushSubscription; the answer is for <enable/> (XEP-0357).",
        body=NewPushSubscription,
        answer=NewNode,
        status=201,
        problems={422: "The endpoint is not allowed, or the keys are none."},
    )
    async def add(self, call: Call) -> NewNode:
        self._judge(call)
        wanted: NewPushSubscription = call.body
        try:
            url = judge_url(wanted.endpoint, self._settings().push_services)
        except NotAllowedUrl as error:
            raise Problem(422, "not-allowed", str(error)) from None
        try:
            target = read_target(url, wanted.keys.p256dh, wanted.keys.auth)
        except ValueError as error:
            raise Problem(422, "invalid", errors={"keys": str(error)}) from None
        node, secret = new_id(), secrets.token_urlsafe(32)
        new = NewSubscription(
            node,
            hash_of(secret),
            self._seals.seal_target(node, target),
            self._seals.hash_of(url),
            wanted.shows,
            Origin(call.caller.epoch, call.family),
        )
        lost = await self._kept.add(call.caller, new, most=self._settings().per_person)
        await self._changed(lost)
        return NewNode(self._services.domain, node, secret)

    @endpoint(
        "DELETE", ONE, access=Access.PERSON, summary="Forget a browser: it is woken no more.", status=204
    )
    async def remove(self, call: Call) -> None:
        self._judge(call)
        if not await self._kept.remove(call.caller, call.path["node"]):
            raise absent()
        await self._changed((call.caller.id,))

    def _judge(self, call: Call) -> None:
        if not self._settings().serves(call.caller):
            raise Problem(403, "forbidden")
