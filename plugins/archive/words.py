"""Words: what a text is found by, the same in every database (XEP-0431).

Small and capital letters are the same, and so are letters with and without marks. Languages that put no spaces
between words are found by every two characters that follow each other. What goes into the index is plain ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from rainbow_xmpp.xml import View

MOST_WORDS = 1_000
"""Of one message."""
_MOST_CHARACTERS = 64
_RUN = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Chinese characters
    "]+"
)


def text_in(message: View) -> str:
    """What people wrote: subject and body, in every language they are there in."""
    written = [c for c in message.children if c.name in ("subject", "body") and c.ns == message.ns]
    if len({child.name for child in written}) == len(written):
        return "\n".join(message.text_of(child.name) or "" for child in written)
    return "\n".join("".join(message.child_element(child).itertext()) for child in written)


def words_in(text: str) -> frozenset[str]:
    """The words of a message."""
    if text.isascii():
        found = dict.fromkeys(word[:_MOST_CHARACTERS] for word in _RUN.findall(text.lower()))
        return frozenset(found) if len(found) <= MOST_WORDS else frozenset(list(found)[:MOST_WORDS])
    found = {}
    for run, is_unspaced in _runs(text):
        pairs = [run[i : i + 2] for i in range(len(run))] if is_unspaced else [run]
        found.update(dict.fromkeys(_spelled(word) for word in pairs))
        if len(found) >= MOST_WORDS:
            break
    return frozenset(list(found)[:MOST_WORDS])


def words_asked(text: str) -> frozenset[str]:
    """What a message must have to be found; a `*` at the end stands for any end of the word."""
    found = set()
    for run, is_unspaced in _runs(text):
        if not is_unspaced:
            found.add(_spelled(run))
        elif len(run) == 1:
            found.add(_spelled(run) + "*")
        else:
            found.update(_spelled(run[i : i + 2]) for i in range(len(run) - 1))
    return frozenset(found)


def has_words(asked: frozenset[str], words: frozenset[str]) -> bool:
    """Whether all that is asked for is there."""
    return all(
        any(word.startswith(one[:-1]) for word in words) if one.endswith("*") else one in words
        for one in asked
    )


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Letters and digits that stand together, and whether they are of a script without spaces."""
    if text.isascii():
        for word in _RUN.findall(text.lower()):
            yield word, False
        return
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c)))
    for match in _RUN.finditer(plain):
        run, pos = match[0], 0
        for unspaced in _UNSPACED.finditer(run):
            if run[pos : unspaced.start()]:
                yield run[pos : unspaced.start()], False
            yield unspaced[0], True
            pos = unspaced.end()
        if run[pos:]:
            yield run[pos:], False


def _spelled(word: str) -> str:
    word = word[:_MOST_CHARACTERS]
    return word if word.isascii() else "_" + word.encode().hex()
