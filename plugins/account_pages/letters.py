"""Asking for a letter with a code, and for another one: the same for accounts and for new passwords."""

from __future__ import annotations

from aiohttp import web

from rainbow_xmpp.plugin import Purpose, TooMany
from rainbow_xmpp.plugins.account_pages.faults import ADDRESS, Hindered, too_soon
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see

_SENT = "sent"


async def ask(front: Front, request: web.Request, purpose: Purpose, where: str) -> web.Response:
    """Have a code sent to the address in the form, and go on where it is typed."""

    async def act(form: Form) -> web.Response:
        try:
            asked = await front.desk.ask(purpose, form.get("address", "").strip(), asker(request))
        except ValueError:
            raise Hindered(ADDRESS) from None
        return see(f"/{where}/{asked.request_id}")

    return await front.take(request, f"{where}.html", act)


async def send_another(front: Front, request: web.Request, request_id: str, where: str) -> web.Response:
    """Another letter in the place of the one before. Raises Hindered when it is too soon."""
    try:
        await front.desk.resend(request_id, asker(request))
    except TooMany as refusal:
        raise Hindered(too_soon(refusal.retry_after_s)) from None
    return see(f"/{where}/{request_id}?{_SENT}=1")


def was_sent_again(request: web.Request) -> bool:
    """The page comes after another letter was sent."""
    return _SENT in request.query
