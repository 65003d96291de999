"""Service windows as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from htpoort import InputError
from htpoort.simulator import Behaviour, Window

EVENING = Window(
    system="DMS",
    behaviour=Behaviour.REJECT,
    begins=datetime(2026, 11, 2, 18, tzinfo=UTC),
    ends=datetime(2026, 11, 2, 23, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 2, 17, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 2, 18, tzinfo=UTC), True),
        (datetime(2026, 11, 2, 22, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 2, 23, tzinfo=UTC), False),
        (datetime(2026, 11, 2, 19, tzinfo=timezone(timedelta(hours=1))), True),
        (datetime(2026, 11, 2, 18, tzinfo=timezone(timedelta(hours=1))), False),
    ],
)
def test_covers_from_its_beginning_until_before_its_end(moment: datetime, expected: bool) -> None:  # noqa: FBT001 - a table
    """A window is half open, and a moment may be in any zone."""
    assert expected == EVENING.covers(moment)


def test_is_of_its_system() -> None:
    """The name of the system is compared without regard to case."""
    assert (True, False) == (EVENING.is_of("dms"), EVENING.is_of("AGS"))


def test_a_delay_is_an_hour() -> None:
    """By default a window delays replies by an hour."""
    assert timedelta(hours=1) == EVENING.delay


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"system": ""}, "system is empty; give the name of a system."),
        (
            {"behaviour": "reject all"},
            "behaviour is 'reject all'; give one of reject, lose, queue, delay.",
        ),
        (
            {"begins": datetime(2026, 11, 2, 18)},  # noqa: DTZ001 - naive on purpose
            "begins is 2026-11-02 18:00:00; give a moment with a time zone.",
        ),
        ({"ends": None}, "ends is None; give a moment with a time zone."),
        (
            {"ends": EVENING.begins},
            "ends is 2026-11-02T18:00:00+00:00; give a moment after the beginning, 2026-11-02T18:00:00+00:00.",
        ),
        ({"delay": timedelta(0)}, "delay is 0:00:00; give a time above 0."),
    ],
)
def test_refuses(changed: dict[str, Any], expected: str) -> None:
    """Invalid values of a window give a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        attrs.evolve(EVENING, **changed)

    assert [("simulator.window", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """An error has every problem of a window."""
    with pytest.raises(InputError) as caught:
        attrs.evolve(EVENING, system="", ends=EVENING.begins, delay=timedelta(-1))

    assert ["system", "ends", "delay"] == [one.message.split()[0] for one in caught.value.problems]
