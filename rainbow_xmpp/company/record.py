"""A company as one region tells another of it: everything but the people.

A region of this version and one of the next speak with each other while an installation is updated: fields are only
ever added, with defaults, and what an older region does not know it leaves out.
"""

from __future__ import annotations

import msgspec

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store.settings import settings_from, settings_text
from rainbow_xmpp.store.values import Company, Visibility

VERSION = 1
"""Rises when what was written before would be understood wrongly."""


class BadRecord(RainbowError, ValueError):
    """Not a company as this version writes it."""


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    id: str
    name: str
    region: str
    visibility: Visibility
    organisation: str
    service_level: str
    disabled: bool
    created_at: int
    settings: str = ""
    """As the database has them (`store.settings`)."""


def pack_company(company: Company) -> bytes:
    """The company, its settings included, as JSON."""
    return msgspec.json.encode(
        _Record(
            version=VERSION,
            id=company.id,
            name=company.name,
            region=company.region,
            visibility=company.visibility,
            organisation=company.organisation,
            service_level=company.service_level,
            disabled=company.disabled,
            created_at=company.created_at,
            settings=settings_text(company.settings),
        )
    )


def unpack_company(data: bytes) -> Company:
    """The company that `pack_company` wrote. Raises BadRecord, also for one that a newer version means otherwise."""
    try:
        record = msgspec.json.decode(data, type=_Record)
        settings = settings_from(record.settings)
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise BadRecord("this is no record of a company") from error
    if record.version != VERSION:
        raise BadRecord(
            f"this record of a company is of version {record.version}, and {VERSION} is known here"
        )
    return Company(
        record.id,
        record.name,
        record.region,
        record.visibility,
        record.organisation,
        record.service_level,
        record.disabled,
        record.created_at,
        settings,
    )
