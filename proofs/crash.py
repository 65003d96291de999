"""
Kill an agent at a thousand different points while it sends and receives, and check whether anything is lost.

    python proofs/crash.py --points 1000 --json crash.json

A point is the moment before or after one system call that writes, syncs or sends (`syscalls`, by ptrace), or
before one line of htpoort (`lines`, where a process must not trace its child). Every third trial by system
calls is also a power cut: of what was not synced, the disk keeps a random part, block by block.
With ``--window``, all is declared in a service window; what it holds is let go after its end, and one before, by order.
With ``--files``, it uploads files to a simulated gateway by FTPS, and fetches and deletes what that puts out.
After each kill another agent finishes the work; every fifth time that one is killed too, and a third finishes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import multiprocessing
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import crash_verdict
import file_processes
import file_verdict
import processes
import tracing
from crash_verdict import TrialResult
from file_processes import MODES
from points import Peer, Point, Watch, by_lines, cut, live


@dataclass(frozen=True)
class Play:
    """
    What an agent does in a trial, and who judges it.

    Args:
        agent: The function of the agent.
        world: That of its peers.
        judge: Checks what outlived the agents.
        phase: Lists how far everything was at a kill.
        peer: Makes what names each call on a connection; None if all have one name.
    """

    agent: Callable[[Any], None]
    world: Callable[[Any], None]
    judge: Callable[[Any, TrialResult], None]
    phase: Callable[[Any], list[str]]
    peer: Callable[..., Peer] | None = None


MAIL: Final = Play(processes.agent, processes.world, crash_verdict.judge, crash_verdict.phase)
FILES: Final = Play(
    file_processes.agent, file_processes.world, file_verdict.judge, file_verdict.phase, file_verdict.FilePeer
)


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
        files: Upload files to a gateway instead of sending messages.
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

    @property
    def play(self) -> Play:
        """What the agent does."""
        return FILES if self.files else MAIL

    def peer(self, scene: Any, outcome: TrialResult) -> Peer | None:  # noqa: ANN401 - of its play
        """Make what names each call on a connection."""
        peer = self.play.peer
        return None if peer is None else peer(scene, outcome, power=self.power)


def count_points(trial: Trial) -> int:
    """Count the points of a life that is not killed."""
    agent = trial.play.agent
    with _scene(trial, number=0) as scene, _world(trial, scene):
        if trial.point.by == "lines":
            code = tracing.wait_for_exit(tracing.fork(lambda: by_lines(agent, scene, None, scene.folder / "counted")))
            count = int((scene.folder / "counted").read_text()) if code == 0 else 0
        else:
            watch = Watch(scene, None, power=False, peer=trial.peer(scene, TrialResult(0)))
            code = tracing.trace(lambda: agent(scene), watch)
            count = watch.count
    if code:
        message = f"an agent that was not killed ended with {code}"
        raise RuntimeError(message)
    return count


# ── a trial ──────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _scene(trial: Trial, number: int) -> Any:  # noqa: ANN401 - a generator
    folder = Path(tempfile.mkdtemp(prefix=f"htpoort-crash-{trial.number}-"))
    facts: dict[str, Any] = {"seed": trial.seed, "maildir": trial.maildir, "unsynced": trial.unsynced}
    scene = (
        file_processes.FileScene(folder, number, **facts, mode=MODES[(trial.seed + trial.number) % len(MODES)])
        if trial.files
        else processes.Scene(folder, number, **facts, window=trial.window)
    )
    scene.reserve()
    try:
        yield scene
    finally:
        if not (folder / "keep").exists():
            shutil.rmtree(folder)


@contextlib.contextmanager
def _world(trial: Trial, scene: processes.Scene) -> Any:  # noqa: ANN401 - a generator
    world = tracing.fork(lambda: trial.play.world(scene))
    try:
        tracing.wait_for_file(world, scene.folder / "gateway")
        yield world
    finally:
        tracing.kill(world)


def run_trial(trial: Trial, number: int) -> TrialResult:
    """Run one trial: an agent that is killed once or twice, one that finishes, and the check."""
    outcome = TrialResult(trial.number)
    chance = random.Random(f"{trial.seed} {trial.number}")  # noqa: S311 - not a secret
    play = trial.play
    with _scene(trial, number) as scene, _world(trial, scene):
        peer = trial.peer(scene, outcome)
        for point in filter(None, (trial.point, trial.again)):
            code, doing = live(play.agent, scene, point, power=trial.power, peer=peer)
            if code == 0:
                break  # it ended before the point
            if code != -signal.SIGKILL or not doing:
                outcome.wrong.append(f"an agent ended with {code}")
                break
            outcome.killed.append(doing)
            outcome.points.append(f"{trial.seed}:{len(outcome.killed)}:{point}")
            if trial.power:
                cut(scene, chance)
            outcome.phases += play.phase(scene)
        if outcome.killed and (code := tracing.wait_for_exit(tracing.fork(lambda: play.agent(scene)))):
            outcome.wrong.append(f"the last agent ended with {code}")
        play.judge(scene, outcome)
        if outcome.wrong and not trial.unsynced:
            (scene.folder / "keep").touch()
            outcome.folder = str(scene.folder)
    return outcome


# ── all trials ───────────────────────────────────────────────────────────────


def plan_trials(  # noqa: PLR0913 - one argument for each choice
    by: str, points: int, seed: int, *, unsynced: bool = False, window: bool = False, files: bool = False
) -> list[Trial]:
    """Spread the points over a whole life, each before or after another call; use a new scene when they run out."""
    trials: list[Trial] = []
    life = Trial(0, Point(by, 0), window=window, files=files)
    chance = random.Random(seed)  # noqa: S311 - not a secret
    scene = seed * 100
    while len(trials) < points:
        # The end of a life varies by some calls, more on a busy machine; a later point would never be reached.
        last = int(min(count_points(replace(life, seed=scene)) for _ in range(3)) * 0.95)
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
                    maildir=not power and index % 2 == 1,
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
        "uploaded_again": sum(outcome.again for outcome in outcomes),
        "asked_by_name": sum(outcome.asked for outcome in outcomes),
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
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--window", action="store_true", help="declare in a service window")
    other.add_argument("--files", action="store_true", help="upload files to a gateway, and fetch what it puts out")
    options = parser.parse_args()
    by = "lines" if options.by == "lines" or not tracing.can_trace() else "syscalls"
    began = time.monotonic()
    trials = plan_trials(
        by, options.points, options.seed, unsynced=options.unsynced, window=options.window, files=options.files
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
