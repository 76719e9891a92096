"""Second factors over the API: one's own, at login, and somebody's whom an administrator helps."""

from __future__ import annotations

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.auth.token_logins import TokenLogins
from rainbow_xmpp.auth.tokens import InvalidToken, TokenType
from rainbow_xmpp.languages import choose_language
from rainbow_xmpp.plugin import (
    Access,
    Account,
    Asker,
    Call,
    Problem,
    ReasonQuery,
    Reply,
    Role,
    WrongCode,
    absent,
    endpoint,
    too_many,
)
from rainbow_xmpp.plugin.api_tokens import TokenPair, bearer_of, unauthenticated
from rainbow_xmpp.plugins.second_factor.desk import FactorDesk
from rainbow_xmpp.plugins.second_factor.values import (
    NO_STORE,
    REFUSALS,
    BeginFactorBody,
    CodeBody,
    EndFactorBody,
    EnrolmentValue,
    FactorMade,
    FactorValue,
    NewAppPassword,
    NewAppPasswordBody,
    RecoveryCodes,
    told,
)
from rainbow_xmpp.sasl import FailureCondition

MINE = "/users/me/second-factor"
AT_LOGIN = "/auth/second-factor"
_WAITING = {401: "The token of the login is over, or another kind of token."}


class LoginEndpoints:
    """For whoever has a token of `/auth/login` that is good for nothing else."""

    def __init__(self, desk: FactorDesk, logins: TokenLogins) -> None:
        self._desk = desk
        self._logins = logins

    @endpoint(
        "POST",
        AT_LOGIN,
        access=Access.ANYBODY,
        summary="Complete a login by a code, with the token that the login was answered with.",
        body=CodeBody,
        answer=TokenPair,
        problems={**_WAITING, 422: REFUSALS[422]},
    )
    async def complete(self, call: Call) -> Reply:
        account = await self._waiting(call, TokenType.MFA_PENDING)
        with told():
            if not await self._desk.check(account, call.body.code, asker=asker_of(call)):
                raise WrongCode("at login")
        return await self._pair(account)

    @endpoint(
        "POST",
        AT_LOGIN + "/enrolment",
        access=Access.ANYBODY,
        summary="Begin to make the second factor that the company wants.",
        answer=EnrolmentValue,
        problems=_WAITING,
    )
    async def begin(self, call: Call) -> Reply:
        account = await self._waiting(call, TokenType.ENROL)
        with told():
            begun = await self._desk.begin(account, asker=asker_of(call))
        return Reply(EnrolmentValue.of(begun), headers=NO_STORE)

    @endpoint(
        "POST",
        AT_LOGIN + "/confirmation",
        access=Access.ANYBODY,
        summary="Turn on the second factor that the company wants by its first code, and be logged in.",
        body=CodeBody,
        answer=FactorMade,
        problems={**_WAITING, 409: REFUSALS[409], 422: REFUSALS[422]},
    )
    async def confirm(self, call: Call) -> Reply:
        account = await self._waiting(call, TokenType.ENROL)
        return await confirmed(self._desk, self._logins, account, call)

    async def _waiting(self, call: Call, kind: TokenType) -> Account:
        try:
            return await self._logins.wanted_of(bearer_of(call), kind)
        except InvalidToken:
            raise unauthenticated("invalid_token") from None

    async def _pair(self, account: Account) -> Reply:
        return Reply(await new_tokens(self._logins, account), headers=NO_STORE)


class MyFactorEndpoints:
    """What somebody may do with their own. What matters asks for the password again, since a token may be stolen."""

    def __init__(self, desk: FactorDesk, logins: TokenLogins) -> None:
        self._desk = desk
        self._logins = logins

    @endpoint("GET", MINE, access=Access.PERSON, summary="My second factor.", answer=FactorValue)
    async def status(self, call: Call) -> FactorValue:
        return FactorValue.of(await self._desk.status(call.caller))

    @endpoint(
        "POST",
        MINE + "/enrolment",
        access=Access.PERSON,
        summary="Begin to make a second factor, or one in the place of mine.",
        body=BeginFactorBody,
        answer=EnrolmentValue,
        problems={403: REFUSALS[403], 422: REFUSALS[422]},
    )
    async def begin(self, call: Call) -> Reply:
        await self._prove(call)
        with told():
            begun = await self._desk.begin(call.caller, call.body.code, asker=asker_of(call))
        return Reply(EnrolmentValue.of(begun), headers=NO_STORE)

    @endpoint(
        "POST",
        MINE + "/confirmation",
        access=Access.PERSON,
        summary="Turn my second factor on by its first code. Every login ends; this one goes on with new tokens.",
        body=CodeBody,
        answer=FactorMade,
        problems=REFUSALS,
    )
    async def confirm(self, call: Call) -> Reply:
        return await confirmed(self._desk, self._logins, call.caller, call)

    @endpoint(
        "POST",
        MINE + "/removal",
        access=Access.PERSON,
        summary="Turn my second factor off. Every login ends; this one goes on with new tokens.",
        body=EndFactorBody,
        answer=TokenPair,
        problems=REFUSALS,
    )
    async def turn_off(self, call: Call) -> Reply:
        await self._prove(call)
        with told():
            await self._desk.turn_off(call.caller, call.body.code, asker=asker_of(call))
        return Reply(await new_tokens(self._logins, call.caller), headers=NO_STORE)

    @endpoint(
        "POST",
        MINE + "/recovery-codes",
        access=Access.PERSON,
        summary="Make other recovery codes; those there are end.",
        body=CodeBody,
        answer=RecoveryCodes,
        problems=REFUSALS,
    )
    async def new_codes(self, call: Call) -> Reply:
        with told():
            made = await self._desk.new_recovery_codes(call.caller, call.body.code, asker=asker_of(call))
        return Reply(RecoveryCodes(list(made)), headers=NO_STORE)

    @endpoint(
        "POST",
        MINE + "/app-passwords",
        access=Access.PERSON,
        summary="Make an app password, for an XMPP client that knows no codes.",
        body=NewAppPasswordBody,
        answer=NewAppPassword,
        status=201,
        problems=REFUSALS | {422: "No name, or too many app passwords."},
    )
    async def new_app_password(self, call: Call) -> Reply:
        await self._prove(call)
        name = " ".join(call.body.name.split())
        with told():
            try:
                id, password = await self._desk.new_app_password(call.caller, name, asker=asker_of(call))
            except ValueError:
                raise Problem(422, "invalid", errors={"name": "is no name"}) from None
        return Reply(NewAppPassword(id, name, password), headers=NO_STORE)

    @endpoint(
        "DELETE",
        MINE + "/app-passwords/{app_password_id}",
        access=Access.PERSON,
        summary="End an app password, and the sessions that it opened.",
        status=204,
    )
    async def drop_app_password(self, call: Call) -> Reply:
        id = call.path["app_password_id"]
        if not await self._desk.drop_app_password(call.caller, id, asker=asker_of(call)):
            raise absent()
        return Reply()

    @endpoint(
        "DELETE",
        "/companies/{company_id}/users/{user_id}/second-factor",
        access=Access.COMPANY_ADMIN,
        summary="Turn somebody's second factor off who has lost it. Every login of theirs ends.",
        query=ReasonQuery,
        status=204,
        problems={404: "There is none."},
    )
    async def turn_off_for(self, call: Call) -> Reply:
        """Not one's own: that takes a code. Nobody but operators helps operators."""
        is_beyond = call.user.role is Role.OPERATOR and not call.is_operator
        if call.user.id == call.caller.id or is_beyond:
            raise Problem(403, "forbidden")
        if not await self._desk.turn_off_for(call.user, actor=call.actor, reason=call.reason):
            raise absent()
        return Reply()

    async def _prove(self, call: Call) -> None:
        """The password is the caller's. Raises Problem; wrong ones are counted as at every login."""
        found = await self._logins.check(call.caller, call.body.password, call.source)
        if isinstance(found, Refused):
            if found.condition is FailureCondition.NOT_AUTHORIZED:
                raise Problem(403, "wrong-password")
            raise too_many(30)


async def confirmed(desk: FactorDesk, logins: TokenLogins, account: Account, call: Call) -> Reply:
    """The factor is turned on; the recovery codes, and a login in the place of the one that ended."""
    with told():
        made = await desk.confirm(account, call.body.code, asker=asker_of(call))
    return Reply(FactorMade(list(made), await new_tokens(logins, account)), headers=NO_STORE)


async def new_tokens(logins: TokenLogins, account: Account) -> TokenPair:
    """A login of somebody who has proved everything. Raises Problem (401) when they were shut out meanwhile."""
    try:
        return TokenPair.of(await logins.begin(account))
    except InvalidToken:
        raise unauthenticated("invalid_token") from None


def asker_of(call: Call) -> Asker:
    """Where a request comes from, and the language of its letters."""
    return Asker(call.source, choose_language(call.headers.get("Accept-Language", "")))
