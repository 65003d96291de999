"""
Compare how much two programs do in a second, round by round, and write it down.

This module never knows what is measured, and never writes a path or the name of a machine into a result.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess  # noqa: S404 - servers and clients run in processes of their own
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import attrs
from harness import Environment

Round = dict[str, float]
"""What each case reached in one round, by its name."""

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system in memory, where a sync costs nothing


@attrs.frozen
class Ratio:
    """
    Compare two cases.

    Args:
        label: What is compared with what.
        case: Name of the case that is judged.
        reference: Name of the case that it is measured against.
        at_least: The ratio to reach; None if it is only shown.
        at_most: The ratio not to pass, for times; None if it is only shown.
        note: What there is to know about it.
    """

    label: str
    case: str
    reference: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""


@contextmanager
def started(*command: str, before: Sequence[str] = ()) -> Generator[tuple[IO[str], Callable[[], None]]]:
    """
    Run a script of ours in a process of its own, until the block ends.

    Args:
        command: The script and its arguments. It prints lines, and ends when its input does.
        before: A program that runs it, such as a tracer.

    Yields:
        What it prints, and what to call to end its input before the block does.
    """
    process = subprocess.Popen(  # noqa: S603 - our own scripts
        [*before, sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    output, keyboard = cast("IO[str]", process.stdout), cast("IO[str]", process.stdin)
    try:
        yield output, keyboard.close
    finally:
        keyboard.close()
        process.wait(timeout=60)
        output.close()
    assert process.returncode == 0, f"{command} ended with {process.returncode}"


def sync_time(folder: Path) -> float:
    """Measure what one fdatasync of one page costs in a folder, in microseconds: the median of 100."""
    times: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(100):
            os.pwrite(file.fileno(), bytes(4096), 0)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


@contextmanager
def folder_in(parent: Path | None) -> Generator[Path]:
    """Make a folder for one measurement, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def verdict(ratio: Ratio, rounds: Sequence[Round]) -> dict[str, object]:
    """Compare within each round; return the median of the rounds and the range."""
    each = [one[ratio.case] / one[ratio.reference] for one in rounds if ratio.case in one]
    value = statistics.median(each)
    missed = 0.0
    if ratio.at_least is not None:
        missed = max(0.0, ratio.at_least - value)
    elif ratio.at_most is not None:
        missed = max(0.0, value - ratio.at_most)
    judged = ratio.at_least is not None or ratio.at_most is not None
    return {
        **attrs.asdict(ratio),
        "ratio": round(value, 3),
        "lowest": round(min(each), 3),
        "highest": round(max(each), 3),
        "reached": missed == 0 if judged else None,
        "missed_by": round(missed, 3),
    }


def line(found: Mapping[str, object]) -> str:
    """Write one ratio as a line that says whether the goal was reached."""
    goal_text = ""
    if found["reached"] is not None:
        goal = f">= {found['at_least']:g}" if found["at_least"] is not None else f"<= {found['at_most']:g}"
        goal_text = f"goal {goal} " + ("reached" if found["reached"] else f"missed by {found['missed_by']:.2f}")
    note = f" ({found['note']})" if found["note"] else ""
    spread = f"{found['lowest']:.2f} to {found['highest']:.2f}"
    return f"{found['ratio']:8.2f} x  {spread:>16}  {goal_text:27}  {found['label']}{note}"


def report(  # noqa: PLR0913 - the parts of a result
    title: str,
    unit: str,
    rounds: Sequence[Round],
    ratios: Iterable[Ratio],
    *,
    packages: Iterable[str],
    more: Mapping[str, object],
    path: Path | None,
) -> None:
    """Print the result, ratios last, and write it to a file if one is given."""
    environment = Environment.of(packages)
    names = dict.fromkeys(name for one in rounds for name in one)
    figures = [
        {"case": name, "median": round(statistics.median([one[name] for one in rounds if name in one]), 1)}
        for name in names
    ]
    print(f"\n{title}, {environment.date}")
    print(", ".join(f"{name} {version}" for name, version in environment.versions.items()))
    for name, value in more.items():
        print(f"{name}: {value}")
    print(f"\nmedians of {len(rounds)} rounds, {unit}")
    for figure in figures:
        print(f"  {figure['case']:70}{figure['median']:>12,}")
    print("\nratios, and their range within the run")
    found = [verdict(ratio, rounds) for ratio in ratios]
    for one in found:
        print(line(one))
    if path:
        result = {
            "title": title,
            **attrs.asdict(environment),
            "unit": unit,
            "figures": figures,
            "ratios": found,
            **more,
        }
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
