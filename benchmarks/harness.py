"""
Run pyperf in rounds, compare what was measured, and write it down.

Never does: know what is measured, or write a path or the name of a machine into a result.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess  # noqa: S404 - this script, once for each round
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import pyperf

_CHILD: Final = "--one-round"


@attrs.frozen
class Case:
    """
    Name one statement to measure.

    Args:
        name: Stands in the result.
        statement: Measured as it stands, without a call around it.
        group: Cases of one group stand under one heading in the result; where it is part of *name*, behind
            a colon, it is not printed twice.
        ours: It is this library's; the chart shows it in another colour.
        rough: Measure it in the first round only; for what is shown, not judged.
    """

    name: str
    statement: str
    group: str
    ours: bool = False
    rough: bool = False


@attrs.frozen
class Goal:
    """
    Compare two cases.

    Args:
        label: What is compared with what.
        case: Name of the case that is judged.
        reference: Name of the case that it is measured against.
        at_most: The ratio to reach; None if the ratio is only shown.
        note: What there is to know about it.
    """

    label: str
    case: str
    reference: str
    at_most: float | None = None
    note: str = ""


def arguments(description: str) -> argparse.Namespace:
    """Read the options that every script has."""
    parser = argparse.ArgumentParser(description=description.strip().partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file too")
    parser.add_argument("--rigorous", action="store_true", help="five times as many rounds")
    return parser.parse_args()


def is_child() -> bool:
    """Say whether this process measures one round, or is a worker of pyperf that does."""
    return _CHILD in sys.argv


def one_round(cases: Iterable[Case], names: Mapping[str, object]) -> None:
    """Measure every case once; called in the processes that pyperf starts, too."""
    runner = pyperf.Runner(add_cmdline_args=lambda command, options: command.extend([_CHILD, options.one_round]))
    runner.argparser.add_argument(_CHILD)
    first = runner.parse_args().one_round == "0"
    for case in cases:
        if first or not case.rough:
            runner.timeit(case.name, case.statement, globals=dict(names))


def in_rounds(rounds: int) -> dict[str, list[float]]:
    """
    Measure all cases of the running script again and again.

    What is compared is measured seconds apart and in fresh processes, so a machine that is busy for a
    minute spoils one round, not one side of a ratio.

    Args:
        rounds: How often.

    Returns:
        For each case the median of each round, in nanoseconds.
    """
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            output = Path(folder) / f"{number}.json"
            options = ["--quiet", "--processes=1", "--values=3", "--warmups=1", "--min-time=0.02", f"--output={output}"]
            command = [sys.executable, sys.argv[0], _CHILD, str(number), *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the same
            for benchmark in pyperf.BenchmarkSuite.load(str(output)):
                found.setdefault(benchmark.get_name(), []).append(benchmark.median() * 1e9)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


def shown(nanoseconds: float) -> str:
    """Write a time in the unit that fits."""
    for unit, factor in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if nanoseconds < 1000 * factor or unit == "ms":
            value = nanoseconds / factor
            return f"{value:.0f} {unit}" if value >= 100 or unit == "ns" else f"{value:.2f} {unit}"
    raise AssertionError


def ratios(times: Mapping[str, Sequence[float]], goals: Iterable[Goal]) -> list[dict[str, object]]:
    """Compare within each round; give the median of the rounds and the range."""
    found: list[dict[str, object]] = []
    for goal in goals:
        each = [ours / other for ours, other in zip(times[goal.case], times[goal.reference], strict=False)]
        ratio = statistics.median(each)
        found.append({
            "label": goal.label,
            "case": goal.case,
            "reference": goal.reference,
            "ratio": round(ratio, 3),
            "lowest": round(min(each), 3),
            "highest": round(max(each), 3),
            "at_most": goal.at_most,
            "reached": None if goal.at_most is None else ratio <= goal.at_most,
            "note": goal.note,
        })
    return found


def verdict(ratio: Mapping[str, object]) -> str:
    """Write one ratio as a line that says whether the goal was reached."""
    value, goal = ratio["ratio"], ratio["at_most"]
    said = ""
    if isinstance(goal, float) and isinstance(value, float):
        said = f"goal <= {goal:g} " + ("reached" if ratio["reached"] else f"missed by {value - goal:.2f}")
    note = f" ({ratio['note']})" if ratio["note"] else ""
    low, high = f"{ratio['lowest']:.2f}", f"{ratio['highest']:.2f}"
    spread = f"{low} to {high}" if low != high else ""
    return f"{value:8.2f} x  {spread:>16}  {said:27}  {ratio['label']}{note}"


@attrs.frozen
class Environment:
    """
    Give day and versions, and nothing about the machine.

    Args:
        date: Day of the run, UTC.
        versions: Of Python and of the packages that matter.
    """

    date: str
    versions: dict[str, str]

    @classmethod
    def of(cls, packages: Iterable[str]) -> Environment:
        """Find out versions and day."""
        return cls(
            time.strftime("%Y-%m-%d", time.gmtime()),
            {
                platform.python_implementation(): platform.python_version(),
                **{name: importlib.metadata.version(name) for name in sorted(packages)},
            },
        )


def report(  # noqa: PLR0913 - the parts of a result
    title: str,
    times: Mapping[str, Sequence[float]],
    compared: list[dict[str, object]],
    *,
    packages: Iterable[str],
    cases: Iterable[Case],
    more: Mapping[str, object],
    path: Path | None,
) -> None:
    """Print the result, ratios last, and write it to a file if one is given."""
    made = Environment.of(packages)
    cases = tuple(cases)
    groups = {case.name: case.group for case in cases}
    ours = {case.name for case in cases if case.ours}
    print(f"\n{title}, {made.date}")
    print(", ".join(f"{name} {version}" for name, version in made.versions.items()))
    print(f"medians of {max(map(len, times.values()))} rounds")
    heading = ""
    for name, each in sorted(times.items(), key=lambda item: list(groups.values()).index(groups[item[0]])):
        if groups[name] != heading:
            heading = groups[name]
            print(f"\n{heading}")
        print(f"  {name.removesuffix(f': {heading}'):50}{shown(statistics.median(each)):>10}")
    print("\nratios, and their range within the run")
    for ratio in compared:
        print(verdict(ratio))
    if path:
        figures = [
            {"case": name, "group": groups[name], "ours": name in ours, "median_ns": round(statistics.median(each), 1)}
            for name, each in times.items()
        ]
        result = {"title": title, **attrs.asdict(made), "figures": figures, "ratios": compared, **more}
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
