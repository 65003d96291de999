"""Whole notices, in our own words, and what a careful person takes from each; the truth is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htpoort.notices import notice_json, read_notice

TEXTS = sorted((Path(__file__).parent / "notices").glob("*.txt"))
ROW = ("system", "access", "messages", "start", "end", "end_kind", "behaviour", "recovery", "fallback")


def expected(path: Path) -> dict[str, Any]:
    """Return the truth of a text."""
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    truth["windows"] = [dict(zip(ROW, row, strict=True)) for row in truth["windows"]]
    truth["problems"] = sorted(truth["problems"])
    return truth


def stated(path: Path) -> dict[str, Any]:
    """Return what the reader takes from a text, its problems by their codes alone."""
    values = notice_json(read_notice(path.read_text(encoding="utf-8")))
    values["problems"] = sorted(problem.split(":")[0] for problem in values["problems"])
    return values


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_a_notice_states_what_a_careful_person_takes_from_it(path: Path) -> None:
    """Each value of a notice is what its text states, and each problem that it bears is reported."""
    assert expected(path) == stated(path)


@pytest.mark.parametrize("words", ["Planlagt utilgængelighed", "Planlagt servicevindue", "Planlagt nedetid"])
def test_a_planned_window_by_another_name(words: str) -> None:
    """A Danish form states a planned window, whichever of its words stands as type and as status."""
    (path,) = (path for path in TEXTS if path.stem == "da-window")
    text = path.read_text(encoding="utf-8")
    other = text.replace("Type\nServicevindue\nStatus\nPlanlagt\n", f"Type\n{words}\nStatus\n{words}\n")
    first, second = (read_notice(each) for each in (text, other))

    assert text != other
    assert (first.kind, first.state, first.complete, first.windows) == (
        second.kind,
        second.state,
        second.complete,
        second.windows,
    )
    assert second.complete
