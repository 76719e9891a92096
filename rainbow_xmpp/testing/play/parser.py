"""Reading plays: a header, then scenes of sentences with XML behind them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from rainbow_xmpp.testing.play.failure import Place, PlayError
from rainbow_xmpp.testing.play.script import ONLY_DEVICE, Member, Scene
from rainbow_xmpp.testing.play.sentences import SENTENCES, Line, Sentence
from rainbow_xmpp.testing.play.steps import Step
from rainbow_xmpp.xml import Element

COMPANY = "Acme"
"""Whose people those are of whom a cast says nothing else."""

_SETTING = re.compile(r"(play|spec|cast|needs|not on \w+):\s+(.+)")
_SCENE = re.compile(r"scene:\s+(.+)")
_BEGINNING = "every scene begins:"
_MEMBER = re.compile(
    r"(?P<name>[a-z]+)(?: of (?P<company>\w+))?(?: with (?P<devices>[a-z]+(?: and [a-z]+)*))?"
)


class Row(NamedTuple):
    """A line that says something, and the indented lines behind it."""

    place: Place
    text: str
    block: tuple[tuple[Place, str], ...]


def read_plays(folder: Path) -> list[Scene]:
    """The scenes of every play in a folder, in the order of the files' names."""
    return [scene for file in sorted(folder.glob("*.play")) for scene in read_play(file)]


def read_play(file: Path) -> list[Scene]:
    """The scenes of a play. PlayError, with the line, when it cannot be understood."""
    reading = _Reading(Scene(file, 1, play="", spec="", title="", cast=()))
    for row in _rows(file):
        reading.take(row)
    return reading.finished()


@dataclass
class _Reading:
    """The header and the scenes so far; `scene` is the one being read, or the header's settings before the first."""

    header: Scene

    def __post_init__(self) -> None:
        self.scene: Scene | None = None
        self.has_beginning = False
        self.scenes: list[Scene] = []

    def take(self, row: Row) -> None:
        if found := _SCENE.fullmatch(row.text):
            self._end_scene()
            self.scene = replace(self.header, line=row.place.line, title=found[1])
        elif found := _SETTING.fullmatch(row.text):
            self._set(row.place, found[1], found[2])
        elif row.text == _BEGINNING and self.scene is None:
            self.has_beginning = True
        elif self.scene is None and not self.has_beginning:
            raise PlayError(row.place, f"neither a setting nor '{_BEGINNING}' nor a scene")
        else:
            step = _step(row, self._current.cast)
            self._current = replace(self._current, steps=(*self._current.steps, step))

    def finished(self) -> list[Scene]:
        self._end_scene()
        return self.scenes

    @property
    def _current(self) -> Scene:
        return self.scene or self.header

    @_current.setter
    def _current(self, changed: Scene) -> None:
        if self.scene is None:
            self.header = changed
        else:
            self.scene = changed

    def _set(self, place: Place, key: str, value: str) -> None:
        if self._current.steps and (self.scene is None or self.scene.steps != self.header.steps):
            raise PlayError(place, f"{key} stands before the first step")
        match key:
            case "play":
                self._current = replace(self._current, play=value)
            case "spec":
                self._current = replace(self._current, spec=value)
            case "cast":
                self._current = replace(self._current, cast=_cast(place, value))
            case "needs":
                self._current = replace(self._current, needs=tuple(re.split(r",\s*", value)))
            case _:
                server = key.removeprefix("not on ")
                self._current = replace(self._current, not_on={**self._current.not_on, server: value})

    def _end_scene(self) -> None:
        scene = self.scene
        if scene is None:
            return
        place = Place(scene.file, scene.line)
        for setting in ("play", "spec", "cast"):
            if not getattr(scene, setting):
                raise PlayError(place, f"the play does not say its {setting}")
        if len(scene.steps) == len(self.header.steps):
            raise PlayError(place, "nothing happens in this scene")
        if any(scene.title == other.title for other in self.scenes):
            raise PlayError(place, "another scene has this title")
        self.scenes.append(scene)


def _rows(file: Path) -> Iterator[Row]:
    row: Row | None = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        place = Place(file, number)
        if not line.startswith(" "):
            if row is not None:
                yield row
            row = Row(place, line.rstrip(), ())
        elif row is None:
            raise PlayError(place, "the first line is not indented")
        else:
            row = row._replace(block=(*row.block, (place, line)))
    if row is not None:
        yield row


def _cast(place: Place, text: str) -> tuple[Member, ...]:
    members: list[Member] = []
    for part in re.split(r",\s*", text):
        found = _MEMBER.fullmatch(part)
        if found is None:
            raise PlayError(
                place, f"'{part}' is not 'NAME', 'NAME of COMPANY' or 'NAME with DEVICE and DEVICE'"
            )
        devices = tuple(found["devices"].split(" and ")) if found["devices"] else (ONLY_DEVICE,)
        members.append(Member(found["name"], found["company"] or COMPANY, devices))
    return tuple(members)


def _step(row: Row, cast: Sequence[Member]) -> Step:
    for sentence in SENTENCES:
        found = sentence.pattern.fullmatch(row.text)
        if found is not None:
            return sentence.step(Line(row.place, found, cast, _block(row, sentence)))
    raise PlayError(row.place, f"'{row.text}' is no sentence of plays; there are: " + _all_sentences())


def _all_sentences() -> str:
    return "; ".join(sentence.text for sentence in SENTENCES)


def _block(row: Row, sentence: Sentence) -> tuple[Element, ...]:
    if bool(row.block) != bool(sentence.namespace):
        raise PlayError(
            row.place, "no XML stands behind it" if sentence.namespace else "nothing may stand behind it"
        )
    return tuple(_element(lines, sentence.namespace) for lines in _elements(row.block))


def _elements(block: Sequence[tuple[Place, str]]) -> Iterator[list[tuple[Place, str]]]:
    """The lines of each element: it begins at the block's margin."""
    if not block:
        return
    margin = min(len(line) - len(line.lstrip()) for _, line in block)
    lines: list[tuple[Place, str]] = []
    for place, line in block:
        begins = line[margin] == "<" and line[margin + 1 : margin + 2] != "/"
        if begins and lines:
            yield lines
            lines = []
        lines.append((place, line[margin:]))
    yield lines


def _element(lines: Sequence[tuple[Place, str]], namespace: str) -> Element:
    text = f"<play xmlns={quoteattr(namespace)}>" + "\n".join(line for _, line in lines) + "</play>"
    try:
        holder = ET.fromstring(text)  # noqa: S314 (what the author of a test wrote)
    except ET.ParseError as error:
        place = lines[min(error.position[0], len(lines)) - 1][0]
        raise PlayError(place, f"is not XML: {error}") from None
    if len(holder) != 1 or (holder.text or "").strip() or (holder[0].tail or "").strip():
        raise PlayError(lines[0][0], "one element begins at each line that is indented least")
    holder[0].tail = None
    return holder[0]
