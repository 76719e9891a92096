"""A company's settings as text: JSON of what differs from the defaults, so that new defaults reach old companies."""

import dataclasses
import json
from functools import lru_cache

from rainbow_xmpp.store.values import CompanySettings, Crossing, FactorRule, PasswordNeed, Visibility

_DEFAULTS = CompanySettings()


@lru_cache(maxsize=4096)
def settings_from(text: str) -> CompanySettings:
    """The settings that `settings_text` wrote; keys of a newer version are left out."""
    if not text:
        return _DEFAULTS
    known = {field.name for field in dataclasses.fields(CompanySettings)}
    written = {name: value for name, value in json.loads(text).items() if name in known}
    if "visibilities" in written:
        written["visibilities"] = tuple(map(Visibility, written["visibilities"]))
    if "password_needs" in written:
        written["password_needs"] = tuple(map(PasswordNeed, written["password_needs"]))
    if "regions" in written:
        written["regions"] = tuple(written["regions"])
    if "second_factor" in written:
        written["second_factor"] = FactorRule(written["second_factor"])
    if "cross_region" in written:
        written["cross_region"] = Crossing(written["cross_region"])
    return CompanySettings(**written)


def settings_text(settings: CompanySettings) -> str:
    """What differs from the defaults."""
    differing = {
        field.name: value
        for field in dataclasses.fields(settings)
        if (value := getattr(settings, field.name)) != getattr(_DEFAULTS, field.name)
    }
    return json.dumps(differing) if differing else ""
