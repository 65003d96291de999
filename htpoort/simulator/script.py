"""
The script of a gateway, and how it is read from a TOML file.

A file with mistakes gives one error with every problem, each with its path and line.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.text import unreadable
from htpoort.core.toml_reader import Delay, Document, KeyPath, required
from htpoort.simulator.faults import FaultAction, Pop3Fault, ReplyFault, SmtpFault, SmtpStep, member_problems
from htpoort.simulator.file_faults import FtpsFault, FtpsStep, Kept
from htpoort.simulator.file_script import BackendAway, FileScenario, FileScript, NameReuse, OutKind, PutOut
from htpoort.simulator.scenarios import Behaviour, ReplyForm, ReplyKind, Scenario, ScriptedReply, Window

__all__ = ["RepeatedK", "Script"]


_FILES: Final = FileScript()


class RepeatedK(enum.StrEnum):
    """What the gateway does with a K that it has accepted before. What the real one does is unknown."""

    ACCEPT = "accept"
    """It is accepted, and gets replies like any other."""
    REFUSE = "refuse"
    """It is refused."""
    IGNORE = "ignore"
    """It is accepted, and gets no reply."""


def _usual() -> tuple[Scenario, ...]:
    return (Scenario(),)


@final
@attrs.frozen(kw_only=True)
class Script:
    """
    Everything that the gateway plays.

    Args:
        scenarios: The first that fits a declaration and is not used up applies; if there is none, the declaration is
            accepted and gets no reply. By default one acceptance at once.
        faults: Of the SMTP server.
        pop3_faults: Of the POP3 server.
        windows: Of the systems; the first that covers a moment applies.
        per_hour: The number of declarations that it accepts in an hour from each declarant's mailbox;
            None for any number.
        repeated: What it does with a K that it has accepted before from the same party.
        form: How replies carry their bodies that name no form themselves; by default each reply of the gateway in
            the next form.
        files: What a `FileGateway` plays; the mail gateway ignores it.

    Raises:
        InputError: *per_hour* is below 1, or *repeated* or *form* is not a member of its enum. The error lists every
            problem.

    Source:
        100 messages an hour have been seen in the business test environment (field).
    """

    scenarios: tuple[Scenario, ...] = attrs.field(factory=_usual)
    faults: tuple[SmtpFault, ...] = ()
    pop3_faults: tuple[Pop3Fault, ...] = ()
    windows: tuple[Window, ...] = ()
    per_hour: int | None = None
    repeated: RepeatedK = RepeatedK.ACCEPT
    form: ReplyForm = ReplyForm.EVERY
    files: FileScript = _FILES

    def __attrs_post_init__(self) -> None:
        problems = member_problems("simulator.script", repeated=(self.repeated, RepeatedK), form=(self.form, ReplyForm))
        if self.per_hour is not None and self.per_hour < 1:
            message = f"per_hour is {self.per_hour}; give at least 1, or leave it out for any number."
            problems.append(Problem("simulator.script", message))
        if problems:
            raise InputError("", tuple(problems))

    @classmethod
    def read(cls, path: Path | str) -> Script:
        """
        Read a script from a TOML file.

        Args:
            path: The file; relative paths in it start from its folder.

        Returns:
            The script.

        Raises:
            InputError: The file cannot be read, or values in it are invalid. The error lists every problem with its
                path and line.
        """
        document, folder = _open(Path(path))
        script = _read(document, folder)
        document.finish()
        return script


# ── the tables of a file: None is what it leaves out, so that each default is written once ──


@final
@attrs.frozen(kw_only=True)
class ScriptTable:
    """The whole file; each of its arrays is read separately."""

    per_hour: int | None = None
    repeated: RepeatedK | None = None
    form: ReplyForm | None = None
    scenario: object = None
    fault: object = None
    pop3_fault: object = None
    window: object = None
    files: object = None


@final
@attrs.frozen(kw_only=True)
class ScenarioTable:
    """The table ``[[scenario]]``."""

    name: str | None = None
    system: str | None = None
    party: str | None = None
    reference: str | None = None
    times: int | None = None
    reply: object = None


@final
@attrs.frozen(kw_only=True)
class ReplyTable:
    """The table ``[[scenario.reply]]``."""

    kind: ReplyKind | None = None
    after: Delay | None = None
    body_file: str | None = None
    fault: ReplyFault | None = None
    form: ReplyForm | None = None


@attrs.frozen(kw_only=True)
class Times:
    """What two tables have in common."""

    times: int | None = None
    always: bool | None = None


@final
@attrs.frozen(kw_only=True)
class FaultTable(Times):
    """The table ``[[fault]]``."""

    at: SmtpStep = required("mail")
    action: FaultAction = required("refuse")
    code: int | None = None
    text: str | None = None
    accepted: bool | None = None
    after: timedelta | None = None


@final
@attrs.frozen(kw_only=True)
class Pop3FaultTable(Times):
    """The table ``[[pop3_fault]]``."""

    command: str = required("QUIT")
    action: FaultAction = required("refuse")
    deleted: bool | None = None


@final
@attrs.frozen(kw_only=True)
class WindowTable:
    """The table ``[[window]]``."""

    system: str = required("DMS")
    behaviour: Behaviour = required("delay")
    begins: datetime = required(datetime(1970, 1, 1, tzinfo=UTC))
    ends: datetime = required(datetime(9999, 1, 1, tzinfo=UTC))
    delay: timedelta | None = None


@final
@attrs.frozen(kw_only=True)
class FilesTable:
    """The table ``[files]``; each of its arrays is read separately."""

    names: NameReuse | None = None
    lists_uploads: bool | None = None
    scenario: object = None
    fault: object = None
    away: object = None


@final
@attrs.frozen(kw_only=True)
class FileScenarioTable:
    """The table ``[[files.scenario]]``."""

    name: str | None = None
    service: str | None = None
    file_name: str | None = None
    times: int | None = None
    out: object = None


@final
@attrs.frozen(kw_only=True)
class OutTable:
    """The table ``[[files.scenario.out]]``."""

    kind: OutKind = required("answered")
    after: Delay | None = None
    body_file: str | None = None


@final
@attrs.frozen(kw_only=True)
class FtpsFaultTable(Times):
    """The table ``[[files.fault]]``."""

    at: FtpsStep = required("stor")
    action: FaultAction = required("refuse")
    code: int | None = None
    text: str | None = None
    kept: Kept | None = None
    deleted: bool | None = None


@final
@attrs.frozen(kw_only=True)
class AwayTable:
    """The table ``[[files.away]]``."""

    begins: datetime = required(datetime(1970, 1, 1, tzinfo=UTC))
    ends: datetime = required(datetime(9999, 1, 1, tzinfo=UTC))


# ── reading them ─────────────────────────────────────────────────────────────


def _open(path: Path) -> tuple[Document, Path]:
    """Read a file; return it with the folder that its relative paths start from."""
    return Document.of_file(path.read_bytes, name=str(path)), path.absolute().parent


def _read(document: Document, folder: Path) -> Script:
    table = document.read((), ScriptTable) or ScriptTable()
    settings = _given(table, "per_hour", "repeated", "form")
    faults = [_fault(document, path) for path in document.tables(("fault",))]
    pop3_faults = [_pop3_fault(document, path) for path in document.tables(("pop3_fault",))]
    windows = [_window(document, path) for path in document.tables(("window",))]
    settings["faults"] = tuple(fault for fault in faults if fault is not None)
    settings["pop3_faults"] = tuple(fault for fault in pop3_faults if fault is not None)
    settings["windows"] = tuple(window for window in windows if window is not None)
    if document.has(("scenario",)):
        scenarios = [_scenario(document, path, folder) for path in document.tables(("scenario",))]
        settings["scenarios"] = tuple(scenario for scenario in scenarios if scenario is not None)
    if document.has(("files",)):
        settings["files"] = _files(document, ("files",), folder)
    return document.build((), lambda: Script(**settings), Script())


def _files(document: Document, path: KeyPath, folder: Path) -> FileScript:
    table = document.read(path, FilesTable)
    if table is None:
        return FileScript()
    settings = _given(table, "names", "lists_uploads")
    faults = [_ftps_fault(document, place) for place in document.tables((*path, "fault"))]
    away = [_away(document, place) for place in document.tables((*path, "away"))]
    settings["faults"] = tuple(fault for fault in faults if fault is not None)
    settings["away"] = tuple(one for one in away if one is not None)
    if table.scenario is not None:
        scenarios = [_file_scenario(document, place, folder) for place in document.tables((*path, "scenario"))]
        settings["scenarios"] = tuple(scenario for scenario in scenarios if scenario is not None)
    return document.build(path, lambda: FileScript(**settings), FileScript())


def _file_scenario(document: Document, path: KeyPath, folder: Path) -> FileScenario | None:
    table = document.read(path, FileScenarioTable)
    if table is None:
        return None
    settings = _given(table, "name", "service", "file_name", "times")
    if table.out is not None:
        out = [_put_out(document, place, folder) for place in document.tables((*path, "out"))]
        settings["out"] = tuple(one for one in out if one is not None)
    return document.build(path, lambda: FileScenario(**settings), None)


def _put_out(document: Document, path: KeyPath, folder: Path) -> PutOut | None:
    table = document.read(path, OutTable)
    if table is None:
        return None
    settings = _given(table, "kind", "after") | _body(document, path, table.body_file, folder)
    return document.build(path, lambda: PutOut(**settings), None, names={"body": "body_file"})


def _ftps_fault(document: Document, path: KeyPath) -> FtpsFault | None:
    table = document.read(path, FtpsFaultTable)
    if table is None:
        return None
    settings = _given(table, "at", "action", "text") | _times(document, path, table)
    if not document.is_refused(path, "at", "action"):
        settings |= _given(table, "code", "kept", "deleted")
    return document.build(path, lambda: FtpsFault(**settings), None)


def _away(document: Document, path: KeyPath) -> BackendAway | None:
    table = document.read(path, AwayTable)
    return None if table is None else document.build(path, lambda: BackendAway(**_given(table, "begins", "ends")), None)


def _given(table: object, *names: str) -> dict[str, Any]:
    """Return the settings that the file does not leave out."""
    values = {name: getattr(table, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _scenario(document: Document, path: KeyPath, folder: Path) -> Scenario | None:
    table = document.read(path, ScenarioTable)
    if table is None:
        return None
    settings = _given(table, "name", "system", "party", "reference", "times")
    if table.reply is not None:
        replies = [_reply(document, place, folder) for place in document.tables((*path, "reply"))]
        settings["replies"] = tuple(reply for reply in replies if reply is not None)
    return document.build(path, lambda: Scenario(**settings), None, names={"replies": "reply"})


def _reply(document: Document, path: KeyPath, folder: Path) -> ScriptedReply | None:
    table = document.read(path, ReplyTable)
    if table is None:
        return None
    settings = _given(table, "kind", "after", "fault", "form") | _body(document, path, table.body_file, folder)
    return document.build(path, lambda: ScriptedReply(**settings), None, names={"body": "body_file"})


def _body(document: Document, path: KeyPath, name: str | None, folder: Path) -> dict[str, Any]:
    """Read the file that a reply has as its body."""
    if name is None:
        return {}
    try:
        return {"body": (folder / name).read_bytes()}
    except (OSError, ValueError) as error:
        # A name with a NUL in it is a ValueError.
        document.report("config.file", (*path, "body_file"), unreadable(repr(name), error))
        return {}


def _times(document: Document, path: KeyPath, table: Times) -> dict[str, Any]:
    """Return how often a fault shows."""
    if table.always is None:
        return _given(table, "times")
    if table.times is not None:
        document.report("toml.value", (*path, "always"), "give times or always, not both.")
    return {"times": None} if table.always else {}


def _fault(document: Document, path: KeyPath) -> SmtpFault | None:
    table = document.read(path, FaultTable)
    if table is None:
        return None
    settings = _given(table, "at", "action", "text") | _times(document, path, table)
    # What these may be depends on place and action, so they are checked only where both are right.
    if not document.is_refused(path, "at", "action"):
        settings |= _given(table, "code", "accepted", "after")
    return document.build(path, lambda: SmtpFault(**settings), None)


def _pop3_fault(document: Document, path: KeyPath) -> Pop3Fault | None:
    table = document.read(path, Pop3FaultTable)
    if table is None:
        return None
    settings = _given(table, "command", "action", "deleted") | _times(document, path, table)
    return document.build(path, lambda: Pop3Fault(**settings), None)


def _window(document: Document, path: KeyPath) -> Window | None:
    table = document.read(path, WindowTable)
    if table is None:
        return None
    settings = _given(table, "system", "behaviour", "begins", "ends", "delay")
    return document.build(path, lambda: Window(**settings), None)
