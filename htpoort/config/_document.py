"""
Read a TOML file, and gather everything that is wrong with it, each with its line.

Never does: show a value of the file that may be a password.
"""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn, TypeVar, cast, final

from htpoort.config import _lines
from htpoort.errors import InputError, Problem

T = TypeVar("T")

_PLACE: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")
_WORD: Final = re.compile(r"[a-z_]+")


@final
class Document:
    """
    Hold a configuration file while it is read.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, or is not TOML.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.folder = path.absolute().parent
        self._found: list[tuple[int, Problem]] = []
        self._refused: set[_lines.Path] = set()
        text = self._text(path)
        try:
            self.table: Mapping[str, object] = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # Not every refusal of the parser is its own: a number of 5,000 digits, a thousand nested arrays.
            self._not_toml(str(error), text)
        self._lines = _lines.lines_of(text)

    def _text(self, path: Path) -> str:
        try:
            octets = path.read_bytes()
        except OSError as error:
            message = f"{self.name} cannot be read: {error.strerror}."
            raise InputError("", (Problem("config.file", message),)) from None
        try:
            return octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = octets.count(b"\n", 0, error.start) + 1
            message = f"{self.name}:{line}: This is not UTF-8, so it is not TOML."
            raise InputError("", (Problem("toml.syntax", message),)) from None

    def _not_toml(self, why: str, text: str) -> NoReturn:
        place = _PLACE.search(why)
        # "At end of document" has no number.
        line = text.count("\n") + 1 if place is None else int(place[1])
        message = f"{self.name}:{line}: This is not TOML: {_PLACE.sub('', why)}."
        raise InputError("", (Problem("toml.syntax", message),)) from None

    def has(self, path: _lines.Path) -> bool:
        """Tell whether the file holds a setting."""
        return path in self._lines

    def refused(self, path: _lines.Path, *keys: str) -> bool:
        """Tell whether a problem of one of the settings of a table was kept, so that something stands in for it."""
        return any((*path, key) in self._refused for key in keys)

    def refusal(self, code: str, path: _lines.Path, message: str) -> None:
        """
        Keep a problem.

        Args:
            code: Stable, dotted.
            path: The setting; the line of what it is in is told where it is missing.
            message: One sentence.
        """
        known = path
        while known and known not in self._lines:
            known = known[:-1]
        line = self._lines.get(known, 1)
        self._refused.add(path)
        self._found.append((line, Problem(code, f"{self.name}:{line}: {_lines.shown(path)}: {message}")))

    def made(
        self,
        path: _lines.Path,
        make: Callable[[], T],
        instead: T,
        names: Mapping[str, str] | None = None,
    ) -> T:
        """
        Make a value, and keep what its class says against it.

        What it says about a field that was refused before is about what stands in for it, and is not kept.

        Args:
            path: The table that it is made of.
            make: Makes it; an InputError tells each problem in a sentence that begins with a field.
            instead: Given where it cannot be made, so that the rest can be checked too.
            names: The keys of fields that are called otherwise in the file.
        """
        try:
            return make()
        except InputError as error:
            told: list[tuple[_lines.Path, Problem]] = []
            for problem in error.problems:
                word = _WORD.match(problem.message)
                field = "" if word is None else (names or {}).get(word[0], word[0])
                spelled = (field, f"{field}_env", f"{field}_file")
                if not self.refused(path, *spelled):
                    keys = [key for key in spelled if self.has((*path, key))]
                    told.append(((*path, *keys[:1]), problem))
            # Only now, because one field may have several problems.
            for place, problem in told:
                code = problem.code
                self.refusal(code, place, problem.message)
            return instead

    def tables(self, key: str) -> list[tuple[_lines.Path, object]]:
        """Give the tables of ``[[key]]``, each with its path."""
        value = self.table.get(key, [])
        if not isinstance(value, list):
            self.refusal("toml.type", (key,), f"write [[{key}]]; there may be several.")
            return []
        return [((key, number), entry) for number, entry in enumerate(cast("list[object]", value))]

    def named(self, key: str) -> list[tuple[_lines.Path, object]]:
        """Give the tables of ``[key.NAME]``, each with its path."""
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            self.refusal("toml.type", (key,), f"give a table for each system, [{key}.NAME].")
            return []
        return [((key, name), entry) for name, entry in cast("dict[str, object]", value).items()]

    def finish(self) -> None:
        """
        End the reading.

        Raises:
            InputError: There were problems; tells all, in the order of their lines.
        """
        if self._found:
            ordered = sorted(self._found, key=operator.itemgetter(0))
            raise InputError("", tuple(problem for _, problem in ordered))
