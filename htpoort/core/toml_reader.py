"""
Read TOML tables into values, and collect every problem with its path.

A class of attrs declares the keys of a table, their types and their defaults. `Document.read` fills it in, so that the
directory, a plan of moves, a script of the simulator and ``htpoort.toml`` are all read in the same way.
"""

from __future__ import annotations

import operator
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, TypeAlias, TypeVar, Union, cast, final, get_args, get_origin, get_type_hints

import attrs

from htpoort.core._toml_values import Delay, WrongValue, parse_day, plural_of, reader_of
from htpoort.core.errors import InputError, Problem, did_you_mean, near_names
from htpoort.core.text import unreadable

__all__ = ["Delay", "Document", "KeyPath", "one_word_of", "parse_day", "refused_setting", "required", "show_path"]

T = TypeVar("T")

KeyPath = tuple[str | int, ...]
"""The keys that lead to a setting; a number is a position in an array, from 0."""

_STAND_IN: Final = "stand-in"
_MEANT: Final = "meant"
_SECRET: Final = "secret"  # noqa: S105 - a key of metadata
_FIELD: Final = r"[a-z_]+"
_BARE_KEY: Final = r"[A-Za-z0-9_-]+"
_SURROGATE: Final = r"[\ud800-\udfff]"
_TOML_TWICE: Final = r"Cannot declare \((.+)\) twice"
_TOML_PLACE: Final = r" \(at line (\d+), column \d+\)\Z"


def required(stand_in: object) -> Any:  # noqa: ANN401 - a field of any type
    """
    Declare a setting that must be given.

    Args:
        stand_in: A valid value, as TOML has it. It replaces a setting that is missing or wrong, so that the rest of the
            table can still be checked.

    Returns:
        A field of an attrs class.
    """
    return attrs.field(metadata={_STAND_IN: stand_in})


def one_word_of(default: object, meant: Mapping[str, str]) -> Any:  # noqa: ANN401 - a field of any type
    """
    Declare a setting that takes one of a few words, for which people write others.

    Args:
        default: The value if the file has none.
        meant: For other words, in lower case, the one that they mean; it is proposed, and never taken for it.

    Returns:
        A field of an attrs class.
    """
    return attrs.field(default=default, metadata={_MEANT: meant})


def refused_setting() -> Any:  # noqa: ANN401 - a field of any type
    """
    Declare a setting that exists only to be refused, such as a password; it is not listed among the known ones.

    Returns:
        A field of an attrs class, None if the file does not have it.
    """
    return attrs.field(default=None, repr=False, metadata={_SECRET: True})


def show_path(path: KeyPath) -> str:
    """
    Write a path as a person would.

    >>> show_path(("outbox", 0, "port")), show_path(("systems", "TEST AGS"))
    ('outbox[0].port', 'systems."TEST AGS"')

    Args:
        path: The keys that lead to a setting.

    Returns:
        The path; empty for the whole document.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if re.fullmatch(_BARE_KEY, part) else f'"{part}"'
            text += f".{key}" if text else key
    return text


_Settings: TypeAlias = "Mapping[str, tuple[attrs.Attribute[Any], object]]"
_KINDS: Final[dict[type[object], _Settings]] = {}  # a plan has one kind of table, and ten thousand tables


def _settings(kind: type[object]) -> _Settings:
    """List the keys of a table: each with its field, and its type without None."""
    if kind not in _KINDS:
        hints, fields = get_type_hints(kind), attrs.fields(cast("type[attrs.AttrsInstance]", kind))
        _KINDS[kind] = {field.name: (field, _without_none(hints[field.name])) for field in fields}
    return _KINDS[kind]


def _stand_in(field: attrs.Attribute[Any], hint: object) -> Mapping[str, object]:
    if _STAND_IN not in field.metadata:
        return {}
    value = field.metadata[_STAND_IN]
    if get_origin(hint) is tuple:
        return {field.name: tuple(map(reader_of(get_args(hint)[0]), value))}
    return {field.name: reader_of(hint)(value)}


def _without_none(hint: object) -> object:
    if get_origin(hint) in {types.UnionType, Union}:
        (hint,) = (kind for kind in get_args(hint) if kind is not types.NoneType)
    return hint


# ── documents ────────────────────────────────────────────────────────────────


@final
class Document:
    """
    A TOML document while it is read: its tables, and every problem that was found in it.

    Args:
        table: The whole document, as `tomllib` parsed it.
        name: The file that it comes from; empty if there is none. Then problems have a path and no line.
        text: The text of the file, in which the lines of settings are found.
    """

    def __init__(self, table: Mapping[str, object], *, name: str = "", text: str = "") -> None:
        self.table = table
        self.name = name
        self._text = text
        self._lines: Mapping[KeyPath, int] | None = None
        self._problems: list[tuple[int, Problem]] = []
        self._refused: set[KeyPath] = set()

    @classmethod
    def of_file(cls, read: Callable[[], bytes], *, name: str) -> Document:
        """
        Parse the TOML file that a function reads.

        Args:
            read: Returns the octets of the file, in UTF-8.
            name: The file, for problems.

        Returns:
            The document, of which nothing is read yet.

        Raises:
            InputError: The file cannot be read, or is not TOML.
        """
        try:
            octets = read()
        except OSError as error:
            raise InputError("", (Problem("config.file", unreadable(name, error)),)) from error
        return cls.parse(octets, name=name)

    @classmethod
    def parse(cls, text: str | bytes, *, name: str = "") -> Document:
        """
        Parse a TOML document.

        Args:
            text: The text, or the octets of a file in UTF-8.
            name: The file that it comes from, for problems.

        Returns:
            The document, of which nothing is read yet.

        Raises:
            InputError: It is not UTF-8, or not TOML.
        """
        # Here, because few programs read TOML, and it would be 3 of the 47 ms that `import htpoort` takes.
        import tomllib  # noqa: PLC0415

        if isinstance(text, bytes):
            # What is no UTF-8 is kept until its line is known.
            text = text.decode("utf-8-sig", "surrogateescape")
        if (odd := re.search(_SURROGATE, text)) is not None:
            line = text.count("\n", 0, odd.start()) + 1
            _refuse_document(name, line, "This is not UTF-8, so it is not TOML.")
        try:
            return cls(tomllib.loads(text), name=name, text=text)
        except (ValueError, RecursionError) as error:
            # Some refusals of the parser are not its own: a number of 5,000 digits, a thousand nested arrays.
            reason = str(error)
            place = re.search(_TOML_PLACE, reason)
            # "At end of document" has no number.
            line = text.count("\n") + 1 if place is None else int(place[1])
            if (twice := re.match(_TOML_TWICE, reason)) is not None:
                path = tuple(re.findall(r"'([^']*)'", twice[1]))
                _refuse_document(name, line, f"[{show_path(path)}] appears twice; put its settings together.")
            shown = re.sub(_TOML_PLACE, "", reason) if name else reason
            _refuse_document(name, line, f"This is not TOML: {shown}.")

    def value(self, path: KeyPath) -> object:
        """
        Look a setting up.

        Args:
            path: The keys that lead to it.

        Returns:
            The value as TOML has it; None if the document does not have it.
        """
        value = cast("object", self.table)
        for part in path:
            if isinstance(part, int):
                entries = cast("list[object]", value) if isinstance(value, list) else []
                value = entries[part] if part < len(entries) else None
            else:
                value = cast("Mapping[str, object]", value).get(part) if isinstance(value, Mapping) else None
        return value

    def has(self, path: KeyPath) -> bool:
        """
        Report whether the document has a setting.

        Args:
            path: The keys that lead to it.

        Returns:
            Whether it is there; its value may be wrong.
        """
        return self.value(path) is not None

    def tables(self, path: KeyPath) -> list[KeyPath]:
        """
        Give the tables of an array, ``[[key]]``.

        Args:
            path: The array.

        Returns:
            The path of each table; none if the array is missing, or is not one, which becomes a problem.
        """
        entries = self.value(path)
        if entries is None:
            return []
        if not isinstance(entries, list):
            header = ".".join(part for part in path if isinstance(part, str))
            self.report("toml.type", path, f"write [[{header}]]; there may be several.")
            return []
        return [(*path, number) for number in range(len(cast("list[object]", entries)))]

    def named_tables(self, key: str) -> list[KeyPath]:
        """
        Give the tables of ``[key.NAME]``.

        Args:
            key: What holds them, at the top of the document.

        Returns:
            The path of each table; none if the key is missing, or does not hold tables, which becomes a problem.
        """
        entries = self.table.get(key, {})
        if not isinstance(entries, Mapping):
            self.report("toml.type", (key,), f"give a table for each system, [{key}.NAME].")
            return []
        return [(key, name) for name in cast("Mapping[str, object]", entries)]

    # ── problems ─────────────────────────────────────────────────────────────

    def report(self, code: str, path: KeyPath, message: str) -> None:
        """
        Keep a problem with a setting.

        Args:
            code: Stable, dotted.
            path: The setting; if it is missing, the line of what it belongs to is shown.
            message: One sentence.
        """
        self.add_problem(path, Problem(code, message))

    def add_problem(self, path: KeyPath, problem: Problem) -> None:
        """
        Keep a problem that a value reported.

        Args:
            path: The setting, as above.
            problem: What is wrong; the path, the file and the line are put before its message.
        """
        where = show_path(path)
        self._keep(path, problem, f"{where}: {problem.message}" if where else problem.message)

    def _keep(self, path: KeyPath, problem: Problem, message: str) -> None:
        """Keep a problem; the file and the line are put before *message*."""
        line = self._line(path) if self._text else 0
        if self.name:
            # A file that is empty has no lines.
            message = f"{self.name}:{line}: {message}" if line else f"{self.name}: {message}"
        # Any beginning of the path counts as refused with it: an array of which an item is wrong is not used.
        self._refused.update(path[:length] for length in range(1, len(path) + 1))
        self._problems.append((line, attrs.evolve(problem, message=message, start=0, stop=0)))

    def _line(self, path: KeyPath) -> int:
        if self._lines is None:
            # Here, because only a file with a problem needs its lines.
            from htpoort.core._toml_lines import lines_of  # noqa: PLC0415

            self._lines = lines_of(self._text)
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def is_refused(self, path: KeyPath, *keys: str | int) -> bool:
        """
        Report whether there is a problem with one of the settings of a table, so that a stand-in replaces it.

        Args:
            path: The table, or an array.
            keys: The settings, or positions.

        Returns:
            Whether a problem with one of them, or with a part of it, was kept.
        """
        return any((*path, key) in self._refused for key in keys)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem that was kept, in the order of their lines."""
        return tuple(problem for _, problem in sorted(self._problems, key=operator.itemgetter(0)))

    def finish(self) -> None:
        """
        End the reading.

        Raises:
            InputError: There were problems. The error lists every problem.
        """
        if self._problems:
            raise InputError("", self.problems)

    # ── reading ──────────────────────────────────────────────────────────────

    def read(self, path: KeyPath, kind: type[T]) -> T | None:
        """
        Read a table into a value. A setting that is wrong becomes a problem, and its stand-in or default is used.

        Args:
            path: The table.
            kind: An attrs class, each field of which is a key. Its type is a string, whole number, bool, day, moment,
                time, enum or Literal of strings, or a tuple of one of them; anything may be None. A field of type
                ``object`` takes what the document has.

        Returns:
            The value; None if there is no table, or if a setting is missing or wrong that has no stand-in.
        """
        table = self.value(path)
        if not isinstance(table, Mapping):
            self.report("toml.type", path, "give a table.")
            return None
        table = cast("Mapping[str, object]", table)
        settings = _settings(kind)
        values: dict[str, object] = {}
        for key, (field, hint) in settings.items():
            if key in table:
                values |= self._read(path, field, hint, table[key])
            elif field.default is attrs.NOTHING:
                self.report("toml.missing", (*path, key), "this setting is needed.")
                values |= _stand_in(field, hint)
        known = [key for key, (field, _) in settings.items() if _SECRET not in field.metadata]
        for key in table:
            if key not in settings:
                self.report_unknown((*path, key), known)
        complete = all(key in values or field.default is not attrs.NOTHING for key, (field, _) in settings.items())
        return kind(**values) if complete else None

    def report_unknown(self, path: KeyPath, known: Iterable[str]) -> None:
        """
        Keep the problem of a key that does not exist.

        Args:
            path: The key.
            known: The keys that exist there.
        """
        names = sorted(known)
        question = did_you_mean(near_names(str(path[-1]), names))
        self.report("toml.unknown-key", path, f"there is no such setting{question} Known: {', '.join(names)}.")

    def _read(self, path: KeyPath, field: attrs.Attribute[Any], hint: object, value: object) -> Mapping[str, object]:
        """Read one setting; empty if it is wrong and nothing can stand in for it."""
        path = (*path, field.name)
        try:
            if hint is object:
                return {field.name: value}
            if get_origin(hint) is tuple:
                return {field.name: self._read_items(path, get_args(hint)[0], value)}
            return {field.name: reader_of(hint)(value)}
        except WrongValue as wrong:
            code = wrong.code
            if wrong.advice:
                self.report(code, path, _advice(wrong, value, field.metadata.get(_MEANT, {})))
            return _stand_in(field, hint)

    def _read_items(self, path: KeyPath, kind: object, value: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            advice = f"give an array of {plural_of(kind)}."
            raise WrongValue(advice)
        items: list[object] = []
        entries = cast("list[object]", value)
        for number, entry in enumerate(entries):
            try:
                items.append(reader_of(kind)(entry))
            except WrongValue as wrong:
                code = wrong.code
                self.report(code, (*path, number), _advice(wrong, entry, {}))
        if len(items) < len(entries):
            raise WrongValue("")
        return tuple(items)

    def build(self, path: KeyPath, make: Callable[[], T], fallback: T, *, names: Mapping[str, str] | None = None) -> T:
        """
        Build a value from what was read, and keep the problems that its class finds.

        A problem with a field that was refused before concerns its stand-in, and is dropped.

        Args:
            path: The table that the value is built from.
            make: Builds it; the message of each problem of an InputError begins with the name of the field.
            fallback: Returned if it cannot be built, so that the rest can be checked too.
            names: The keys of fields that have another name in the document.

        Returns:
            The value, or *fallback*.
        """
        try:
            return make()
        except InputError as error:
            kept: list[tuple[KeyPath, Problem, str]] = []
            for problem in error.problems:
                match = re.match(_FIELD, problem.message)
                field = "" if match is None else match[0]
                key = (names or {}).get(field, field)
                spelled = (key, f"{key}_env", f"{key}_file")
                if not self.is_refused(path, *spelled):
                    present = [name for name in spelled if self.has((*path, name))]
                    place, rest = (*path, *present[:1]), problem.message.removeprefix(field)
                    named = "" if present[:1] == [key] else f": {key}"
                    kept.append((place, problem, f"{show_path(place)}{named}{rest}".removeprefix(": ")))
            # Only now, because one field may have several problems.
            for place, problem, message in kept:
                self._keep(place, problem, message)
            return fallback


def _advice(wrong: WrongValue, value: object, meant: Mapping[str, str]) -> str:
    """Add the word that a wrong one may be a slip of, or that it means."""
    if not isinstance(value, str) or not wrong.words:
        return wrong.advice
    word = meant.get(value.casefold())
    near = near_names(value, wrong.words) if word is None else (word,)
    return f"{wrong.advice.removesuffix('.')}{did_you_mean(near)}"


def _refuse_document(name: str, line: int, message: str) -> NoReturn:
    place = f"{name}:{line}: " if name else ""
    raise InputError("", (Problem("toml.syntax", f"{place}{message}"),)) from None
