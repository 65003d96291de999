"""
Kill an agent at a thousand different points while it sends and receives, and check whether anything is lost.

    python proofs/crash.py --points 1000 --json crash.json

A point is the moment before or after one system call that writes, syncs or sends (`syscalls`, by ptrace), or
before one line of htpoort (`lines`, where a process must not trace its child). Every third trial by system
calls is also a power cut: of what was not synced, the disk keeps a random part, block by block.
With ``--files``, the agent uploads to a file gateway and fetches from it, instead of sending and receiving messages.
With ``--window``, all is declared in a service window; what it holds is let go after its end, and one before, by order.
After each kill another agent finishes the work; every fifth time that one is killed too, and a third finishes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import types
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import crash_files
import processes
import tracing
from crash_verdict import TrialResult, judge, phase

import htpoort

_BLOCK: Final = 4096
_ROOMS: Final = tuple(
    str(Path(htpoort.__file__).parent / room)
    for room in ("agent", "ledger", "transport", "delivery", "core/exchange.py")
)


@dataclass(frozen=True)
class Point:
    """
    The place where to kill.

    Args:
        by: ``syscalls`` or ``lines``.
        number: The number of the call or line, from 1.
        after: Kill after the call instead of before it.
    """

    by: str
    number: int
    after: bool = False


@dataclass(frozen=True)
class Trial:
    """
    What one trial does.

    Args:
        number: The number of the trial.
        point: Where the first agent is killed.
        again: Where the second one is killed; None if it is not.
        maildir: Deliver to Maildirs.
        power: Also cut the power.
        seed: The seed of the declarations and of the disk.
        unsynced: Make the ledger acknowledge before it syncs, on purpose.
        window: Declare in a service window.
        files: Exchange files with a file gateway.
    """

    number: int
    point: Point
    again: Point | None = None
    maildir: bool = False
    power: bool = False
    seed: int = 0
    unsynced: bool = False
    window: bool = False
    files: bool = False


# ── points ───────────────────────────────────────────────────────────────────


class Watch:
    """
    Count system calls, and kill at one of them; keep a copy of what is certainly on the disk.

    Args:
        scene: Where.
        point: Where to kill; None to count only.
        power: Keep a copy of what was synced.
    """

    def __init__(self, scene: processes.Scene, point: Point | None, *, power: bool) -> None:
        self._folder = str(scene.folder)
        self._point = point
        self._power = power
        self.count = 0
        self.reached = ""

    def __call__(self, call: tracing.Call) -> object:
        """Observe one call."""
        if call.is_alarm:
            return None
        what = self._what(call.target)
        if what is None:
            return None
        after = call.result is not None
        self.count += not after
        if self._power and call.result == 0 and call.name in {"fsync", "fdatasync"}:
            _keep(Path(call.target))
        if self._point is not None and (self.count, after) == (self._point.number, self._point.after):
            self.reached = f"{'after' if after else 'before'} {call.name} {what}"
            return tracing.KILL
        return None

    def _what(self, target: str) -> str | None:
        """Name the target of a call in words; None if it does not matter for the proof."""
        if target.startswith("socket:"):
            return "to a peer"
        if target == "names":
            return "of names"
        if not target.startswith(self._folder):
            return None
        name = target.removeprefix(f"{self._folder}/").split("/")[0]
        return {
            "ledger.db": "of the ledger",
            "ledger.db-wal": "of the ledger's log",
            "ledger.db-shm": "of the log's index",
            "queued.jsonl": "of the caller",
            "process.jsonl": "of the process",
        }.get(name, "of a Maildir" if name.startswith("maildir") else "of another file")


def _keep(path: Path) -> None:
    """Copy a file as it certainly is on the disk."""
    if path.is_file():
        shutil.copyfile(path, path.with_name(f"{path.name}.kept"))


def _cut(scene: processes.Scene, chance: random.Random) -> None:
    """Turn every file into what a power cut may leave: any part of what was not synced."""
    share = 0.0 if scene.unsynced else chance.choice((0.0, 0.5, 1.0))
    for name in ("ledger.db", "ledger.db-wal", "process.jsonl"):
        path = scene.folder / name
        if not path.exists():
            continue
        now = path.read_bytes()
        kept_path = path.with_name(f"{name}.kept")
        kept = kept_path.read_bytes() if kept_path.exists() else b""
        length = len(now) if chance.random() < share else len(kept)
        blocks = []
        for start in range(0, length, _BLOCK):
            stop = min(start + _BLOCK, length)
            old, new = kept[start:stop].ljust(stop - start, b"\0"), now[start:stop].ljust(stop - start, b"\0")
            blocks.append(new if old == new or chance.random() < share else old)
        path.write_bytes(b"".join(blocks))
    # Nothing relies on this file; a new one is made.
    (scene.folder / "ledger.db-shm").unlink(missing_ok=True)


def _by_lines(scene: processes.Scene, point: Point | None, counted: Path) -> None:
    """Run an agent that kills itself before one line of htpoort."""
    count = [0]
    last = 0 if point is None else point.number

    def in_room(frame: types.FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - itself
        if event == "line":
            count[0] += 1
            if count[0] == last:
                place = Path(frame.f_code.co_filename)
                counted.write_text(f"before line of {place.parent.name}/{place.name}", encoding="ascii")
                os.kill(os.getpid(), signal.SIGKILL)
        return in_room

    def called(frame: types.FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401 - the signature of settrace
        return in_room if frame.f_code.co_filename.startswith(_ROOMS) else None

    threading.settrace(called)
    sys.settrace(called)
    try:
        _agent(scene)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    counted.write_text(str(count[0]), encoding="ascii")


def _life(scene: processes.Scene, point: Point, *, power: bool) -> tuple[int, str]:
    """Run one agent until a point; return its exit code and what it was doing."""
    if point.by == "syscalls":
        watch = Watch(scene, point, power=power)
        return tracing.trace(lambda: _agent(scene), watch), watch.reached
    counted = scene.folder / "counted"
    code = tracing.wait_for_exit(tracing.fork(lambda: _by_lines(scene, point, counted)))
    return code, counted.read_text() if code == -signal.SIGKILL else ""


def _agent(scene: processes.Scene) -> None:
    """Be an agent of a scene."""
    (crash_files if scene.files else processes).agent(scene)


def count_points(by: str, seed: int, *, window: bool = False, files: bool = False) -> int:
    """Count the points of a life that is not killed."""
    with _scene(Trial(0, Point(by, 0), seed=seed, window=window, files=files), number=0) as scene, _world(scene):
        if by == "lines":
            code = tracing.wait_for_exit(tracing.fork(lambda: _by_lines(scene, None, scene.folder / "counted")))
            count = int((scene.folder / "counted").read_text()) if code == 0 else 0
        else:
            watch = Watch(scene, None, power=False)
            code = tracing.trace(lambda: _agent(scene), watch)
            count = watch.count
    if code:
        message = f"an agent that was not killed ended with {code}"
        raise RuntimeError(message)
    return count


# ── a trial ──────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _scene(trial: Trial, number: int) -> Any:  # noqa: ANN401 - a generator
    folder = Path(tempfile.mkdtemp(prefix=f"htpoort-crash-{trial.number}-"))
    scene = processes.Scene(
        folder=folder,
        number=number,
        seed=trial.seed,
        maildir=trial.maildir,
        unsynced=trial.unsynced,
        window=trial.window,
        files=trial.files,
        # Each file has four more that are fetched for it.
        declared=3 if trial.files else 6,
    )
    scene.reserve()
    try:
        yield scene
    finally:
        if not (folder / "keep").exists():
            shutil.rmtree(folder)


@contextlib.contextmanager
def _world(scene: processes.Scene) -> Any:  # noqa: ANN401 - a generator
    world = tracing.fork(lambda: (crash_files if scene.files else processes).world(scene))
    try:
        tracing.wait_for_file(world, scene.folder / "gateway")
        yield world
    finally:
        tracing.kill(world)


def run_trial(trial: Trial, number: int) -> TrialResult:
    """Run one trial: an agent that is killed once or twice, one that finishes, and the check."""
    outcome = TrialResult(trial.number)
    chance = random.Random(f"{trial.seed} {trial.number}")  # noqa: S311 - not a secret
    with _scene(trial, number) as scene, _world(scene):
        for point in filter(None, (trial.point, trial.again)):
            code, doing = _life(scene, point, power=trial.power)
            if code == 0:
                break  # it ended before the point
            if code != -signal.SIGKILL or not doing:
                outcome.wrong.append(f"an agent ended with {code}")
                break
            outcome.killed.append(doing)
            outcome.points.append(f"{trial.seed}:{len(outcome.killed)}:{point}")
            if trial.power:
                _cut(scene, chance)
            if trial.window:
                outcome.phases.append(phase(scene))
        if outcome.killed and (code := tracing.wait_for_exit(tracing.fork(lambda: _agent(scene)))):
            outcome.wrong.append(f"the last agent ended with {code}")
        (crash_files.judge if trial.files else judge)(scene, outcome)
        if outcome.wrong and not trial.unsynced:
            (scene.folder / "keep").touch()
            outcome.folder = str(scene.folder)
    return outcome


# ── all trials ───────────────────────────────────────────────────────────────


def plan_trials(  # noqa: PLR0913 - one argument for each option
    by: str, points: int, seed: int, *, unsynced: bool = False, window: bool = False, files: bool = False
) -> list[Trial]:
    """Spread the points over a whole life, each before or after another call; use a new scene when they run out."""
    trials: list[Trial] = []
    chance = random.Random(seed)  # noqa: S311 - not a secret
    scene = seed * 100
    while len(trials) < points:
        # The end of a life varies by some calls, more on a busy machine; a later point would never be reached.
        last = int(min(count_points(by, scene, window=window, files=files) for _ in range(3)) * 0.95)
        sides = (False, True) if by == "syscalls" else (False,)
        # A ledger that is broken on purpose can lose most near the end of its life.
        first = last // 2 if unsynced else 1
        possible = [(number, after) for number in range(first, last + 1) for after in sides]
        chosen = chance.sample(possible, min(points - len(trials), len(possible), 500))
        for number, after in sorted(chosen):
            index = len(trials)
            again = Point(by, chance.randint(1, last // 2), chance.choice(sides))
            power = unsynced or (by == "syscalls" and index % 3 == 2)
            trials.append(
                Trial(
                    index,
                    Point(by, number, after),
                    again=again if index % 5 == 4 and not unsynced else None,
                    maildir=not power and index % 2 == 1 and not files,
                    power=power,
                    seed=scene,
                    unsynced=unsynced,
                    window=window,
                    files=files,
                )
            )
        scene += 1
    return trials


def _run_trials(number: int, trials: list[Trial]) -> list[TrialResult]:
    """Run trials one after another, in a process that ends with its parent."""
    tracing.end_with_parent()
    outcomes: list[TrialResult] = []
    for trial in trials:
        outcome = run_trial(trial, number)
        outcomes.append(outcome)
        if outcome.wrong:
            print(f"trial {outcome.trial}: {outcome.killed}: {outcome.wrong} ({outcome.folder})", flush=True)
    return outcomes


def run(trials: list[Trial], workers: int) -> list[TrialResult]:
    """Run all trials in several processes; an error in one of them is raised here."""
    # By fork, so that each has only its own thread.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as processes:
        parts = [processes.submit(_run_trials, number + 1, trials[number::workers]) for number in range(workers)]
        return [outcome for part in parts for outcome in part.result()]


def summarize(by: str, seed: int, trials: list[Trial], outcomes: list[TrialResult], seconds: float) -> dict[str, Any]:
    """Summarise the results."""
    phases = collections.Counter(each for outcome in outcomes for each in outcome.phases)
    kinds = collections.Counter(doing for outcome in outcomes for doing in outcome.killed)
    return {
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "by": by,
        "seed": seed,
        "trials": len(outcomes),
        "power_cuts": sum(bool(trial.power) for trial in trials),
        "kills": sum(len(outcome.killed) for outcome in outcomes),
        "points": len({point for outcome in outcomes for point in outcome.points}),
        "killed_twice": sum(len(outcome.killed) > 1 for outcome in outcomes),
        "queued": sum(outcome.queued for outcome in outcomes),
        "taken_by_the_gateway": sum(outcome.took for outcome in outcomes),
        "acknowledged": sum(outcome.acked for outcome in outcomes),
        "sent_again_by_order": sum(outcome.resent for outcome in outcomes),
        "held": sum(outcome.held for outcome in outcomes),
        "delivered_twice": sum(outcome.twice for outcome in outcomes),
        "wrong": [asdict(outcome) for outcome in outcomes if outcome.wrong],
        "phases": dict(phases.most_common()),
        "kinds": dict(kinds.most_common()),
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run the trials, and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--points", type=int, default=1000, help="how many points to kill at")
    parser.add_argument("--seed", type=int, default=1, help="chooses declarations and points")
    parser.add_argument("--by", choices=("syscalls", "lines"), help="what a point is; system calls where possible")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--unsynced", action="store_true", help="break the ledger on purpose: the proof must notice")
    parser.add_argument("--window", action="store_true", help="declare in a service window")
    parser.add_argument("--files", action="store_true", help="exchange files with a file gateway")
    options = parser.parse_args()
    if options.files and (options.window or options.unsynced):
        parser.error("--files goes with neither --window nor --unsynced")
    by = "lines" if options.by == "lines" or not tracing.can_trace() else "syscalls"
    began = time.monotonic()
    trials = plan_trials(
        by,
        options.points,
        options.seed,
        unsynced=options.unsynced,
        window=options.window,
        files=options.files,
    )
    outcomes = run(trials, options.workers)
    figures = summarize(by, options.seed, trials, outcomes, time.monotonic() - began)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    for name, figure in figures.items():
        if name not in {"wrong", "kinds", "phases"}:
            print(f"{name:24} {figure}")
    for name, figure in figures["phases"].items():
        print(f"killed {name:24} {figure}")
    print(f"{'wrong':24} {len(figures['wrong'])}")
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
