"""The catalogues: complete, and chosen by what somebody asks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from rainbow_xmpp.languages import LANGUAGES, choose_language
from rainbow_xmpp.words import translation

ROOT = Path(__file__).parents[2]
_METHODS = [("**/letters/*.txt", "jinja2"), ("**/templates/*.html", "jinja2"), ("**.py", "python")]
_OPTIONS = {"**/letters/*.txt": {"trimmed": "true"}, "**/templates/*.html": {"trimmed": "true"}}


def marked_texts() -> Iterator[tuple[str, str]]:
    """Every text that is marked for translation, and where."""
    for folder in ("rainbow_xmpp", "plugins"):
        found = extract_from_dir(
            str(ROOT / folder),
            method_map=_METHODS,
            options_map=_OPTIONS,
            keywords={"N_": None, "gettext": None, "_": None},
        )
        for file, _, text, _, _ in found:
            yield (text if isinstance(text, str) else text[0]), file


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_nothing_lacks_a_translation_and_none_is_left_over(language: str) -> None:
    path = ROOT / "rainbow_xmpp" / "locale" / language / "LC_MESSAGES" / "rainbow.po"
    catalogue = read_po(path.open("rb"), locale=language)
    translated = {str(message.id): str(message.string) for message in catalogue if message.id}
    marked = dict(marked_texts())
    assert len(marked) > 20
    assert {text: marked[text] for text in marked.keys() - translated.keys()} == {}
    assert translated.keys() - marked.keys() == set()
    assert [text for text, words in translated.items() if not words] == []


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_translations_name_the_same_values(language: str) -> None:
    path = ROOT / "rainbow_xmpp" / "locale" / language / "LC_MESSAGES" / "rainbow.po"
    for message in read_po(path.open("rb"), locale=language):
        assert [str(error) for error in message.check(None)] == [], message.id


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("", "en"),
        ("de", "en"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("de, fr;q=0.8, en;q=0.3", "fr"),
        ("en;q=0.1, FR-ca", "fr"),
        ("fr;q=0", "en"),
        ("fr;q=nonsense, zh;q=0.2", "zh"),
        (";;;,,,=,q=1", "en"),
        ("fr," * 10_000, "fr"),
    ],
)
def test_the_language_is_the_best_of_those_that_are_there(wanted: str, language: str) -> None:
    assert choose_language(wanted) == language


def test_a_language_that_is_not_there_is_english() -> None:
    assert translation("../../etc").gettext("A text") == "A text"
