"""
The declaration systems, and which mailbox and process IDs belong to each.

This module never guesses a system from the letters of a name.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Final, cast, final

import attrs

from htpoort.core import address, grammar
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.text import ascii_lower
from htpoort.core.toml_reader import Document, KeyPath, required

__all__ = ["AGS", "DMS", "HTPOORT", "DeclarationSystem", "Directory", "Mark"]

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?")
_PAGE: Final = 'Douane, "Hoe bereid ik me voor op DMS?"'

# The published mailboxes. A test checks them once instead of every import, which then needs no validator.
_MAILBOXES: Final = {"AGS": "ags@htpoort.nl", "DMS": "dms@htpoort.nl"}


class Mark(enum.Enum):
    """How certain a fact is."""

    OFFICIAL = "official"
    """Stated by the authority."""
    FIELD = "field"
    """Seen in software or messages in use."""
    INFERRED = "inferred"
    """Concluded by us from other facts."""
    UNKNOWN = "unknown"
    """Nothing is published."""


def _id_problems(field: str, text: object) -> tuple[Problem, ...]:
    """Find what is wrong with a process ID."""
    if isinstance(text, str) and grammar.WRITER_VALUE.fullmatch(text):
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
    One system that takes declarations (*aangiftesysteem*).

    >>> DeclarationSystem(
    ...     name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL"
    ... ).reply_ids
    frozenset({'EXIT.NL'})

    Args:
        name: What users call it: 1 to 64 ASCII letters, digits, blanks, dots, hyphens, underscores, with no blank
            at either end.
        mailbox: Where declarations go and replies come from (*postbus*).
        process_id: A of a request (*proces-ID*): 1 to 35 of ``A-Z a-z 0-9 . _ -``.
        reply_ids: V of its replies, which may differ from the process ID that it is addressed by. By default, the
            process ID alone.
        title: What the system is, in one line.
        source: The document that these values come from.
        mark: How certain they are.
        closed: The first day on which it takes no new declaration from anyone; replies may still come. None if it
            takes them.

    Raises:
        InputError: A value is invalid. The error lists every problem.
    """

    name: str
    mailbox: str
    process_id: str
    reply_ids: frozenset[str] = attrs.field(default=attrs.Factory(_process_id_alone, takes_self=True))
    title: str = ""
    source: str = ""
    mark: Mark = Mark.UNKNOWN
    closed: date | None = None

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        name, mailbox, reply_ids = (cast("object", value) for value in (self.name, self.mailbox, self.reply_ids))
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            message = f"name is {name!r}; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores."
            problems.append(Problem("input.system-name", message))
        if not (isinstance(mailbox, str) and mailbox in _MAILBOXES.values()):
            problems.extend(address.mailbox_problems("mailbox", mailbox))
        problems.extend(_id_problems("process_id", self.process_id))
        if not isinstance(reply_ids, frozenset) or not reply_ids:
            problems.append(
                Problem("input.reply-ids", f"reply_ids is {reply_ids!r}; give a frozenset of at least one process ID.")
            )
        else:
            for reply_id in sorted(self.reply_ids, key=str):
                if reply_id != self.process_id:
                    problems.extend(_id_problems("reply_ids", reply_id))
        problems.extend(_text_problems(title=self.title, source=self.source, mark=self.mark))
        closed = cast("object", self.closed)
        if closed is not None and (not isinstance(closed, date) or isinstance(closed, datetime)):
            message = f"closed is {type(closed).__name__}; give a date without a time, or None."
            problems.append(Problem("input.date", message))
        if problems:
            raise InputError("", tuple(problems))


def _text_problems(**fields: object) -> list[Problem]:
    """Find what is wrong with the fields that are shown and never compared."""
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
    for index, system in enumerate(systems):
        ids = {ascii_lower(text): text for text in (*sorted(system.reply_ids), system.process_id)}
        keys = [("name", system.name), ("mailbox", system.mailbox), *(("process ID", text) for text in ids.values())]
        for what, text in keys:
            other = owners.setdefault((what, ascii_lower(text)), index)
            if other != index:
                both = f"{systems[other].name} and {system.name}"
                message = f"The systems {both} share the {what} {text}; a reply could come from either."
                problems.append(Problem("directory.shared", message))
    return tuple(problems)


_Index = dict[str, DeclarationSystem]


def _index(keys: Callable[[DeclarationSystem], Iterable[str]]) -> _Index:
    """Declare a field that finds systems by a key, in any case."""

    def build(directory: Directory) -> _Index:
        return {ascii_lower(key): system for system in directory.systems for key in keys(system)}

    return attrs.field(init=False, eq=False, repr=False, default=attrs.Factory(build, takes_self=True))


@final
@attrs.frozen
class Directory:
    """
    The declaration systems that a program knows.

    >>> HTPOORT.by_mailbox("DMS@htpoort.nl").name
    'DMS'
    >>> [system.name for system in HTPOORT]
    ['AGS', 'DMS']

    Args:
        systems: The systems; no two share a name, a mailbox or a process ID, in any case.

    Raises:
        InputError: Two systems share one of these; the error names both.
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
            UnknownError: No system of this directory has the name. Has *kind*, *key*, *known*.
            InputError: It is not a str.
        """
        return _find(self._names, "system", name, {system.name for system in self})

    def by_mailbox(self, mailbox: str) -> DeclarationSystem:
        """
        Look a system up by the mailbox that it receives in and replies from.

        Args:
            mailbox: In any case, without a display name.

        Returns:
            The system.

        Raises:
            UnknownError: No system of this directory has the mailbox. Has *kind*, *key*, *known*.
            InputError: It is not a str.
        """
        return _find(self._mailboxes, "mailbox", mailbox, {system.mailbox for system in self})

    def by_process_id(self, process_id: str) -> DeclarationSystem:
        """
        Look a system up by a process ID: the one that it is addressed by, or one that it replies under.

        Args:
            process_id: In any case.

        Returns:
            The system.

        Raises:
            UnknownError: No system of this directory has the process ID. Has *kind*, *key*, *known*.
            InputError: It is not a str.
        """
        known = {text for system in self for text in (system.process_id, *system.reply_ids)}
        return _find(self._process_ids, "process ID", process_id, known)

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
            The system, or None; also None for an ID that it is addressed by and never replies under.
        """
        return self._reply_ids.get(ascii_lower(process_id))

    def add(self, *systems: DeclarationSystem) -> Directory:
        """
        Make a directory with more systems.

        Args:
            systems: The systems to add.

        Returns:
            A new directory; this one does not change.

        Raises:
            InputError: A name, mailbox or process ID belongs to another system already; the error names both.
        """
        return Directory((*self.systems, *systems))

    @classmethod
    def from_toml(cls, text: str, *, name: str = "") -> Directory:
        """
        Read a directory from TOML: a table ``[systems.NAME]`` for each system.

        >>> Directory.from_toml('''
        ... [systems.EXIT]
        ... mailbox = "exit@customs.example"
        ... process_id = "EXIT.NL"
        ... ''').system("exit").process_id
        'EXIT.NL'

        Args:
            text: TOML; keys of a system: mailbox, process_id, reply_ids, title, source, mark, closed.
            name: The file that the text comes from; problems then begin with its name and a line.

        Returns:
            A directory of just these systems; ``HTPOORT.add(*directory)`` adds them to the published ones.

        Raises:
            InputError: The text is not TOML, or a table is wrong. The error lists every problem with its path.
        """
        return cls._from_document(Document.parse(text, name=name))

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> Directory:
        """
        Read a directory from a table that is already parsed.

        Args:
            table: A mapping with the one key ``systems``, as `from_toml` describes it.

        Returns:
            A directory of just these systems.

        Raises:
            InputError: A table is wrong. The error lists every problem with its path.
        """
        return cls._from_document(Document(table))

    @classmethod
    def _from_document(cls, document: Document) -> Directory:
        for key in document.table:
            if key != "systems":
                document.report_unknown((key,), ["systems"])
        directory = add_systems(cls(()), document, document.named_tables("systems"))
        document.finish()
        return directory


def add_systems(directory: Directory, document: Document, tables: Iterable[KeyPath]) -> Directory:
    """
    Add the systems of a document to a directory: a table ``[systems.NAME]`` for each.

    Args:
        directory: The directory; it does not change.
        document: The document with the tables; it keeps every problem with them.
        tables: The tables.

    Returns:
        A new directory. A stand-in replaces a system that is wrong, so that no name of it is reported as unknown.
    """
    for number, path in enumerate(tables):
        system = _read_system(document, path)
        added = None if system is None else document.build(path, functools.partial(directory.add, system), None)
        directory = _add_stand_in(directory, str(path[-1]), number) if added is None else added
    return directory


def read_known(document: Document) -> Directory:
    """
    Read which systems a file knows: the published ones and those of its tables ``[systems.NAME]``.

    A table with the key ``service`` describes a system that takes files, which is none of a directory, and is left to
    the reader of services.

    A file with ``published_systems = false`` knows those of its tables alone. A test environment is described like
    this, because its process IDs may be those of the published systems.

    Args:
        document: The document; it keeps every problem. The caller reports keys that are unknown.

    Returns:
        The directory, never empty: the published systems replace what is wrong.
    """
    key = "published_systems"
    published = document.table.get(key, True)
    if not isinstance(published, bool):
        document.report("toml.type", (key,), "give true or false.")
    tables = [path for path in document.named_tables("systems") if not document.has((*path, "service"))]
    if published is not False:
        return add_systems(HTPOORT, document, tables)
    directory = add_systems(Directory(()), document, tables)
    if not tables and not document.is_refused((), "systems"):
        document.report("toml.value", (key,), "false leaves no system; add a table [systems.NAME] for each.")
    return directory if directory.systems else HTPOORT


def read_systems(text: str, *, name: str = "") -> Directory:
    """
    Read a file that has nothing but what `read_known` reads.

    Args:
        text: TOML.
        name: The file that the text comes from; problems then begin with its name and a line.

    Returns:
        The systems that the file knows.

    Raises:
        InputError: The text is not TOML, or something in it is wrong. The error lists every problem with its path.
    """
    document = Document.parse(text, name=name)
    known = ("published_systems", "systems")
    for key in document.table:
        if key not in known:
            document.report_unknown((key,), known)
    directory = read_known(document)
    document.finish()
    return directory


def _add_stand_in(directory: Directory, name: str, number: int) -> Directory:
    try:
        mailbox = f"stand-in-{number}@customs.example"
        return directory.add(DeclarationSystem(name=name, mailbox=mailbox, process_id=f"STAND-IN-{number}"))
    except InputError:
        # The name is not one, or belongs to another system.
        return directory


def _find(index: Mapping[str, DeclarationSystem], kind: str, key: str, known: Iterable[str]) -> DeclarationSystem:
    if not isinstance(cast("object", key), str):
        raise InputError("", (Problem("input.type", f"{kind} is {type(key).__name__}; give a str."),))
    system = index.get(ascii_lower(key))
    if system is None:
        place = "the directory" if index else "the directory, which is empty"
        raise UnknownError(kind, key, place, tuple(sorted(known)))
    return system


@final
@attrs.frozen(kw_only=True)
class _SystemTable:
    """One ``[systems.NAME]``; its stand-ins are valid and clash with nothing."""

    mailbox: str = required("x@customs.example")
    process_id: str = required("X")
    reply_ids: tuple[str, ...] | None = None
    title: str = ""
    source: str = ""
    mark: Mark = Mark.UNKNOWN
    closed: date | None = None


def _read_system(document: Document, path: KeyPath) -> DeclarationSystem | None:
    """Read one system; None if its table is wrong."""
    table = document.read(path, _SystemTable)
    if table is None:
        return None
    values = attrs.asdict(table)
    reply_ids = values.pop("reply_ids")
    if reply_ids:
        values["reply_ids"] = frozenset(reply_ids)
    elif reply_ids is not None:
        document.report("input.reply-ids", (*path, "reply_ids"), "give at least one process ID, or leave it out.")
    system = document.build(path, lambda: DeclarationSystem(name=str(path[-1]), **values), None)
    return None if document.is_refused(path[:-1], str(path[-1])) else system


AGS: Final = DeclarationSystem(
    name="AGS",
    mailbox=_MAILBOXES["AGS"],
    process_id="DMS.NL",
    title="Declarations, the old system (Aangiftesysteem)",
    source=_PAGE,
    mark=Mark.OFFICIAL,
    closed=date(2024, 12, 1),
)
"""
The old declaration system. Its process ID contains the letters DMS nevertheless.

Source:
    Official: it took no new declarations from nearly everyone from 1 July 2024, from licence holders with a plan from
    11 September 2024, and the last agreements ended on 1 December 2024. When its mailbox went silent is unknown.
"""

DMS: Final = DeclarationSystem(
    name="DMS",
    mailbox=_MAILBOXES["DMS"],
    process_id="DMS4.NL",
    title="Declarations, the new system (DMS 4)",
    source=_PAGE,
    mark=Mark.OFFICIAL,
)
"""The new declaration system."""

HTPOORT: Final = Directory((AGS, DMS))
"""The published systems of the Handel & Transport Gateway."""
