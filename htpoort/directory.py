"""
Know the declaration systems: which mailbox and which process IDs belong to which.

Never does: guess a system from the letters of a name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, cast, final

import attrs

from htpoort import _address, _grammar
from htpoort._words import ascii_lower
from htpoort.errors import InputError, Problem, UnknownError

__all__ = ["AGS", "DMS", "HTPOORT", "DeclarationSystem", "Directory", "Mark"]

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?")
_PAGE: Final = 'Douane, "Hoe bereid ik me voor op DMS?"'

# Checked once by a test instead of at every import, which then needs no validator.
_PUBLISHED: Final = frozenset({"ags@htpoort.nl", "dms@htpoort.nl"})


class Mark(enum.Enum):
    """Tell how sure a fact is."""

    OFFICIAL = "official"
    """Stated by the authority."""
    FIELD = "field"
    """Seen in software or messages in use."""
    INFERRED = "inferred"
    """Our reasoning."""
    UNKNOWN = "unknown"
    """Nothing public."""


def _id_problems(field: str, text: object) -> tuple[Problem, ...]:
    """Find what keeps a text from being a process ID that is sent."""
    if isinstance(text, str) and _grammar.WRITER_VALUE.fullmatch(text):
        return ()
    message = f"{field} is {text!r}; a process ID has 1 to 35 letters, digits, dots, hyphens or underscores."
    return (Problem("input.process-id", message),)


def _process_id_alone(system: DeclarationSystem) -> frozenset[str]:
    process_id = cast("object", system.process_id)
    return frozenset({process_id}) if isinstance(process_id, str) else frozenset()


@final
@attrs.frozen(kw_only=True)
class DeclarationSystem:
    """
    Describe one system that takes declarations (*aangiftesysteem*).

    >>> DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL").reply_ids
    frozenset({'EXIT.NL'})

    Args:
        name: What users call it: 1 to 64 ASCII letters, digits, blanks, dots, hyphens, underscores, no blank
            at either end.
        mailbox: Where declarations go and replies come from (*postbus*).
        process_id: A of a request (*proces-ID*): 1 to 35 of ``A-Z a-z 0-9 . _ -``.
        reply_ids: V of its replies; a system may answer under another id than it is addressed by.
            The process ID alone where nothing is given.
        title: One line that says what it is.
        source: The document that says so.
        mark: How sure that is.

    Raises:
        InputError: A value cannot be taken; tells every problem.
    """

    name: str
    mailbox: str
    process_id: str
    reply_ids: frozenset[str] = attrs.field(default=attrs.Factory(_process_id_alone, takes_self=True))
    title: str = ""
    source: str = ""
    mark: Mark = Mark.UNKNOWN

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        name, mailbox, reply_ids = (cast("object", value) for value in (self.name, self.mailbox, self.reply_ids))
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            message = f"name is {name!r}; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores."
            problems.append(Problem("input.system-name", message))
        if not (isinstance(mailbox, str) and mailbox in _PUBLISHED):
            problems.extend(_address.mailbox_problems("mailbox", mailbox))
        problems.extend(_id_problems("process_id", self.process_id))
        if not isinstance(reply_ids, frozenset) or not reply_ids:
            problems.append(
                Problem("input.reply-ids", f"reply_ids is {reply_ids!r}; give a frozenset with an id in it.")
            )
        else:
            for reply_id in sorted(self.reply_ids, key=str):
                if reply_id != self.process_id:
                    problems.extend(_id_problems("reply_ids", reply_id))
        problems.extend(_told_problems(title=self.title, source=self.source, mark=self.mark))
        if problems:
            raise InputError("", tuple(problems))


def _told_problems(**fields: object) -> list[Problem]:
    """Find what is wrong with the fields that are only shown."""
    kinds = {field: Mark if field == "mark" else str for field in fields}
    return [
        Problem("input.type", f"{field} is {type(value).__name__}; give a {kinds[field].__name__}.")
        for field, value in fields.items()
        if not isinstance(value, kinds[field])
    ]


def _clashes(systems: tuple[DeclarationSystem, ...]) -> tuple[Problem, ...]:
    """Find names, mailboxes and process IDs that two systems share."""
    owners: dict[tuple[str, str], int] = {}
    problems: list[Problem] = []
    for at, system in enumerate(systems):
        ids = {ascii_lower(text): text for text in (*sorted(system.reply_ids), system.process_id)}
        keys = [("name", system.name), ("mailbox", system.mailbox), *(("process ID", text) for text in ids.values())]
        for what, text in keys:
            other = owners.setdefault((what, ascii_lower(text)), at)
            if other != at:
                both = f"{systems[other].name} and {system.name}"
                message = f"The systems {both} share the {what} {text}; a reply could be of either."
                problems.append(Problem("directory.shared", message))
    return tuple(problems)


_Index = dict[str, DeclarationSystem]


def _index(keys: Callable[[DeclarationSystem], Iterable[str]]) -> _Index:
    """Declare a field that finds systems by a key, whatever the case of its letters."""

    def built(directory: Directory) -> _Index:
        return {ascii_lower(key): system for system in directory.systems for key in keys(system)}

    return attrs.field(init=False, eq=False, repr=False, default=attrs.Factory(built, takes_self=True))


@final
@attrs.frozen
class Directory:
    """
    Hold the declaration systems that a program knows.

    >>> HTPOORT.by_mailbox("DMS@htpoort.nl").name
    'DMS'
    >>> [system.name for system in HTPOORT]
    ['AGS', 'DMS']

    Args:
        systems: The systems; no two share a name, a mailbox or a process ID, whatever the case of its letters.

    Raises:
        InputError: Two systems share something; names both.
    """

    systems: tuple[DeclarationSystem, ...]
    _names: _Index = _index(lambda system: [system.name])
    _mailboxes: _Index = _index(lambda system: [system.mailbox])
    _process_ids: _Index = _index(lambda system: [system.process_id, *system.reply_ids])
    _reply_ids: _Index = _index(lambda system: system.reply_ids)

    def __attrs_post_init__(self) -> None:
        if problems := _clashes(self.systems):
            raise InputError("", problems)

    def __iter__(self) -> Iterator[DeclarationSystem]:
        return iter(self.systems)

    def system(self, name: str) -> DeclarationSystem:
        """
        Look a system up by its name.

        Args:
            name: In any case.

        Returns:
            The system.

        Raises:
            UnknownError: No system of this directory has the name. Has *key*, *known*.
        """
        return _looked_up(self._names, name, {system.name for system in self})

    def by_mailbox(self, mailbox: str) -> DeclarationSystem:
        """
        Look a system up by the mailbox that it reads and answers from.

        Args:
            mailbox: In any case, without a display name.

        Returns:
            The system.

        Raises:
            UnknownError: No system of this directory has the mailbox. Has *key*, *known*.
        """
        return _looked_up(self._mailboxes, mailbox, {system.mailbox for system in self})

    def by_process_id(self, process_id: str) -> DeclarationSystem:
        """
        Look a system up by the process ID that it is addressed by or answers under.

        Args:
            process_id: In any case.

        Returns:
            The system.

        Raises:
            UnknownError: No system of this directory has the process ID. Has *key*, *known*.
        """
        known = {text for system in self for text in (system.process_id, *system.reply_ids)}
        return _looked_up(self._process_ids, process_id, known)

    def answering_from(self, mailbox: str) -> DeclarationSystem | None:
        """
        Find the system whose replies come from a mailbox.

        Args:
            mailbox: As a peer wrote it.

        Returns:
            The system, or None.
        """
        return self._mailboxes.get(ascii_lower(mailbox))

    def answering_as(self, process_id: str) -> DeclarationSystem | None:
        """
        Find the system that replies under a process ID.

        Args:
            process_id: V as a peer wrote it.

        Returns:
            The system, or None; also None for an id that is only addressed, never replied under.
        """
        return self._reply_ids.get(ascii_lower(process_id))

    def add(self, *systems: DeclarationSystem) -> Directory:
        """
        Make a directory with more systems.

        Args:
            systems: What to add: a further system, a test environment.

        Returns:
            A new directory; this one stays as it is.

        Raises:
            InputError: A name, mailbox or process ID is already there; names both systems.
        """
        return Directory((*self.systems, *systems))

    @classmethod
    def from_toml(cls, text: str) -> Directory:
        """
        Read a directory from TOML: a table ``[systems.NAME]`` for each system.

        >>> Directory.from_toml('''
        ... [systems.EXIT]
        ... mailbox = "exit@customs.example"
        ... process_id = "EXIT.NL"
        ... ''').system("exit").process_id
        'EXIT.NL'

        Args:
            text: TOML; keys of a system: mailbox, process_id, reply_ids, title, source, mark.

        Returns:
            A directory of just these systems; ``HTPOORT.add(*directory)`` adds them to the published ones.

        Raises:
            InputError: The text is not TOML, or tables cannot be taken; tells every problem with its path.
        """
        # Here, because few programs call this, and it would be 3 of the 47 ms that `import htpoort` takes.
        import tomllib  # noqa: PLC0415

        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # Not every refusal of the parser is its own: a number of 5,000 digits, a thousand nested arrays.
            raise InputError("", (Problem("toml.syntax", f"This is not TOML: {error}."),)) from None
        return cls.from_table(table)

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> Directory:
        """
        Read a directory from a table that is already parsed.

        Args:
            table: A mapping with the one key ``systems``, as `from_toml` describes it.

        Returns:
            A directory of just these systems.

        Raises:
            InputError: Tables cannot be taken; tells every problem with its path.
        """
        problems = [_unknown_key(key) for key in table if key != "systems"]
        entries = table.get("systems", {})
        systems: list[DeclarationSystem] = []
        if isinstance(entries, Mapping):
            for name, entry in cast("Mapping[str, object]", entries).items():
                try:
                    systems.append(_system(name, entry))
                except InputError as error:
                    problems.extend(error.problems)
        else:
            problems.append(Problem("toml.type", "systems: give a table for each system, [systems.NAME]."))
        if problems:
            raise InputError("", (*problems, *_clashes(tuple(systems))))
        return cls(tuple(systems))


def _looked_up(index: Mapping[str, DeclarationSystem], key: str, known: Iterable[str]) -> DeclarationSystem:
    found = index.get(ascii_lower(key))
    if found is None:
        raise UnknownError(key, tuple(sorted(known)))
    return found


def _unknown_key(path: str) -> Problem:
    return Problem("toml.unknown-key", f"{path}: there is no such setting.")


_TEXTS: Final = ("mailbox", "process_id", "title", "source")


def _system(name: str, entry: object) -> DeclarationSystem:
    """Make a system of one TOML table; every problem begins with its path."""
    path = f"systems.{name}"
    if not isinstance(entry, Mapping):
        raise InputError("", (Problem("toml.type", f"{path}: give a table."),))
    table = cast("Mapping[str, object]", entry)
    problems = [_unknown_key(f"{path}.{key}") for key in table if key not in {*_TEXTS, "reply_ids", "mark"}]
    problems += [
        Problem("toml.missing", f"{path}.{key}: this setting is needed.")
        for key in ("mailbox", "process_id")
        if key not in table
    ]
    problems += [
        Problem("toml.type", f"{path}.{key}: give a string.")
        for key in _TEXTS
        if not isinstance(table.get(key, ""), str)
    ]
    # What is missing or of a wrong type was reported; something sound stands in for it, so that the rest is checked.
    texts = {key: value for key in _TEXTS if isinstance(value := table.get(key), str)}
    texts = {"mailbox": _ANY_MAILBOX, "process_id": _ANY_ID} | texts
    reply_ids: object = table.get("reply_ids", [texts["process_id"]])
    if not (isinstance(reply_ids, list) and all(isinstance(text, str) for text in cast("list[object]", reply_ids))):
        problems.append(Problem("toml.type", f"{path}.reply_ids: give an array of strings."))
        reply_ids = [_ANY_ID]
    marks = {mark.value: mark for mark in Mark}
    mark = marks.get(str(table.get("mark", "unknown")))
    if mark is None:
        problems.append(Problem("toml.value", f"{path}.mark: give one of {', '.join(marks)}."))
    try:
        system = DeclarationSystem(
            name=name, reply_ids=frozenset(cast("list[str]", reply_ids)), mark=mark or Mark.UNKNOWN, **texts
        )
    except InputError as error:
        problems += [attrs.evolve(problem, message=f"{path}: {problem.message}") for problem in error.problems]
    else:
        if not problems:
            return system
    raise InputError("", tuple(problems))


_ANY_ID: Final = "X"
_ANY_MAILBOX: Final = "x@customs.example"


AGS: Final = DeclarationSystem(
    name="AGS",
    mailbox="ags@htpoort.nl",
    process_id="DMS.NL",
    title="Declarations, the old system (Aangiftesysteem)",
    source=_PAGE,
    mark=Mark.OFFICIAL,
)
"""The old declaration system. Its process ID has the letters DMS in it all the same."""

DMS: Final = DeclarationSystem(
    name="DMS",
    mailbox="dms@htpoort.nl",
    process_id="DMS4.NL",
    title="Declarations, the new system (DMS 4)",
    source=_PAGE,
    mark=Mark.OFFICIAL,
)
"""The new declaration system."""

HTPOORT: Final = Directory((AGS, DMS))
"""The published systems of the Handel & Transport Gateway."""
