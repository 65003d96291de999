"""Check what outlived the agents of one trial of `crash.py`, and count what the trial did."""

from __future__ import annotations

import collections
import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import processes

import htpoort


@dataclass
class TrialResult:
    """
    The result of one trial.

    Args:
        trial: The number of the trial.
        killed: What was in progress at each kill, such as ``before fdatasync of the ledger's log``.
        points: The points that were reached.
        queued: Declarations whose `queue` had returned.
        took: Declarations that the gateway accepted.
        acked: Replies that got 250.
        resent: Declarations that were ordered to be sent again.
        twice: Replies that a process got more than once.
        again: Files that were uploaded again, under the same name.
        asked: Files of which it was unknown whether they had arrived, and whose names were asked for.
        held: Declarations that were held for the window.
        phases: How far the window was at each kill.
        wrong: The violations, each as one sentence.
        folder: Kept if there is a violation.
    """

    trial: int
    killed: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    queued: int = 0
    took: int = 0
    acked: int = 0
    resent: int = 0
    twice: int = 0
    again: int = 0
    asked: int = 0
    held: int = 0
    phases: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    folder: str = ""


def judge(scene: processes.Scene, outcome: TrialResult) -> None:
    """Check everything that outlived the agents, and report violations."""
    wrong = outcome.wrong
    queued = {(one["party"], one["k"]): one["system"] for one in scene.lines("queued").all()}
    took, acked = scene.lines("took").all(), scene.lines("acked").all()
    resent = collections.Counter((one["party"], one["k"]) for one in scene.lines("resent").all())
    outcome.queued, outcome.took, outcome.acked = len(queued), len(took), len(acked)
    outcome.resent = resent.total()
    wrong += [f"refused: {one}" for one in scene.lines("refused").all()]
    _judge_sent(scene, took, resent, wrong)
    with contextlib.closing(sqlite3.connect(scene.database)) as database:
        if (result := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            wrong.append(f"the database is damaged: {result}")
        wrong += [f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check")]
        kept = {
            (party, k): (system, state)
            for party, k, system, state in database.execute(
                "SELECT party, reference, system, state FROM htpoort_exchanges"
            )
        }
        replies = database.execute(
            "SELECT replies.id, system, party, reference, delivered, raw FROM htpoort_replies AS replies"
            " JOIN htpoort_messages AS messages ON messages.id = replies.message"
        ).fetchall()
        strangers = database.execute("SELECT reason FROM htpoort_quarantine").fetchall()
        opened = "SELECT count(DISTINCT exchange) FROM htpoort_events WHERE event = 'window-opened'"
        (outcome.held,) = database.execute(opened).fetchone()
    wrong += [f"queued and lost: {k}" for k in queued if k not in kept]
    wrong += [
        f"queued for {system}, kept for {kept[k][0]}: {k}" for k, system in queued.items() if kept[k][0] != system
    ]
    wrong += [f"{k} is {state} at the end" for k, (_, state) in kept.items() if state != "answered"]
    wrong += [f"in quarantine: {reason}" for (reason,) in strangers]
    _judge_received(scene, acked, replies, outcome)
    if scene.window:
        _judge_window(scene, took, wrong)


@contextlib.contextmanager
def ledger_copy(scene: processes.Scene, suffix: str = "") -> Generator[sqlite3.Connection]:
    """Open a copy of the ledger of an agent that was killed, which itself stays as it is; or of what was synced."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ledger.db", "ledger.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(scene.folder / f"{name}{suffix}", Path(folder, name))
        with contextlib.closing(sqlite3.connect(Path(folder, "ledger.db"))) as database:
            yield database


def phase(scene: processes.Scene) -> list[str]:
    """Say how far the window was when an agent was killed."""
    if not scene.window:
        return []
    with ledger_copy(scene) as database:
        try:
            (held,) = database.execute("SELECT count(*) FROM htpoort_exchanges WHERE state = 'held'").fetchone()
            (freed,) = database.execute(
                "SELECT count(*) FROM htpoort_events WHERE event = 'window-closed' AND detail = ''"
            ).fetchone()
        except sqlite3.OperationalError:
            return ["before the ledger"]
    ended = [datetime.fromisoformat(one["at"]) for one in scene.lines("ended").all()]
    if freed:
        return ["while it is let go" if held else "after it"]
    if not held:
        return ["before the hold"]
    if not ended:
        return ["held, its end not known"]
    return ["held, before its end" if processes.now() < ended[0] else "held, after its end"]


def _judge_window(scene: processes.Scene, took: list[dict[str, Any]], wrong: list[str]) -> None:
    """Check that nothing reached the gateway in the window, except what was ordered."""
    ordered = {(one["party"], one["k"]) for one in scene.lines("ordered").all()}
    ended = [one["at"] for one in scene.lines("ended").all()]
    if len(ended) != 1:
        wrong.append(f"the window ended {len(ended)} times")
        return
    wrong += [
        f"sent at {one['at']} in a window that rejects until {ended[0]}: {one['party'], one['k']}"
        for one in took
        if one["system"] == "DMS" and one["at"] < ended[0] and (one["party"], one["k"]) not in ordered
    ]


def _judge_sent(
    scene: processes.Scene, took: list[dict[str, Any]], resent: collections.Counter[tuple[str, str]], wrong: list[str]
) -> None:
    """Check that nothing was sent under two K's, twice without an order, or without being declared."""
    declared = {
        (one.envelope.sender, one.envelope.reference): (one.system, processes.digest(one.data))
        for one in scene.declarations()
    }
    times: collections.Counter[tuple[str, str]] = collections.Counter()
    under: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
    for one in took:
        k = (one["party"], one["k"])
        times[k] += 1
        under[one["payload"]].add(k)
        if declared.get(k) != (one["system"], one["raw"]):
            wrong.append(f"the gateway took another message than was declared: {k}")
    wrong += [f"sent under several K's: {ks}" for ks in under.values() if len(ks) > 1]
    wrong += [f"taken {number} times: {k}" for k, number in times.items() if number > 1 + resent[k]]
    wrong += [f"never taken: {k}" for k in declared if not times[k]]


def _judge_received(
    scene: processes.Scene, acked: list[dict[str, Any]], replies: list[tuple[Any, ...]], outcome: TrialResult
) -> None:
    """Check that what was acknowledged is stored once, and was delivered to its process and to no other."""
    wrong = outcome.wrong
    kept: dict[str, tuple[Any, ...]] = {}
    for reply in replies:
        body = processes.digest(reply[5].partition(b"\r\n\r\n")[2])
        if body in kept:
            wrong.append(f"kept twice: replies {kept[body][0]} and {reply[0]}")
        kept[body] = reply
    delivered = collections.Counter((one["process"], one["party"], one["k"], one["body"]) for one in _deliveries(scene))
    for one in acked:
        expected = (one["system"], one["party"], one["k"])
        stored = kept.get(one["body"])
        if stored is None:
            wrong.append(f"acknowledged and lost: {one}")
        elif tuple(stored[1:4]) != expected:
            wrong.append(f"acknowledged for {expected}, kept for {stored[1:4]}")
        elif stored[4] is None:
            wrong.append(f"acknowledged and not marked as delivered: {one}")
        elif not delivered[*expected, one["body"]]:
            wrong.append(f"acknowledged and not delivered: {one}")
    pushed = {(one["system"], one["party"], one["k"], one["body"]) for one in acked}
    wrong += [f"delivered to another process: {one}" for one in delivered if one not in pushed]
    outcome.twice = sum(number > 1 for number in delivered.values())


def _deliveries(scene: processes.Scene) -> Iterable[dict[str, Any]]:
    """Return what the processes got."""
    yield from scene.lines("process").all()
    for system in processes.SYSTEMS:
        # Like readers of a Maildir: a folder of a self-test that was killed has a name that begins with a dot.
        for file in (scene.folder / f"maildir-{system.name}").glob("new/[!.]*"):
            raw = file.read_bytes()
            reply = htpoort.read(raw)
            assert reply.envelope is not None
            yield {
                "process": system.name,
                "party": reply.envelope.addressee,
                "k": reply.envelope.reference,
                "body": processes.digest(raw.partition(b"\r\n\r\n")[2]),
            }
