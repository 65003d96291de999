"""
Run commands on a ledger in processes of their own, side by side with `import sqlalchemy, rich` (part H).

What counts is the processor time of the whole process, from its start to its end, as a script in a loop pays for it.
Byte code is kept in a folder of its own for all of them alike, as an installed package has it. The ledger has some
exchanges and replies; each `queue` adds one.
"""

from __future__ import annotations

import os
import resource
import subprocess  # noqa: S404 - whole processes are the subject
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness import Case, Goal, arguments, ratios, report

PARTY: Final = "NL123456789.02.05"
SUBJECT: Final = f"[V=DMS4.NL][A={PARTY}][K=K1][S=0]"
FILE: Final = f"""\
parties = ["{PARTY}"]

[ledger]
url = "sqlite:///htpoort.db"

[[outbox]]
server = "127.0.0.1"
security = "plain"

[[smtp]]
hostname = "mail.forwarder.example"
port = 2525
mailboxes = ["edi@forwarder.example"]

[[delivery]]
system = "DMS"
maildir = "replies"
"""

IMPORTS: Final = "import sqlalchemy, rich"
CASES: Final = (
    Case(IMPORTS, "", "whole process, processor time"),
    Case("status", "status", "whole process, processor time", ours=True),
    Case("show", "show K1", "whole process, processor time", ours=True),
    Case("queue", "queue declaration.xml", "whole process, processor time", ours=True),
    Case("parse", f"parse {SUBJECT}", "whole process, processor time", ours=True),
    Case(
        "route",
        f"route --party {PARTY} --mailbox dms@htpoort.nl --subject {SUBJECT}",
        "whole process, processor time",
        ours=True,
    ),
    Case("--help", "--help", "whole process, processor time", ours=True),
)
GOALS: Final = (
    *(Goal(f"htpoort {name} / {IMPORTS}", name, IMPORTS, at_most=1.5) for name in ("status", "show", "queue")),
    *(Goal(f"htpoort {name} / {IMPORTS}", name, IMPORTS) for name in ("parse", "route", "--help")),
)


def command(case: Case, reference: str) -> list[str]:
    """Return the command line of a case; only `queue` needs a K that is new."""
    if not case.ours:
        return [sys.executable, "-c", case.name]
    line = [sys.executable, "-m", "htpoort", *case.statement.split()]
    if case.name != "queue":
        return line
    return [*line, "--system", "DMS", "--party", PARTY, "--mailbox", "edi@forwarder.example", "--reference", reference]


def nanoseconds(line: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a process to its end, and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(line, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed lines
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e9


def prepared(folder: Path, environment: Mapping[str, str]) -> None:
    """Write the configuration and a declaration, and queue a few; the commands show them."""
    (folder / "htpoort.toml").write_text(FILE, encoding="utf-8")
    (folder / "declaration.xml").write_bytes(b"<Declaration/>" * 1_000)
    (queue,) = (case for case in CASES if case.name == "queue")
    for number in range(1, 6):
        nanoseconds(command(queue, f"K{number}"), folder, environment)
    status = next(case for case in CASES if case.name == "status")
    output = subprocess.run(command(status, ""), cwd=folder, env=environment, check=True, capture_output=True).stdout  # noqa: S603 - a fixed line
    assert "queued │ 5" in output.decode()


def measured(rounds: int, folder: Path, environment: Mapping[str, str]) -> dict[str, list[float]]:
    """Run every case once in each round, the first of a round last in the next; nanoseconds."""
    times: dict[str, list[float]] = {case.name: [] for case in CASES}
    for number in range(-1, rounds):
        for offset in range(len(CASES)):
            case = CASES[(number + offset) % len(CASES)]
            taken = nanoseconds(command(case, f"R{number + 1}"), folder, environment)
            if number >= 0:  # the first round writes the byte code
                times[case.name].append(taken)
    return times


def main() -> None:
    """Measure, compare, print."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONIOENCODING": "utf-8"}
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "COVERAGE_PROCESS_START", "HTPOORT_CONFIG"):
            environment.pop(name, None)
        prepared(Path(folder), environment)
        times = measured(200 if options.rigorous else 40, Path(folder), environment)
    report(
        "H. Commands",
        times,
        ratios(times, GOALS),
        packages=("htpoort", "SQLAlchemy", "rich", "typer"),
        cases=CASES,
        more={},
        path=options.json,
    )


if __name__ == "__main__":
    main()
