"""
Run the targets with atheris, one after another, each in a process of its own, and print a line of JSON for each.

`fuzz/run.py [--minutes N] [TARGET…]` gives each target N minutes, or half a minute. An input that breaks a law is kept
in `.nox/fuzzed/TARGET`, with the command that repeats it. `--linear` measures instead how time grows with length.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from fuzz.targets import NAMES  # noqa: E402 - found by the path above

KEPT: Final = ROOT / ".nox/fuzzed"  # not `.nox/fuzz`: that is the environment of the session
LONGEST: Final = 8_192  # octets of an input; `--linear` has the long ones
SLOW: Final = 10  # seconds that an input may take before it counts as a crash
DEFAULT: Final = 0.5  # minutes


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("htpoort", "atheris", "aiosmtpd", "aiosmtplib")},
    }


def _child(name: str, arguments: list[str]) -> None:
    """Be the process that runs a target; it ends inside of the fuzzer."""
    import atheris  # type: ignore[import-not-found]  # noqa: PLC0415 - only this process needs it

    with atheris.instrument_imports(include=["htpoort"]):
        target = importlib.import_module(f"fuzz.targets.{name}")
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()


def fuzz(name: str, minutes: float) -> dict[str, Any]:
    """Run one target; return its figures, and what was kept of a crash."""
    folder, found = KEPT / name / "seeds", KEPT / name / "found"
    for each in (folder, found):
        each.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(importlib.import_module(f"fuzz.targets.{name}").seeds()):
        (folder / f"{number:04}").write_bytes(seed[:LONGEST])
    for old in (KEPT / name).glob("*-*"):  # a crash of an earlier run would hide the same one now
        old.rename(old.with_name(f"earlier.{old.name.replace('-', '.')}"))
    before = set((KEPT / name).iterdir())
    command = [
        *(sys.executable, __file__, "--child", name, str(found), str(folder), f"-max_total_time={round(minutes * 60)}"),
        *(f"-timeout={SLOW}", f"-max_len={LONGEST}", "-print_final_stats=1", "-rss_limit_mb=2048"),
        f"-artifact_prefix={KEPT / name}/",
    ]
    before_seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    # Ends with an error after a crash, which is a result.
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT)
    executions = re.search(r"number_of_executed_units: *([0-9]+)", done.stderr)
    seconds = re.search(r"Done [0-9]+ runs in ([0-9]+) second", done.stderr)
    per_second = re.search(r"average_exec_per_sec: *([0-9]+)", done.stderr)
    kept = sorted(str(path.relative_to(ROOT)) for path in set((KEPT / name).iterdir()) - before)
    if done.returncode and not kept:
        kept = ["(none)"]
    result = {
        "target": name,
        "executions": 0 if executions is None else int(executions[1]),
        "seconds": None if seconds is None else int(seconds[1]),
        "per_second": 0 if per_second is None else int(per_second[1]),
        "processor_seconds": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_seconds, 1),
        "crashes": len(kept),
    }
    if kept:
        _, found_error, error = done.stdout.partition("=== Uncaught Python exception: ===")
        result["error"] = (error if found_error else done.stderr).strip()[-3_000:]
        result["repeat"] = [f"{sys.executable} fuzz/run.py --repeat {name} {path}" for path in kept]
    return result


def main() -> int:
    """Run what the command line asks for; return 1 if a law was broken."""
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--minutes", type=float, default=DEFAULT, help="for each target")
    parser.add_argument("--linear", action="store_true", help="measure how the time grows with the length")
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "FILE"), help="run a target once, with a kept input")
    options = parser.parse_args()
    if options.repeat:
        name, path = options.repeat
        importlib.import_module(f"fuzz.targets.{name}").check(Path(path).read_bytes())
        return 0
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.linear:
        from fuzz.linear import measure  # noqa: PLC0415 - imports every parser

        return measure(options.targets)
    crashes = 0
    for name in options.targets or NAMES:
        result = fuzz(name, options.minutes)
        crashes += int(result["crashes"])
        print(json.dumps(result | {"versions": _versions()}), flush=True)
    return 1 if crashes else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
