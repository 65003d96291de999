"""
Read a script from a TOML file: everything that is wrong with it at once, each with its path and line.

Never does: start anything, or stop at the first problem.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast, final

import attrs

from htpoort.config import _lines
from htpoort.config._document import Document
from htpoort.config._tables import needed, structured
from htpoort.simulator.faults import Action, AnswerFault, At, Pop3Fault, SmtpFault
from htpoort.simulator.scenarios import Answer, Kind, RepeatedK, Scenario, Script
from htpoort.simulator.windows import Behaviour, Window

_ZERO: Final = re.compile(r"0{1,6}(?:d|h|m|s|ms)")

# ── the tables: None is what was left out, so that each default stands in one place ──


@final
@attrs.frozen(kw_only=True)
class ScriptTable:
    """Hold the file; each of its arrays is read apart."""

    per_hour: int | None = None
    repeated: RepeatedK | None = None
    scenario: Any = None
    fault: Any = None
    pop3_fault: Any = None
    window: Any = None


@final
@attrs.frozen(kw_only=True)
class ScenarioTable:
    """Hold ``[[scenario]]``."""

    name: str | None = None
    system: str | None = None
    party: str | None = None
    reference: str | None = None
    times: int | None = None
    answer: Any = None


@final
@attrs.frozen(kw_only=True)
class AnswerTable:
    """Hold ``[[scenario.answer]]``."""

    kind: Kind | None = None
    after: timedelta | None = None
    body_file: str | None = None
    fault: AnswerFault | None = None


@attrs.frozen(kw_only=True)
class Times:
    """Hold what two tables have in common."""

    times: int | None = None
    always: bool | None = None


@final
@attrs.frozen(kw_only=True)
class FaultTable(Times):
    """Hold ``[[fault]]``."""

    at: At = needed("mail")
    action: Action = needed("refuse")
    code: int | None = None
    text: str | None = None
    taken: bool | None = None
    after: timedelta | None = None


@final
@attrs.frozen(kw_only=True)
class Pop3FaultTable(Times):
    """Hold ``[[pop3_fault]]``."""

    command: str = needed("QUIT")
    action: Action = needed("refuse")
    done: bool | None = None


@final
@attrs.frozen(kw_only=True)
class WindowTable:
    """Hold ``[[window]]``."""

    system: str = needed("DMS")
    behaviour: Behaviour = needed("delay")
    begins: datetime = needed(datetime(1970, 1, 1, tzinfo=UTC))
    ends: datetime = needed(datetime(9999, 1, 1, tzinfo=UTC))
    delay: timedelta | None = None


# ── reading them ─────────────────────────────────────────────────────────────


def read(path: Path) -> Script:
    """
    Read a script.

    Args:
        path: The TOML file; relative paths in it start from its folder.

    Returns:
        The script.

    Raises:
        InputError: The file cannot be read, or something in it cannot be taken; tells everything.
    """
    document = Document(path)
    # Where no table can be made of the file, what is wrong with it has been told.
    table = structured(document, (), document.table, ScriptTable) or ScriptTable()
    settings = _given(table, "per_hour", "repeated")
    faults = [_fault(document, *one) for one in document.tables("fault")]
    pop3_faults = [_pop3_fault(document, *one) for one in document.tables("pop3_fault")]
    windows = [_window(document, *one) for one in document.tables("window")]
    settings["faults"] = tuple(one for one in faults if one is not None)
    settings["pop3_faults"] = tuple(one for one in pop3_faults if one is not None)
    settings["windows"] = tuple(one for one in windows if one is not None)
    if "scenario" in document.table:
        scenarios = [_scenario(document, *one) for one in document.tables("scenario")]
        settings["scenarios"] = tuple(one for one in scenarios if one is not None)
    script = document.made((), lambda: Script(**settings), Script())
    document.finish()
    return script


def _given(table: object, *names: str) -> dict[str, Any]:
    """Take what was not left out."""
    values = {name: getattr(table, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _scenario(document: Document, path: _lines.Path, entry: object) -> Scenario | None:
    table = structured(document, path, entry, ScenarioTable)
    if table is None:
        return None
    settings = _given(table, "name", "system", "party", "reference", "times")
    if table.answer is not None:
        settings["answers"] = _answers(document, (*path, "answer"), table.answer)
    return document.made(path, lambda: Scenario(**settings), None, {"answers": "answer"})


def _answers(document: Document, path: _lines.Path, entries: object) -> tuple[Answer, ...]:
    if not isinstance(entries, list):
        document.refusal("toml.type", path, "write [[scenario.answer]]; there may be several.")
        return ()
    answers = [_answer(document, (*path, at), entry) for at, entry in enumerate(cast("list[object]", entries))]
    return tuple(answer for answer in answers if answer is not None)


def _answer(document: Document, path: _lines.Path, entry: object) -> Answer | None:
    table = structured(document, path, _at_once(entry), AnswerTable)
    if table is None:
        return None
    settings = _given(table, "kind", "after", "fault")
    if table.body_file is not None:
        try:
            settings["body"] = (document.folder / table.body_file).read_bytes()
        except (OSError, ValueError) as error:
            # A name with a NUL in it is a ValueError.
            why = error.strerror if isinstance(error, OSError) else error
            document.refusal("config.file", (*path, "body_file"), f"{table.body_file!r} cannot be read: {why}.")
    return document.made(path, lambda: Answer(**settings), None)


def _at_once(entry: object) -> object:
    """Leave out a time of 0, which an answer has anyway: other settings have none, so it is not read."""
    if not isinstance(entry, dict):
        return entry
    settings = cast("dict[str, object]", entry)
    after = settings.get("after")
    zero = isinstance(after, str) and _ZERO.fullmatch(after) is not None
    return {key: value for key, value in settings.items() if not (zero and key == "after")}


def _times(document: Document, path: _lines.Path, table: Times) -> dict[str, Any]:
    """Take how often a fault shows."""
    if table.always is None:
        return _given(table, "times")
    if table.times is not None:
        document.refusal("toml.value", (*path, "always"), "give times or always, not both.")
    return {"times": None} if table.always else {}


def _fault(document: Document, path: _lines.Path, entry: object) -> SmtpFault | None:
    table = structured(document, path, entry, FaultTable)
    if table is None:
        return None
    settings = _given(table, "at", "action", "text") | _times(document, path, table)
    # What these may be depends on the two, so nothing can be said of them where one of the two is missing or wrong.
    given = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    if (table.at, table.action) == (given.get("at"), given.get("action")):
        settings |= _given(table, "code", "taken", "after")
    return document.made(path, lambda: SmtpFault(**settings), None)


def _pop3_fault(document: Document, path: _lines.Path, entry: object) -> Pop3Fault | None:
    table = structured(document, path, entry, Pop3FaultTable)
    if table is None:
        return None
    settings = _given(table, "command", "action", "done") | _times(document, path, table)
    return document.made(path, lambda: Pop3Fault(**settings), None)


def _window(document: Document, path: _lines.Path, entry: object) -> Window | None:
    table = structured(document, path, entry, WindowTable)
    if table is None:
        return None
    settings = _given(table, "system", "behaviour", "begins", "ends", "delay")
    return document.made(path, lambda: Window(**settings), None)
