"""
Import the library in fresh interpreters, side by side with `import attrs` (part F).

Whole processes, one after the other, from start to end, as a user of a command pays for them; the time of
an interpreter that imports nothing is taken off in a second pair of ratios, which is the harder one and the
one that is judged. Byte code is kept in a folder of its own for all of them alike, as an installed package has it.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess  # noqa: S404 - fresh interpreters are the subject
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Final

from harness import Case, arguments, report

NOTHING: Final = "nothing"
CASES: Final = (
    Case(NOTHING, "pass", "whole process, wall clock"),
    Case("import attrs", "import attrs", "whole process, wall clock"),
    Case("import htpoort", "import htpoort", "whole process, wall clock", ours=True),
    Case("import email.message, email.parser", "import email.message, email.parser", "whole process, wall clock"),
)
GOAL: Final = 2.0

FORBIDDEN: Final = (
    "asyncio", "email", "sqlite3", "ssl", "socket", "logging", "email_validator", "dns", "idna",
    "aiosmtplib", "aiosmtpd", "sqlalchemy", "psycopg", "typer", "rich", "hypothesis",
)  # fmt: skip
LIST: Final = """
import sys
before = set(sys.modules)
import {}
added = set(sys.modules) - before
import json
print(json.dumps([sorted(before), sorted(added)]))
"""


def loaded(module: str, environment: Mapping[str, str], *, before: bool = False) -> set[str]:
    """List which modules an import adds to those that an interpreter has from its start, or the latter."""
    command = [sys.executable, "-c", LIST.format(module)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout  # noqa: S603
    from_start, added = json.loads(output)
    return set(from_start if before else added)


def check(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Make sure that the import works and loads none of what only shells need."""
    ours, theirs = loaded("htpoort", environment), loaded("attrs", environment)
    assert "htpoort.core.routing" in ours
    blind = loaded("htpoort", environment, before=True).intersection(FORBIDDEN)
    assert not blind, f"this interpreter loads {', '.join(blind)} at its start; what an import adds is not known"
    found = [name for name in FORBIDDEN if name in ours]
    assert not found, f"import htpoort loads {', '.join(found)}"
    rooms = {"transport", "simulator", "cli", "ledger", "agent", "testing", "config", "delivery"}
    shells = [name for name in ours if name.startswith("htpoort.") and name.split(".")[1] in rooms]
    assert not shells, f"import htpoort loads {', '.join(shells)}"
    packages = sorted({name.partition(".")[0] for name in ours - theirs} - {"htpoort"})
    return {"not_loaded": list(FORBIDDEN), "beside_attrs": packages}


def seconds(statement: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run one statement in a fresh interpreter; give wall clock and processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], env=environment, check=True)  # noqa: S603 - fixed statements
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measured(rounds: int, environment: Mapping[str, str]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Run every case once in each round, the first of a round last in the next; nanoseconds."""
    walls: dict[str, list[float]] = {case.name: [] for case in CASES}
    processors: dict[str, list[float]] = {case.name: [] for case in CASES}
    for number in range(-1, rounds):
        for offset in range(len(CASES)):
            case = CASES[(number + offset) % len(CASES)]
            wall, processor = seconds(case.statement, environment)
            if number >= 0:  # the first round writes the byte code
                walls[case.name].append(wall * 1e9)
                processors[case.name].append(processor * 1e9)
    return walls, processors


def compared(label: str, times: Mapping[str, list[float]], *, less: bool, at_most: float | None) -> dict[str, object]:
    """Compare the medians; the range is that of ten parts of the run, each spread over all of it."""
    parts = max(1, min(10, len(times[NOTHING]) // 8))

    def ratio(part: slice) -> float:
        bare = statistics.median(times[NOTHING][part]) if less else 0.0
        ours, theirs = (statistics.median(times[name][part]) for name in ("import htpoort", "import attrs"))
        return (ours - bare) / (theirs - bare)

    each = [ratio(slice(part, None, parts)) for part in range(parts)]
    whole = ratio(slice(None))
    return {
        "label": label,
        "case": "import htpoort",
        "reference": "import attrs",
        "ratio": round(whole, 3),
        "lowest": round(min(each), 3),
        "highest": round(max(each), 3),
        "at_most": at_most,
        "reached": None if at_most is None else whole <= at_most,
        "note": "",
    }


def main() -> None:
    """Measure, compare, print."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "COVERAGE_PROCESS_START"):
            environment.pop(name, None)
        modules = check(environment)
        walls, processors = measured(400 if options.rigorous else 80, environment)
    print(f"modules that import htpoort adds to those of import attrs: {', '.join(modules['beside_attrs'])}")
    print(f"not loaded: {', '.join(FORBIDDEN)}")
    ratios = [
        compared("import htpoort / import attrs, whole process, processor time", processors, less=False, at_most=None),
        compared("the same without the bare interpreter, processor time", processors, less=True, at_most=None),
        compared("import htpoort / import attrs, whole process", walls, less=False, at_most=GOAL),
        compared("the same without the bare interpreter", walls, less=True, at_most=GOAL),
    ]
    report(
        "F. Import",
        walls,
        ratios,
        packages=("htpoort", "attrs"),
        cases=CASES,
        more={"modules": modules},
        path=options.json,
    )


if __name__ == "__main__":
    main()
