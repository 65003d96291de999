"""Check what outlived the agents of one trial of `crash.py --files`: at the gateway, in the ledger, and delivered."""

from __future__ import annotations

import collections
import contextlib
import itertools
import sqlite3
import time
from typing import Any

import processes
import tracing
from crash_verdict import TrialResult, ledger_copy
from file_processes import FOREIGN, OVERWRITES, FileScene, Steps, digest

from htpoort.files import NAME_REUSED, entity, octets_of

Lines = list[dict[str, Any]]
_AT_GATEWAY = frozenset({"accepted", "answered"})


class FilePeer:
    """
    Name what an agent does on each connection; before a file is deleted, check that the disk certainly has it.

    Args:
        scene: Where.
        outcome: Gets the violations.
        power: Whether copies of what was synced are kept, because the power may be cut.
    """

    def __init__(self, scene: FileScene, outcome: TrialResult, *, power: bool) -> None:
        self._scene = scene
        self._power = power
        self._steps = Steps(scene)
        self._wrong = outcome.wrong

    def __call__(self, call: tracing.Call) -> str:
        """Name one call."""
        if call.name == "connect":
            return "to the gateway"
        # Nothing but this command is sent before TLS.
        step = "AUTH" if call.name == "sendto" else self._steps.at(call.arguments[0])
        command, _, name = step.partition(" ")
        if self._power and command == "DELE" and call.result is None:
            self._check(name)
        return f"to the gateway, {command if command.isupper() else step}"

    def _check(self, name: str) -> None:
        """Check that a file is in what was synced."""
        header = entity(name, b"").split(b"\r\n")[0]
        with ledger_copy(self._scene, ".kept") as database:
            try:
                stored = any(
                    raw.startswith(header + b"\r\n") for (raw,) in database.execute("SELECT raw FROM htpoort_messages")
                )
            except sqlite3.DatabaseError:
                stored = False
        if not stored:
            self._wrong.append(f"deleted before the ledger had synced it: {name}")


def phase(scene: FileScene) -> list[str]:
    """List what was under way when an agent was killed."""
    # The world writes down at each check what happened before it.
    polls, end = scene.poll_count, time.monotonic() + 10
    while scene.poll_count < polls + 2 and time.monotonic() < end:
        time.sleep(0.002)
    took = {one["name"] for one in scene.lines("took").all() if one["processed"]}
    put, deleted = scene.lines("put").all(), {one["number"] for one in scene.lines("deleted").all()}
    with ledger_copy(scene) as database:
        try:
            states = dict(database.execute("SELECT reference, state FROM htpoort_exchanges").fetchall())
            stored = {
                digest(octets_of(raw))
                for (raw,) in database.execute(
                    "SELECT raw FROM htpoort_messages WHERE id IN"
                    " (SELECT message FROM htpoort_replies UNION SELECT message FROM htpoort_quarantine)"
                )
            }
            undelivered = {
                digest(octets_of(raw))
                for (raw,) in database.execute(
                    "SELECT raw FROM htpoort_messages AS m JOIN htpoort_replies AS r ON r.message = m.id"
                    " WHERE r.delivered IS NULL"
                )
            }
        except sqlite3.DatabaseError:
            return ["before the ledger"]
    attempted = {name for name, state in states.items() if state == "sending"}
    phases = {
        "before any upload": not took and not attempted,
        "an upload under way, not at the gateway": bool(attempted - took),
        "an upload at the gateway, not recorded": bool(
            took & (attempted | {k for k, s in states.items() if s == "queued"})
        ),
        "files out, not stored": any(one["raw"] not in stored and one["number"] not in deleted for one in put),
        "files stored, not deleted": any(one["raw"] in stored and one["number"] not in deleted for one in put),
        "files deleted, not delivered": any(one["raw"] in undelivered and one["number"] in deleted for one in put),
    }
    return [name for name, holds in phases.items() if holds] or ["nothing under way"]


def judge(scene: FileScene, outcome: TrialResult) -> None:
    """Check everything that outlived the agents, and report violations."""
    wrong = outcome.wrong
    took, put, deleted = (scene.lines(name).all() for name in ("took", "put", "deleted"))
    resent = collections.Counter(one["name"] for one in scene.lines("resent").all())
    queued = {one["name"] for one in scene.lines("queued").all()}
    outcome.queued, outcome.resent, outcome.acked = len(queued), resent.total(), len(deleted)
    outcome.took = sum(one["processed"] for one in took)
    refused = scene.lines("refused").all()
    wrong += [f"refused: {one}" for one in refused if NAME_REUSED not in one["why"]]
    outcome.again = len(refused) + sum(one["repeated"] for one in took)
    _judge_uploads(scene, took, refused, resent, outcome)
    with contextlib.closing(sqlite3.connect(scene.database)) as database:
        if (result := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            wrong.append(f"the database is damaged: {result}")
        wrong += [f"foreign key: {row}" for row in database.execute("PRAGMA foreign_key_check")]
        kept = dict(database.execute("SELECT reference, state FROM htpoort_exchanges").fetchall())
        replies = database.execute(
            "SELECT reference, delivered, raw FROM htpoort_replies AS replies"
            " JOIN htpoort_messages AS messages ON messages.id = replies.message"
        ).fetchall()
        rows = database.execute(
            "SELECT raw FROM htpoort_quarantine AS q JOIN htpoort_messages AS m ON m.id = q.message"
        )
        strangers = list(itertools.starmap(octets_of, rows))
        asked = "SELECT count(DISTINCT exchange) FROM htpoort_events WHERE event = 'name-asked'"
        (outcome.asked,) = database.execute(asked).fetchone()
    wrong += [f"queued and lost: {name}" for name in queued if name not in kept]
    wrong += [f"{name} is {state} at the end" for name, state in kept.items() if state != "answered"]
    _judge_fetched(put, deleted, replies, strangers, wrong)
    _judge_delivered(scene, put, replies, outcome)


def _judge_uploads(
    scene: FileScene, took: Lines, refused: Lines, resent: collections.Counter[str], outcome: TrialResult
) -> None:
    """Check that the gateway took each file once, whole, under its one name."""
    wrong = outcome.wrong
    declared = {str(one.name): digest(one.octets) for one in scene.files()}
    times = collections.Counter(one["name"] for one in took if one["processed"])
    under: dict[str, set[str]] = collections.defaultdict(set)
    for one in took:
        under[one["raw"]].add(one["name"])
        if declared.get(one["name"]) != one["raw"]:
            wrong.append(f"the gateway took another file than was declared: {one['name']}")
    wrong += [f"uploaded under several names: {names}" for names in under.values() if len(names) > 1]
    wrong += [f"never taken: {name}" for name in declared if not times[name]]
    allowed = resent if scene.mode == OVERWRITES else collections.Counter[str]()
    wrong += [f"taken {number} times: {name}" for name, number in times.items() if number > 1 + allowed[name]]
    again = collections.Counter(one["name"] for one in took if one["repeated"])
    again += collections.Counter(one["subject"].rpartition("/")[2] for one in refused)
    # Only what was under way at a kill is asked for, and once.
    kills = len(outcome.killed)
    wrong += [f"uploaded again {number} times: {name}" for name, number in again.items() if number > kills]


def _judge_fetched(
    put: Lines, deleted: Lines, replies: list[tuple[Any, ...]], strangers: list[bytes], wrong: list[str]
) -> None:
    """Check that everything that was put out is stored, once, for its upload, and nothing is left there."""
    gone = {one["number"]: one["fetched"] for one in deleted}
    replaced = {one["number"] for one in put for later in put[one["number"] + 1 :] if later["name"] == one["name"]}
    kept = collections.Counter((reference, digest(octets_of(raw))) for reference, _, raw in replies)
    others = collections.Counter(digest(octets) for octets in strangers)
    for one in put:
        key, number = (one["of"], one["raw"]), one["number"]
        stored = others[one["raw"]] if one["of"] is None else kept[key]
        if number in gone and not gone[number]:
            wrong.append(f"deleted before it was fetched: {one['name']}")
        if number in gone and not stored:
            wrong.append(f"deleted and lost: {one['name']} of {one['of']}")
        elif number not in gone and number not in replaced:
            wrong.append(f"still at the gateway: {one['name']} of {one['of']}")
        if stored > 1:
            wrong.append(f"kept {stored} times: {one['name']} of {one['of']}")
    known = {(one["of"], one["raw"]) for one in put}
    wrong += [f"kept for another upload: {key}" for key in kept if key not in known]
    foreign = {one["raw"] for one in put if one["name"] == FOREIGN}
    wrong += [f"in quarantine: {raw}" for raw in others if raw not in foreign]


def _judge_delivered(scene: FileScene, put: Lines, replies: list[tuple[Any, ...]], outcome: TrialResult) -> None:
    """Check that everything that is stored for an upload was delivered, as it was put out, and nothing else."""
    wrong = outcome.wrong
    handed = scene.lines("process").all()
    delivered = collections.Counter(one["body"] for one in handed)
    # Like readers of a Maildir: a folder of a self-test that was killed has a name that begins with a dot.
    for file in scene.folder.glob("maildir-*/new/[!.]*"):
        delivered[processes.digest(octets_of(file.read_bytes()))] += 1
    for reference, at, raw in replies:
        if at is None:
            wrong.append(f"stored and not marked as delivered: a file of {reference}")
        elif not delivered[processes.digest(octets_of(raw))]:
            wrong.append(f"stored and not delivered: a file of {reference}")
    known = {(one["of"], one["body"]) for one in put}
    wrong += [f"delivered for another upload: {one}" for one in handed if (one["k"], one["body"]) not in known]
    answers = {one["body"] for one in put if one["of"] is not None}
    wrong += [f"delivered, but never put out: {body}" for body in delivered if body not in answers]
    outcome.twice = sum(number > 1 for number in delivered.values())
