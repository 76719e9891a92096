"""The task that asks for a code within a login by SASL2 (XEP-0388 §2.6.3, XEP-0400 §6.2).

XEP-0400 says that the client sends the code, with `<next/>` or when it is asked, and not in which element, since it is
older than the rule that it stands in one. Here it is `<totp xmlns='urn:xmpp:mfa:0'>123456</totp>`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from rainbow_xmpp.plugin import TooMany
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.session.tasks import TOTP, Ask, Done, Fail, TaskStep
from rainbow_xmpp.xml import Element

NS = "urn:xmpp:mfa:0"
_CODE = f"{{{NS}}}totp"


class CodeTask:
    """For one login: one code, and the login ends if it is wrong."""

    name = TOTP
    text = "Type the code of your authenticator app, or a recovery code."

    def __init__(self, check: Callable[[str], Awaitable[bool]]) -> None:
        """`check` raises TooMany."""
        self._check = check

    async def step(self, payload: Sequence[Element]) -> TaskStep:
        """As `Task.step`."""
        typed = next((element.text for element in payload if element.tag == _CODE), None)
        if not typed:
            return Ask(f"<totp xmlns='{NS}'/>".encode())
        try:
            if await self._check(typed):
                return Done()
        except TooMany:
            return Fail(FailureCondition.TEMPORARY_AUTH_FAILURE, "too many wrong codes of the second factor")
        return Fail(detail="a wrong code of the second factor")
