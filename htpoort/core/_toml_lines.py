"""Find the line of each setting in a TOML text, which tomllib does not give."""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import Final, cast, final

_Path = tuple[str | int, ...]

_SPACE: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANK: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+')
# A string may end in two more of its own quotes before the three that close it.
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[_Path, int]:
    r"""
    Find the line on which each setting of a TOML text begins.

    >>> lines_of('parties = ["a", "b"]\n[[outbox]]\nport = 25\n')[("outbox", 0, "port")]
    3

    Args:
        text: A text that `tomllib.loads` accepts; it is not checked again.

    Returns:
        The line of each table, key and item of an array, from 1.
    """
    # tomllib does the same, and counts lines after it.
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


@final
class _Scanner:
    """Walk through a text once, from statement to statement."""

    def __init__(self, text: str) -> None:
        self.lines: dict[_Path, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer(r"\n", text)]
        self._last: dict[_Path, int] = {}
        """The number of the newest table of each array of tables."""

    def document(self) -> None:
        table: _Path = ()
        while self._next():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> _Path:
        """Read ``[table]`` or ``[[table]]``."""
        start, array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = self._keys()
        self._at = self._text.index("]", self._at) + (2 if array else 1)
        path: _Path = ()
        for key in keys[:-1]:
            path = self._newest((*path, key))
        path = (*path, keys[-1])
        if array:
            self._note(path, start)
            self._last[path] = self._last.get(path, -1) + 1
        path = self._newest(path)
        self._note(path, start)
        return path

    def _newest(self, path: _Path) -> _Path:
        return (*path, self._last[path]) if path in self._last else path

    def _pair(self, table: _Path) -> None:
        """Read ``key = value``."""
        start = self._at
        path = (*table, *self._keys())
        self._note(path, start)
        self._at = self._text.index("=", self._at) + 1
        self._skip(_BLANK)
        self._value(path)

    def _keys(self) -> tuple[str, ...]:
        """Read a key; it may be dotted."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            token = self._skip(_KEY)
            keys.append(_unquoted(token))
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return tuple(keys)
            self._at += 1

    def _value(self, path: _Path) -> None:
        opening = self._text[self._at]
        if opening not in "[{":
            self._skip(_STRING if opening in "\"'" else _SCALAR)
            return
        closing, number = "]" if opening == "[" else "}", 0
        self._at += 1
        self._next()
        while self._text[self._at] != closing:
            if opening == "{":
                self._pair(path)
            else:
                self._note((*path, number), self._at)
                self._value((*path, number))
                number += 1
            self._next()
            if self._text[self._at] == ",":
                self._at += 1
                self._next()
        self._at += 1

    def _note(self, path: _Path, start: int) -> None:
        """Keep the line of a setting, and of each table above it that has no line of its own."""
        line = bisect.bisect_left(self._ends, start) + 1
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _next(self) -> bool:
        """Skip blanks and comments; return whether anything follows."""
        self._skip(_SPACE)
        return self._at < len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = cast("re.Match[str]", pattern.match(self._text, self._at))
        self._at = match.end()
        return match[0]


def _unquoted(token: str) -> str:
    """Return the key that a token denotes."""
    return next(iter(tomllib.loads(f"{token} = 0"))) if token[0] in "\"'" else token
