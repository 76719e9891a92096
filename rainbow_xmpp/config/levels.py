"""`[service_levels.NAME]`: what companies and people get, by the level that an operator gives them."""

import re
from dataclasses import dataclass
from typing import Any

from rainbow_xmpp.config.declare import key
from rainbow_xmpp.config.sections import Sections

LEVEL_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
MAX_LEVEL_NAME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """[service_levels.NAME]: what people of one level get."""

    rooms: bool = key(True, "People may make rooms. For plugins that bring rooms.", reload="live")
    archive_days: int = key(
        30,
        "Days for which messages are kept in the archive. For plugins that bring one. 0 = none.",
        ge=0,
        le=36_500,
        reload="live",
    )
    archive_messages: int = key(
        0,
        "Messages kept in one person's archive: beyond, the oldest go. 0 = no limit.",
        ge=0,
        le=1_000_000_000,
        reload="live",
    )
    upload_mb: int = key(
        10,
        "Greatest size of a file somebody sends, in megabytes. For plugins that take files. 0 = none.",
        ge=0,
        le=10_000,
        reload="live",
    )
    relay_minutes: int = key(
        0,
        "Minutes of calls through the relay that a person has in a month. For plugins that bring one. 0 = none.",
        ge=0,
        le=44_640,
        reload="live",
    )
    max_members: int = key(
        0,
        "People a company may have, those who are shut out included; beyond, nobody is added. 0 = no limit.",
        ge=0,
        le=10_000_000,
        reload="live",
    )
    company_roster: bool = key(
        True,
        "Colleagues are in everybody's roster by themselves, where the company wants it. Taken back, it goes from "
        "the rosters with the next change to the company.",
        reload="live",
    )
    search_outside: bool = key(
        True, "People may find people of other companies, as far as visibility allows.", reload="live"
    )


SHIPPED_LEVELS = {
    "essential": ServiceLevel(),
    "business": ServiceLevel(archive_days=365, upload_mb=100, relay_minutes=1000),
    "enterprise": ServiceLevel(archive_days=3650, upload_mb=1000, relay_minutes=10_000),
}


def level_name_problem(name: str) -> str:
    """What is wrong with the name of a level; "" when nothing is."""
    if LEVEL_NAME.fullmatch(name) and len(name) <= MAX_LEVEL_NAME:
        return ""
    return f"is no name for a level: at most {MAX_LEVEL_NAME} small letters and digits, words joined by _"


def misnamed(levels: Sections[Any]) -> "list[tuple[str, str]]":
    """Names that cannot be, each with what is wrong with it."""
    return [(name, problem) for name in levels if (problem := level_name_problem(name))]
