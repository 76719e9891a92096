"""A company goes to another region and is the same there."""

import json

import pytest

from rainbow_xmpp.company.record import BadRecord, pack_company, unpack_company
from rainbow_xmpp.store.values import Company, CompanySettings, FactorRule, PasswordNeed, Visibility

ACME = Company(
    "a" * 24,
    "Acmé Ltd",
    "emea",
    Visibility.ORGANISATION,
    "Group",
    "gold",
    False,
    1_800_000_000,
    CompanySettings(
        visibilities=(Visibility.CLOSED,),
        roster=False,
        password_needs=(PasswordNeed.DIGIT,),
        second_factor=FactorRule.REQUIRED,
        regions=("na",),
    ),
)


def test_a_company_arrives_as_it_was_with_its_settings() -> None:
    assert unpack_company(pack_company(ACME)) == ACME


def test_what_a_newer_region_adds_is_left_out() -> None:
    written = json.loads(pack_company(ACME)) | {"colour": "blue"}
    written["settings"] = json.dumps(json.loads(written["settings"]) | {"colours": ["blue"]})
    assert unpack_company(json.dumps(written).encode()) == ACME


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"id": 5}, {"visibility": "sideways"}, {"settings": "{"}, {"settings": "[]"}],
    ids=["newer version", "wrong type", "unknown visibility", "broken settings", "settings of another kind"],
)
def test_what_cannot_be_understood_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadRecord):
        unpack_company(json.dumps(json.loads(pack_company(ACME)) | change).encode())


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(BadRecord):
        unpack_company(b"\xff{")
