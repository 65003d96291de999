"""Service windows as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from htpoort import InputError
from htpoort.simulator.windows import Behaviour, Window

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
    """A window is half open, and a moment counts in whatever zone it is given."""
    assert expected == EVENING.covers(moment)


def test_is_of_its_system() -> None:
    """The name of the system is compared without regard to case."""
    assert (True, False) == (EVENING.is_of("dms"), EVENING.is_of("AGS"))


def test_a_delay_is_an_hour() -> None:
    """Where nothing is said, answers of a window that delays come an hour later."""
    assert timedelta(hours=1) == EVENING.delay


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"system": ""}, "system is empty; give the name of one."),
        (
            {"behaviour": "reject all"},
            "behaviour is 'reject all'; give one of Behaviour.REJECT, Behaviour.QUEUE, Behaviour.DELAY.",
        ),
        (
            {"begins": datetime(2026, 11, 2, 18)},  # noqa: DTZ001 - naive on purpose
            "begins is 2026-11-02 18:00:00; give an aware datetime, as datetime.now(UTC).",
        ),
        ({"ends": None}, "ends is None; give an aware datetime, as datetime.now(UTC)."),
        (
            {"ends": EVENING.begins},
            "ends is 2026-11-02T18:00:00+00:00; give a moment after 2026-11-02T18:00:00+00:00, when it begins.",
        ),
        ({"delay": timedelta(0)}, "delay is 0:00:00; give a time above 0."),
    ],
)
def test_refuses(changed: dict[str, Any], expected: str) -> None:
    """What is no window is told in a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        attrs.evolve(EVENING, **changed)

    assert [("simulator.window", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """Every problem of a window is told."""
    with pytest.raises(InputError) as caught:
        attrs.evolve(EVENING, system="", ends=EVENING.begins, delay=timedelta(-1))

    assert ["system", "ends", "delay"] == [one.message.split()[0] for one in caught.value.problems]
