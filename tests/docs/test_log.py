"""The log has stable names: every call names an event, every event is used and explained."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from htpoort._log import EVENTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "log.md"

LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
# Methods of loggers; "exception" without arguments is a method of tasks and futures.
METHODS = {*LEVELS, "debug", "critical", "fatal", "log"}
OF_EXCHANGE = ("system", "party", "reference")
# Keys of each JSON line, beside the facts.
OF_LINE = {"at", "level", "logger", "message", "event", "trace"}
# The one call that passes on what its callers name.
PASSED_ON = "htpoort/transport/receiver_connections.py"


@attrs.frozen
class Line:
    """A call that logs: its place, its level, and the expression of its event."""

    place: str
    level: str
    extra: ast.expr | None

    @property
    def event(self) -> str | None:
        """The name of its event, if it is written out."""
        match self.extra:
            case ast.Call(func=ast.Name("event") | ast.Attribute(attr="event"), args=[ast.Constant(str(name))]):
                return name
        return None

    @property
    def facts(self) -> frozenset[str]:
        """The keys of its facts."""
        assert isinstance(self.extra, ast.Call)
        named = [keyword.arg or "**" for keyword in self.extra.keywords]
        return frozenset(named) - {"of"} | frozenset(OF_EXCHANGE if "of" in named else ())


def is_logger(expression: ast.expr) -> bool:
    """Return whether an expression is a logger by its name: LOG, _LOG, FILES, tracker.log and the like."""
    name = ast.unparse(expression).rpartition(".")[2]
    return name.lower().endswith("log") or name in {"FILES", "UNKNOWN"}


def lines() -> Iterator[Line]:
    """Find every call that logs."""
    for module in sorted((ROOT / "htpoort").rglob("*.py")):
        name = str(module.relative_to(ROOT))
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                method = node.func.attr
                extra = next((keyword.value for keyword in node.keywords if keyword.arg == "extra"), None)
                if extra is None and (not node.args or not is_logger(node.func.value)):
                    continue
                yield Line(f"{name}:{node.lineno}", LEVELS.get(method, method), extra)


NAMED = [line for line in lines() if not (line.place.startswith(PASSED_ON) and line.level == "log")]


def test_every_logger_is_known() -> None:
    """A logger has a name by which the tests above find its calls, and no method of it is passed on as a value."""
    loggers, values = [], []
    for module in sorted((ROOT / "htpoort").rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if ast.unparse(node.value).startswith(("logging.getLogger('htpoort", "LimitedLog(")):
                    loggers += [ast.unparse(target)] if not is_logger(target) else []
            if isinstance(node, ast.Attribute) and node.attr in METHODS and is_logger(node.value):
                values += [f"{module.name}:{node.lineno}"] if id(node) not in called else []

    assert ([], []) == (loggers, values)


def test_every_line_names_an_event() -> None:
    """Each call that logs has an event that is written out and known."""
    assert len(NAMED) > 50
    assert [] == [line.place for line in NAMED if line.event not in EVENTS]


def test_only_one_call_passes_an_event_on() -> None:
    """The log with a limit writes what its callers name; no other call may hide its event."""
    assert 1 == sum(1 for _ in lines()) - len(NAMED)


def test_every_event_is_used() -> None:
    """No name is left over."""
    assert set(EVENTS) == {line.event for line in NAMED}


def test_names_have_one_form() -> None:
    """Two short words in lower case: what it is about, and what became of it."""
    assert [] == [name for name in EVENTS if re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+){0,2}", name) is None]


def test_facts_never_take_the_place_of_the_line() -> None:
    """No fact has the key of something that each JSON line has."""
    assert [] == [line.place for line in NAMED if line.facts & OF_LINE or "**" in line.facts]


@pytest.mark.parametrize("what", ["level", "facts"])
def test_an_event_is_the_same_wherever_it_is_logged(what: str) -> None:
    """A program that reads the log finds the same level and the same facts in each line of an event."""
    found = defaultdict(set)
    for line in NAMED:
        found[line.event].add(getattr(line, what))

    assert {} == {event: values for event, values in found.items() if len(values) > 1}


def test_the_page_lists_what_is_logged() -> None:
    """The reference has each event once, with its level, its facts and its meaning."""
    rows = re.findall(r"^\| `([a-z.-]+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = [
        (event, level, frozenset(re.findall(r"`(.*?)`", facts)), meaning) for event, level, facts, meaning in rows
    ]

    assert sorted((line.event, line.level, line.facts, EVENTS[str(line.event)]) for line in set_of(NAMED)) == sorted(
        listed
    )


def set_of(found: list[Line]) -> list[Line]:
    """Keep one line of each event."""
    return list({line.event: line for line in found}.values())
