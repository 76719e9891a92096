"""Companies. They are directory data: whoever looks one up is finding out who somebody is."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from rainbow_xmpp.config.regions import ONLY_REGION, REGION_NAME, REGION_NAME_RULE
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import AlreadyExists, NotFound, StoreError
from rainbow_xmpp.store.names import company_key
from rainbow_xmpp.store.settings import settings_from, settings_text
from rainbow_xmpp.store.values import (
    DEFAULT_SERVICE_LEVEL,
    ChangeKind,
    Company,
    CompanySettings,
    Visibility,
)

MAX_NAME = 200
COMPANY_VISIBILITIES = tuple(each for each in Visibility if each is not Visibility.SAME_THAN_COMPANY)

_c = tables.companies.c
COLUMNS = (
    _c.id,
    _c.name,
    _c.region,
    _c.visibility,
    _c.organisation,
    _c.service_level,
    _c.disabled,
    _c.created_at,
    _c.settings,
)
"""What `company_from` reads, in its order."""

_BY_ID = sa.select(*COLUMNS).where(_c.id == sa.bindparam("key"))
_BY_NAME = sa.select(*COLUMNS).where(_c.name_key == sa.bindparam("key"))
_LIST = sa.select(*COLUMNS).order_by(_c.name_key)


def company_from(row: Sequence[Any]) -> Company:
    """A company from the columns of `COLUMNS`."""
    id, name, region, visibility, organisation, service_level, disabled, created_at, settings = row
    return Company(
        id,
        name,
        region,
        Visibility(visibility),
        organisation,
        service_level,
        bool(disabled),
        created_at,
        settings_from(settings),
    )


def company_row(company: Company) -> dict[str, object]:
    """The columns of a company; the other way of `company_from`."""
    return {
        "id": company.id,
        "name": company.name,
        "name_key": company_key(company.name),
        "region": company.region,
        "visibility": company.visibility,
        "organisation": company.organisation,
        "service_level": company.service_level,
        "disabled": company.disabled,
        "created_at": company.created_at,
        "settings": settings_text(company.settings),
    }


class Companies:
    """The companies of this region. `now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def add(
        self,
        name: str,
        region: str = ONLY_REGION,
        visibility: Visibility = Visibility.PRIVATE,
        *,
        organisation: str = "",
        service_level: str = DEFAULT_SERVICE_LEVEL,
        settings: CompanySettings = CompanySettings(),  # noqa: B008  # a value
        id: str = "",
    ) -> Company:
        """Make a company. Raises AlreadyExists("name"), or StoreError for a name or region that does not fit.

        Names that differ in case only are the same. `id` is drawn here unless it is given.
        """
        at = int(self._now())
        name = _tidy(name)
        _check(visibility)
        _check_region(region)
        company = Company(
            id or new_id(), name, region, visibility, organisation, service_level, False, at, settings
        )
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(tables.companies), company_row(company))
                await changes.record(connection, at, ChangeKind.COMPANY_ADDED, company.id, [None])
        except sa.exc.IntegrityError:
            raise AlreadyExists("name", name) from None
        return company

    async def by_id(self, id: str) -> Company | None:
        """The company with this id."""
        return await self._one(_BY_ID, id)

    async def by_name(self, name: str) -> Company | None:
        """The company with this name, without regard to case."""
        return await self._one(_BY_NAME, company_key(name))

    async def list(self) -> list[Company]:
        """Every company, by name."""
        async with self._database.read() as connection:
            return [company_from(row) for row in await connection.execute(_LIST)]

    async def update(
        self,
        id: str,
        *,
        name: str | None = None,
        visibility: Visibility | None = None,
        organisation: str | None = None,
        service_level: str | None = None,
        disabled: bool | None = None,
        settings: CompanySettings | None = None,
    ) -> Company:
        """Change what is given. Raises NotFound, or AlreadyExists("name").

        The home region is not among it: changing it means moving people's data.
        """
        values: dict[str, object] = {
            "visibility": visibility,
            "organisation": organisation,
            "service_level": service_level,
            "disabled": disabled,
            "settings": None if settings is None else settings_text(settings),
        }
        if name is not None:
            values["name"] = name = _tidy(name)
            values["name_key"] = company_key(name)
        if visibility is not None:
            _check(visibility)
        given = {key: value for key, value in values.items() if value is not None}
        try:
            async with self._database.write() as connection:
                if given:
                    await connection.execute(sa.update(tables.companies).where(_c.id == id).values(**given))
                row = (await connection.execute(_BY_ID, {"key": id})).one_or_none()
                if row is None:
                    raise NotFound("company", id)
                await changes.record(connection, int(self._now()), ChangeKind.COMPANY_CHANGED, id, [None])
        except sa.exc.IntegrityError:
            raise AlreadyExists("name", str(name)) from None
        return company_from(row)

    async def keep(self, company: Company) -> bool:
        """Have this company as its home region has it; whether anything is different now.

        Raises AlreadyExists("name") when another one has the name here.
        """
        row = company_row(company)
        try:
            async with self._database.write() as connection:
                known = (await connection.execute(_BY_ID, {"key": company.id})).one_or_none()
                if known is not None and company_from(known) == company:
                    return False
                if known is None:
                    kind = ChangeKind.COMPANY_ADDED
                    await connection.execute(sa.insert(tables.companies), row)
                else:
                    kind = ChangeKind.COMPANY_CHANGED
                    await connection.execute(
                        sa.update(tables.companies).where(_c.id == company.id).values(**row)
                    )
                await changes.record(connection, int(self._now()), kind, company.id, [None])
        except sa.exc.IntegrityError:
            raise AlreadyExists("name", company.name) from None
        return True

    async def _one(self, statement: sa.Select[Any], key: str) -> Company | None:
        async with self._database.read() as connection:
            row = (await connection.execute(statement, {"key": key})).one_or_none()
            return company_from(row) if row is not None else None


def _tidy(name: str) -> str:
    tidy = " ".join(name.split())
    if not 0 < len(tidy) <= MAX_NAME or not tidy.isprintable():
        raise StoreError(f"a company's name has 1 to {MAX_NAME} printable characters; {name!r} does not fit")
    return tidy


def _check_region(region: str) -> None:
    if not REGION_NAME.fullmatch(region):
        raise StoreError(f"a region has {REGION_NAME_RULE}; {region!r} does not fit")


def _check(visibility: Visibility) -> None:
    if visibility is Visibility.SAME_THAN_COMPANY:
        raise StoreError(f"{visibility} is for people; a company is one of {', '.join(COMPANY_VISIBILITIES)}")
