"""Endpoints of the API under `/api/v1`, as plugins declare them.

    class NoteBody(Struct, frozen=True, forbid_unknown_fields=True):
        text: Annotated[str, Meta(max_length=500)]

    @endpoint("PUT", "/users/me/note", access=Access.PERSON, summary="Leave a note.", body=NoteBody, status=204)
    async def put_note(self, call: Call) -> None: ...

Who calls, and whether they may, is decided before a method is called, by what is declared here and nowhere else
(`plugins/rest_api/doorkeeper.py`): a method is handed the company and the person that its path names only when they
are the caller's to see. The same declarations make the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct

from rainbow_xmpp.errors import LocalMisuse, RainbowError
from rainbow_xmpp.plugin.marking import F, marked
from rainbow_xmpp.store.values import Account, Company, Role

T = TypeVar("T")

PREFIX = "/api/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


Reason = Annotated[str, Meta(max_length=500, description="Goes into the audit log.")]
Time = Annotated[str, Meta(description="RFC 3339, UTC")]


def time_of(at: float) -> str:
    """Unix time in seconds as a `Time`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class ReasonQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the audit log; operators must say."""

    reason: Reason = ""


class Access(Enum):
    """Who may call an endpoint. To everybody else what is another company's does not exist."""

    ANYBODY = "anybody"
    """Without a token: logging in, and what is public."""
    PERSON = "person"
    """Whoever is logged in, about themselves."""
    MEMBER = "member"
    """People of the company in the path, and operators."""
    COMPANY_ADMIN = "company_admin"
    """Administrators of the company in the path, and operators."""
    OPERATOR = "operator"


class Problem(RainbowError):
    """A refusal as RFC 9457 tells it. `kind` is stable and for programs, `detail` for whoever reads the answer."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail or kind)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def too_many(retry_after_s: int, detail: str = "") -> Problem:
    """Too much was asked for lately; in so many seconds it may work."""
    return Problem(429, "too-many-requests", detail, headers={"Retry-After": str(retry_after_s)})


def absent() -> Problem:
    """What is not there, and what the caller must not know to be there."""
    return Problem(404, "not-found")


class Page(Struct, Generic[T], frozen=True):
    """Some of a list; ask again with `after=next` while `next` is there."""

    items: Sequence[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in."""

    path: Mapping[str, str]
    source: str
    """The network address it comes from; for limits, never for logs."""
    now: float
    account: Account | None = None
    """Who calls; None only for `Access.ANYBODY`."""
    family: str = ""
    """The login the caller's token is of."""
    of_company: Company | None = None
    """The company that `{company_id}` names."""
    of_user: Account | None = None
    """The person that `{user_id}` names, of that company."""
    query: Any = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def caller(self) -> Account:
        """Who calls."""
        assert self.account is not None, "whoever has no token is nobody"
        return self.account

    @property
    def company(self) -> Company:
        """The company in the path, which the caller may see."""
        assert self.of_company is not None, "the path names no company"
        return self.of_company

    @property
    def user(self) -> Account:
        """The person in the path."""
        assert self.of_user is not None, "the path names nobody"
        return self.of_user

    @property
    def reason(self) -> str:
        """Why, as the caller says in the body or the query: for the audit log."""
        return str(getattr(self.body, "reason", "") or getattr(self.query, "reason", ""))

    @property
    def is_operator(self) -> bool:
        return self.caller.role is Role.OPERATOR

    @property
    def actor(self) -> str:
        """How the audit log names the caller."""
        return self.caller.id


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with more to it than a body: another status, headers, an entity tag."""

    body: Any = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointMark:
    """One endpoint; see `endpoint`."""

    method: str
    path: str
    access: Access
    summary: str
    query: type[Struct] | None
    body: type[Struct] | None
    answer: Any
    status: int
    problems: Mapping[int, str]
    others: Mapping[int, Any]
    tag: str

    @property
    def full_path(self) -> str:
        return PREFIX + self.path


def endpoint(
    method: str,
    path: str,
    *,
    access: Access,
    summary: str,
    query: type[Struct] | None = None,
    body: type[Struct] | None = None,
    answer: Any = None,
    status: int = 200,
    problems: Mapping[int, str] | None = None,
    others: Mapping[int, Any] | None = None,
    tag: str = "",
) -> Callable[[F], F]:
    """This `async def` method answers requests: `(self, call) -> answer`, or a `Reply`; `Problem` refuses.

    `query` and `body` are msgspec structs, which are checked before; `problems` says what other refusals there are
    than those that every endpoint has (400, 401, 403, 404, 413, 415, 429), `others` which other statuses are no
    refusals, and the type of their answers.
    """
    if method not in METHODS or not path.startswith("/"):
        raise LocalMisuse(
            f"endpoint() takes a method such as 'GET' and a path from '/', not {method!r}, {path!r}"
        )
    names_company = "{company_id}" in path
    if (
        names_company is (access not in (Access.MEMBER, Access.COMPANY_ADMIN))
        and access is not Access.OPERATOR
    ):
        raise LocalMisuse(
            f"{path}: MEMBER and COMPANY_ADMIN are for paths with {{company_id}}, and those for them"
        )
    if "{user_id}" in path and not names_company:
        raise LocalMisuse(
            f"{path}: somebody is somebody of a company: {{user_id}} stands behind {{company_id}}"
        )
    return marked(
        EndpointMark(
            method=method,
            path=path,
            access=access,
            summary=summary,
            query=query,
            body=body,
            answer=answer,
            status=status,
            problems=dict(problems or {}),
            others=dict(others or {}),
            tag=tag or path.strip("/").partition("/")[0],
        )
    )
