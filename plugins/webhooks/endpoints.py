"""Hooks as a company's administrators keep them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.outside import MAX_URL, NotAllowedUrl, judge_url
from rainbow_xmpp.plugin import (
    Access,
    Call,
    Company,
    Problem,
    Reason,
    ReasonQuery,
    Reply,
    Services,
    Time,
    endpoint,
    time_of,
)
from rainbow_xmpp.plugins.webhooks.events import Kind, body_of
from rainbow_xmpp.plugins.webhooks.signing import Secrets, secret_text
from rainbow_xmpp.plugins.webhooks.store import Delivery, Hook, Hooks

HOOKS = "/companies/{company_id}/webhooks"
ONE = HOOKS + "/{webhook_id}"

Url = Annotated[
    str, Meta(min_length=1, max_length=MAX_URL, description="https; a host that the operator allows.")
]
Kinds = Annotated[list[Kind], Meta(max_length=20, description="What to be told of; empty: of everything.")]


class WebhookValue(Struct, frozen=True):
    """A webhook. Its secret is never shown again."""

    id: str
    url: str
    events: list[Kind]
    enabled: bool
    created_at: Time

    @classmethod
    def of(cls, hook: Hook) -> WebhookValue:
        return cls(hook.id, hook.url, list(hook.events), hook.enabled, time_of(hook.created_at))


class NewWebhookValue(WebhookValue, frozen=True):
    """A webhook, and the secret that its calls are signed with: it is shown this one time."""

    secret: str


class Webhooks(Struct, frozen=True):
    """All of a company's."""

    items: list[WebhookValue]


class WebhookDelivery(Struct, frozen=True):
    """A message to a webhook, and how it went."""

    id: Annotated[str, Meta(description="Webhook-Id; the same in every attempt.")]
    type: str
    state: Annotated[str, Meta(description="waiting, delivered or dead")]
    created_at: Time
    attempts: int
    outcome: Annotated[str, Meta(description="Of the last attempt: a status, or why there was none.")]
    ended_at: Time | None

    @classmethod
    def of(cls, delivery: Delivery) -> WebhookDelivery:
        ended = None if delivery.ended_at is None else time_of(delivery.ended_at)
        return cls(
            delivery.message_id,
            delivery.kind,
            str(delivery.state),
            time_of(delivery.created_at),
            delivery.attempts,
            delivery.outcome,
            ended,
        )


class WebhookDeliveries(Struct, frozen=True):
    """The last ones, newest first."""

    items: list[WebhookDelivery]


class NewWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    url: Url
    events: Kinds = []
    reason: Reason = ""


class WebhookChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays."""

    url: Url | UnsetType = UNSET
    events: Kinds | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    reason: Reason = ""


class DeliveriesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class TestSent(Struct, frozen=True):
    """A test is on its way."""

    id: Annotated[str, Meta(description="Webhook-Id")]


class Settings(Protocol):
    """What an operator decides."""

    @property
    def allowed_hosts(self) -> Collection[str]: ...
    @property
    def hooks_per_company(self) -> int: ...
    def serves_company(self, company: Company) -> bool: ...


class WebhookEndpoints:
    """`wake` is called when something waits to be delivered."""

    def __init__(
        self,
        services: Services,
        hooks: Hooks,
        secrets: Secrets,
        settings: Callable[[], Settings],
        wake: Callable[[], None],
    ) -> None:
        self._services = services
        self._hooks = hooks
        self._secrets = secrets
        self._settings = settings
        self._wake = wake

    @endpoint("GET", HOOKS, access=Access.COMPANY_ADMIN, summary="A company's webhooks.", answer=Webhooks)
    async def list(self, call: Call) -> Webhooks:
        return Webhooks([WebhookValue.of(hook) for hook in await self._hooks.of_company(call.company.id)])

    @endpoint(
        "POST",
        HOOKS,
        access=Access.COMPANY_ADMIN,
        summary="Add a webhook. The answer has its secret, which is not shown again.",
        body=NewWebhook,
        answer=NewWebhookValue,
        status=201,
        problems={422: "The URL is not allowed, or the company has as many as it may have."},
    )
    async def add(self, call: Call) -> NewWebhookValue:
        settings = self._settings()
        if not settings.serves_company(call.company):
            raise Problem(422, "not-allowed", "this company has no webhooks")
        id, secret = new_id(), self._secrets.new()
        hook = Hook(
            id,
            call.company.id,
            self._judged(call.body.url),
            tuple(dict.fromkeys(call.body.events)),
            self._secrets.seal(secret, id),
            True,
            int(call.now),
        )
        if not await self._hooks.add(hook, most=settings.hooks_per_company):
            raise Problem(422, "too-many", f"a company has at most {settings.hooks_per_company} webhooks")
        await self._record("webhooks.added", call, id)
        return _with_secret(hook, secret)

    @endpoint("GET", ONE, access=Access.COMPANY_ADMIN, summary="A webhook.", answer=WebhookValue)
    async def get(self, call: Call) -> WebhookValue:
        return WebhookValue.of(await self._hooks.get(call.company.id, call.path["webhook_id"]))

    @endpoint(
        "PATCH",
        ONE,
        access=Access.COMPANY_ADMIN,
        summary="Change a webhook, or switch it off and on.",
        body=WebhookChange,
        answer=WebhookValue,
        problems={422: "The URL is not allowed."},
    )
    async def change(self, call: Call) -> WebhookValue:
        """While it is switched off, what waits goes on waiting, and nothing new is added."""
        wanted: WebhookChange = call.body
        url = None if isinstance(wanted.url, UnsetType) else self._judged(wanted.url)
        events = None if isinstance(wanted.events, UnsetType) else [*dict.fromkeys(wanted.events)]
        enabled = None if isinstance(wanted.enabled, UnsetType) else wanted.enabled
        hook = await self._hooks.change(
            call.company.id, call.path["webhook_id"], url=url, events=events, enabled=enabled
        )
        await self._record("webhooks.changed", call, hook.id)
        self._wake()
        return WebhookValue.of(hook)

    @endpoint(
        "POST",
        ONE + "/secret",
        access=Access.COMPANY_ADMIN,
        summary="Give a webhook another secret, which is shown this one time.",
        query=ReasonQuery,
        answer=NewWebhookValue,
    )
    async def renew_secret(self, call: Call) -> NewWebhookValue:
        secret, hook_id = self._secrets.new(), call.path["webhook_id"]
        sealed = self._secrets.seal(secret, hook_id)
        hook = await self._hooks.change(call.company.id, hook_id, secret=sealed)
        await self._record("webhooks.changed", call, hook.id)
        return _with_secret(hook, secret)

    @endpoint(
        "DELETE", ONE, access=Access.COMPANY_ADMIN, summary="Remove a webhook.", query=ReasonQuery, status=204
    )
    async def remove(self, call: Call) -> Reply:
        await self._hooks.remove(call.company.id, call.path["webhook_id"])
        await self._record("webhooks.removed", call, call.path["webhook_id"])
        return Reply()

    @endpoint(
        "POST",
        ONE + "/test",
        access=Access.COMPANY_ADMIN,
        summary="Send a message of the type `test`.",
        query=ReasonQuery,
        answer=TestSent,
        status=202,
    )
    async def test(self, call: Call) -> TestSent:
        hook_id = call.path["webhook_id"]
        body = body_of(Kind.TEST, int(call.now), company_id=call.company.id)
        message_id = await self._hooks.enqueue(call.company.id, hook_id, Kind.TEST, body)
        self._wake()
        await self._record("webhooks.tested", call, call.path["webhook_id"])
        return TestSent(message_id)

    @endpoint(
        "GET",
        ONE + "/deliveries",
        access=Access.COMPANY_ADMIN,
        summary="What was sent to a webhook of late, and how it went.",
        query=DeliveriesQuery,
        answer=WebhookDeliveries,
    )
    async def deliveries(self, call: Call) -> WebhookDeliveries:
        found = await self._hooks.deliveries(call.company.id, call.path["webhook_id"], most=call.query.limit)
        return WebhookDeliveries([WebhookDelivery.of(each) for each in found])

    def _judged(self, url: str) -> str:
        try:
            return judge_url(url, self._settings().allowed_hosts)
        except NotAllowedUrl as error:
            raise Problem(422, "url-not-allowed", str(error)) from None

    async def _record(self, kind: str, call: Call, hook_id: str) -> None:
        await self._services.audit(
            kind, company_id=call.company.id, actor=call.actor, target=hook_id, reason=call.reason
        )


def _with_secret(hook: Hook, secret: bytes) -> NewWebhookValue:
    value = WebhookValue.of(hook)
    return NewWebhookValue(
        value.id, value.url, value.events, value.enabled, value.created_at, secret_text(secret)
    )
