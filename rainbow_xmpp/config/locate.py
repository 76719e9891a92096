"""On which line of a TOML file does each key stand?

`tomllib` keeps no positions. This walks the text once more, after `tomllib` has accepted it, so it
may rely on the text being valid TOML and needs to know only where keys, strings and brackets are.
"""

import re
import tomllib

Path = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r"'[^']*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_STRINGS = (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL)


def key_lines(text: str) -> dict[Path, int]:
    """The line (from 1) of each table and key in a valid TOML text; keys of inline tables are included.

    Of the elements of an array of tables the last one counts.
    """
    walker = _Walker(text)
    walker.document()
    return walker.lines


class _Walker:
    """Walks a valid TOML text from start to end and notes where keys stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = 0  # so far the line ends are counted
        self._line = 1
        self.lines: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        start = self._at
        while self._text[self._at] == "[":
            self._at += 1
        path = self._key()
        self._note(path, start)
        while self._text[self._at : self._at + 1] == "]":
            self._at += 1
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table + self._key()
        self._note(path, start)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening == "{":
            self._items(path, "}")
        elif opening == "[":
            self._items(path, "]")
        elif not self._skip_string():
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _items(self, path: Path, closing: str) -> None:
        self._at += 1
        while self._skip_blank() and self._text[self._at] != closing:
            if self._text[self._at] == ",":
                self._at += 1
            elif closing == "}":
                self._pair(path)
            else:
                self._value(path)
        self._at += 1

    def _key(self) -> Path:
        """A key such as `a."b c".d`; ends before what follows it."""
        parts: list[str] = []
        while self._skip_blank():
            start = self._at
            if bare := _BARE.match(self._text, start):
                self._at = bare.end()
                parts.append(bare.group())
            elif self._skip_string():
                parts.append(_unquoted(self._text[start : self._at]))
            elif self._text[start] == ".":
                self._at += 1
            else:
                break
        return tuple(parts)

    def _skip_string(self) -> bool:
        for pattern in _STRINGS:
            if found := pattern.match(self._text, self._at):
                self._at = found.end()
                return True
        return False

    def _skip_blank(self) -> bool:
        """Go over space, line ends and comments; say whether there is anything left."""
        blank = _BLANK.match(self._text, self._at)
        if blank is not None:
            self._at = blank.end()
        return self._at < len(self._text)

    def _note(self, path: Path, at: int) -> None:
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        for depth in range(1, len(path)):
            self.lines.setdefault(path[:depth], self._line)
        self.lines[path] = self._line


def _unquoted(key: str) -> str:
    """What a quoted key stands for; the usual one has no escapes."""
    if "\\" not in key or key.startswith("'"):
        return key[1:-1]
    return next(iter(tomllib.loads(f"{key} = 0")))
