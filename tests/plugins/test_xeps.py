"""docs/xeps.md says what plugins and the core declare."""

import re
from pathlib import Path

import pytest

from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.specifications import COMPLETE, CORE, followed, page

FOUND = followed(find_plugins().values())


def test_the_page_is_current():
    written = (Path(__file__).parents[2] / "docs" / "xeps.md").read_text()
    assert written == page(FOUND), "run: make conf"


@pytest.mark.parametrize("each", FOUND, ids=lambda each: f"{each.number} {each.owner}")
def test_a_declaration_has_a_number_a_title_and_a_version(each):
    assert re.fullmatch(r"XEP-\d{4}|RFC \d{4}", each.number)
    assert each.title, "write the title into TITLES in rainbow_xmpp/specifications.py"
    assert re.fullmatch(r"\d+(\.\d+)*", each.version)


def test_what_is_not_complete_is_said_in_words():
    class Partly:
        name = "partly"
        implements = {"XEP-0334": "1.0.0, the hints store, no-store", "XEP-9999": "0.1"}  # noqa: RUF012

    by_number = {each.number: each for each in followed([Partly()]) if each.owner == "partly"}
    assert by_number["XEP-0334"].status == "the hints store, no-store"
    assert (by_number["XEP-9999"].status, by_number["XEP-9999"].title) == (COMPLETE, "")
    assert (
        "| [XEP-0334](https://xmpp.org/extensions/xep-0334.html) | Message Processing Hints | 1.0.0 |"
        in page(by_number.values())
    )


def test_the_core_declares_what_it_does_without_plugins():
    assert {"RFC 6120", "RFC 6121", "RFC 7395", "RFC 7622", "XEP-0368"} <= CORE.keys()
