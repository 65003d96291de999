"""The reader knows no text by heart: with other dates, systems and references it takes the same from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from notice_texts import notice_texts

from htpoort.notices import notice_json, read_notice

TEXTS = notice_texts()
MONTHS = (
    "January February March April May June July August September October November December",
    "januar februar marts april maj juni juli august september oktober november december",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "jan feb mar apr maj jun jul aug sep okt nov dec",
)
NUMBER = {name.lower(): number for names in MONTHS for number, name in enumerate(names.split(), 1)}
NAME = "|".join(sorted(NUMBER, key=len, reverse=True))
DATES = re.compile(
    rf"(?P<m1>{NAME}) (?P<d1>[0-9]{{1,2}})(?P<s1>,? )(?P<y1>20[0-9]{{2}})"
    rf"|(?P<d2>\b[0-9]{{1,2}})(?P<s2>\.? )(?P<m2>{NAME})(?P<t2>,? )(?P<y2>20[0-9]{{2}})"
    r"|(?P<y3>20[0-9]{2})-(?P<m3>[0-9]{2})-(?P<d3>[0-9]{2})(?![0-9])"
    r"|(?P<d4>[0-9]{1,2})(?P<s4>[-/])(?P<m4>[0-9]{1,2})(?P<t4>[-/])(?P<y4>20[0-9]{2}|[0-9]{2})(?![0-9])",
    re.IGNORECASE,
)
SYSTEMS = {
    "Import Control System (ICS)": "Lorry Entry System (LES)",
    "ICS2": "LES2",
    "ICS": "LES",
    "Manifest": "Cargolist",
    "NCTS": "TRNS",
    "EMCS": "BRWS",
    "Deco": "Pakt",
    "AGS": "KWT",
    "BEERS": "WINES",
    "MALT": "OATS",
    "HOP": "RYE",
    "EBB": "EFL",
}
NAMES = re.compile("|".join(rf"\b{re.escape(name)}(?![a-z0-9])" for name in SYSTEMS))
OTHER_DIGITS = str.maketrans("123456789", "456789123")
REFERENCES = re.compile(r"\b(WO|INC)([0-9]{6,})")
# Whether a name stands in the reader's tables is no part of what a text states.
ABOUT_NAMES = {"name-unknown", "name-mistyped", "systems-differ"}


def month_like(printed: str, number: int) -> str:
    """Write another month in the language and the letters of a printed one."""
    names = next(names.split() for names in MONTHS if printed.lower() in names.lower().split())
    name = names[number - 1]
    return name.title() if printed[:1].isupper() else name.lower()


def shifted(match: re.Match[str], weeks: int) -> str:
    """Write a day some weeks later, in the form of the printed one; what is no day stays."""
    group = match.groupdict()
    kind = next(key[1] for key in ("y1", "y2", "y3", "y4") if group[key] is not None)
    printed = group[f"m{kind}"]
    year = int(group[f"y{kind}"])
    month = NUMBER.get(printed.lower()) or int(printed)
    try:
        day = date(year if year > 99 else year + 2000, month, int(group[f"d{kind}"])) + timedelta(weeks=weeks)
    except ValueError:
        return match.group()
    width = len(group[f"d{kind}"]) if group[f"d{kind}"].startswith("0") else 1
    number = f"{day.day:0{max(width, 2 if kind in '34' and len(group[f'd{kind}']) == 2 else 1)}d}"
    if kind == "1":
        return f"{month_like(printed, day.month)} {number}{group['s1']}{day.year}"
    if kind == "2":
        return f"{number}{group['s2']}{month_like(printed, day.month)}{group['t2']}{day.year}"
    if kind == "3":
        return day.isoformat()
    written = f"{day.month:02d}" if len(printed) == 2 else str(day.month)
    return f"{number}{group['s4']}{written}{group['t4']}{day.year if year > 99 else f'{day:%y}'}"


def other_names(text: str) -> str:
    """Write other systems and references."""
    text = NAMES.sub(lambda match: SYSTEMS[match.group()], text)
    return REFERENCES.sub(lambda match: match[1] + match[2].translate(OTHER_DIGITS), text)


def later(value: str | None, weeks: int) -> str | None:
    """Return a moment of the truth, some weeks later."""
    if value is None or value == "null":
        return value
    moment = datetime.fromisoformat(value) + timedelta(weeks=weeks)
    return moment.isoformat(timespec="seconds" if value.count(":") == 2 else "minutes")


def replaced(values: dict[str, Any], weeks: int) -> dict[str, Any]:
    """Return what a notice states, with other dates, systems and references."""
    rows = [
        {
            **row,
            "system": row["system"] and other_names(row["system"]),
            "messages": [other_names(message) for message in row["messages"]],
            "start": later(row["start"], weeks),
            "end": later(row["end"], weeks),
        }
        for row in values["windows"]
    ]
    older = {
        later(key, weeks): {name: later(time, weeks) for name, time in times.items()}
        for key, times in values["older_windows"].items()
    }
    return {
        **values,
        "references": [other_names(reference) for reference in values["references"]],
        "revisions": [later(revision, weeks) for revision in values["revisions"]],
        "windows": rows,
        "older_windows": older,
    }


def stated(text: str, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values) -> dict[str, Any]:
    """Return what a notice states, problems by their codes."""
    values = change(notice_json(read_notice(text)))
    codes = {problem.split(":")[0] for problem in values["problems"]} - ABOUT_NAMES
    kept = {key: value for key, value in values.items() if key not in {"complete", "unread"}}
    return {**kept, "problems": sorted(codes), "unread": len(values["unread"])}


@pytest.mark.parametrize("name", sorted(TEXTS))
@settings(max_examples=10)
@given(weeks=st.integers(1, 100))
def test_other_dates(name: str, weeks: int) -> None:
    """With each date some weeks later, each time is so much later and nothing else changes."""
    text = TEXTS[name]
    moved = DATES.sub(lambda match: shifted(match, weeks), text)

    assert stated(text, lambda values: replaced(values, weeks)) | {"references": [], "windows": []} == stated(moved) | {
        "references": [],
        "windows": [],
    }
    assert [
        (
            row["system"],
            row["access"],
            later(row["start"], weeks),
            later(row["end"], weeks),
            row["behaviour"],
            row["recovery"],
            row["fallback"],
        )
        for row in stated(text)["windows"]
    ] == [
        (row["system"], row["access"], row["start"], row["end"], row["behaviour"], row["recovery"], row["fallback"])
        for row in stated(moved)["windows"]
    ]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_other_systems_and_references(name: str) -> None:
    """With other systems and references, these are taken and nothing else changes."""
    text = TEXTS[name]

    assert stated(text, lambda values: replaced(values, 0)) == stated(other_names(text))
