"""
The processes of `crash.py --files`: an agent that uploads to a file gateway and fetches from it, and that gateway.

The gateway refuses a name that was used, in one of three ways, and may hide what was uploaded. What was uploaded under
a name, put out, and deleted outlives the agents in lines of files, and is compared with the ledger.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import random
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import processes
from crash_verdict import TrialResult

from htpoort import Router, State
from htpoort.agent import Agent, FileGatewaySettings
from htpoort.files import FileSubmission, GatewayUser, build_file
from htpoort.ledger import Ledger
from htpoort.simulator import (
    MANIFEST,
    ClientCertificate,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    GatewayTls,
    NameReuse,
    OutKind,
    PutOut,
)
from htpoort.transport import FtpsAccount, TlsSettings

USER: Final = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")  # noqa: S106 - of a simulator
_SOON: Final = timedelta(milliseconds=5)
_OUT: Final = tuple(
    PutOut(kind=kind, after=_SOON * number)
    for number, kind in enumerate((OutKind.HANDED_OVER, OutKind.TAKEN, OutKind.ANSWERED), start=1)
)
_FETCHED: Final = 4
"""Files that the gateway puts out for each upload: three status files and a response."""
_POLL_INTERVAL: Final = 0.005  # seconds between two looks of the world at its gateway
_LONGEST: Final = 60.0  # seconds for a life that is not killed


def submissions(scene: processes.Scene) -> Iterator[FileSubmission]:
    """Make the files, always the same for a seed; some are longer than one block of TLS."""
    chance = random.Random(scene.seed)  # noqa: S311 - not a secret
    for number in range(scene.declared):
        filling = "x" * chance.choice((10, 1_000, 40_000))
        payload = f"<Manifest><N>{scene.seed}-{number}</N><T>{filling}</T></Manifest>".encode()
        name = f"M{scene.seed % 10_000:04d}_{number:04d}"
        yield build_file(service=MANIFEST, user=USER.user, name=name, payload=payload)


# ── the gateway ──────────────────────────────────────────────────────────────


def world(scene: processes.Scene) -> None:
    """Run the gateway, and record what happens to its files."""
    asyncio.run(_world(scene))


async def _world(scene: processes.Scene) -> None:
    chance = random.Random(scene.seed)  # noqa: S311 - not a secret
    folder = scene.folder / "tls"
    folder.mkdir()
    script = FileScript(
        scenarios=(FileScenario(out=_OUT),),
        names=chance.choice(list(NameReuse)),
        lists_uploads=chance.random() < 0.5,
    )
    tls = GatewayTls.made(folder, client=ClientCertificate.REQUIRED, names=[scene.host])
    async with FileGateway(tls=tls, users=[USER], script=script, host=scene.host) as gateway:
        processes.write_file(scene.folder / "gateway", str(gateway.port))
        seen = {"uploads": 0, "put_out": 0, "deleted": 0}
        while True:
            for name, record in (("uploads", _upload), ("put_out", _put_out), ("deleted", _deleted)):
                for each in getattr(gateway, name)[seen[name] :]:
                    seen[name] += 1
                    record(scene, each)
            scene.count_poll()
            await asyncio.sleep(_POLL_INTERVAL)


def _upload(scene: processes.Scene, taken: Any) -> None:  # noqa: ANN401 - a record of the simulator
    scene.lines("took").add(name=taken.name, payload=processes.digest(taken.octets), processed=taken.processed)


def _put_out(scene: processes.Scene, file: Any) -> None:  # noqa: ANN401 - the same
    scene.lines("out").add(name=file.name, body=processes.digest(file.octets))


def _deleted(scene: processes.Scene, deleted: Any) -> None:  # noqa: ANN401 - the same
    scene.lines("deleted").add(
        name=deleted.file.name, body=processes.digest(deleted.file.octets), fetched=deleted.fetched
    )


# ── the agent ────────────────────────────────────────────────────────────────


def agent(scene: processes.Scene) -> None:
    """Run an agent: queue the files, and run until every one is answered and nothing is out."""
    asyncio.run(_agent(scene))


def _settings(scene: processes.Scene) -> FileGatewaySettings:
    folder = scene.folder / "tls"
    return FileGatewaySettings(
        server=FtpsAccount(
            host=scene.host,
            port=scene.port("gateway"),
            username=USER.username,
            password=USER.password,
            timeout=20,
            tls=TlsSettings(ca_file=folder / "ca.pem", certificate=folder / "client.pem"),
        ),
        user=USER.user,
        services=(MANIFEST,),
        poll_interval=timedelta(milliseconds=20),
        connections=2,
        retry_schedule=(timedelta(milliseconds=20),) * 50,
    )


async def _agent(scene: processes.Scene) -> None:
    logging.basicConfig(filename=scene.folder / "log", level=logging.WARNING)
    with Ledger.open(f"sqlite:///{scene.database}") as ledger:
        async with Agent(
            ledger=ledger,
            router=Router(parties=processes.PARTIES),
            file_gateways=[_settings(scene)],
            deliveries={MANIFEST.name: processes.Process(scene, MANIFEST.name)},
            timing=processes.QUICK,
        ) as running:
            for submission in submissions(scene):
                await asyncio.wrap_future(ledger.exchanges.queue_soon(submission, at=processes.now()))
                scene.lines("queued").add(name=submission.reference)
            running.wake()
            async with asyncio.timeout(_LONGEST):
                while not _is_settled(scene, ledger):  # noqa: ASYNC110 - the gateway is another process
                    await asyncio.sleep(_POLL_INTERVAL)


def _is_settled(scene: processes.Scene, ledger: Ledger) -> bool:
    """Say whether every file is answered, everything that was put out is deleted, and all of it is delivered."""
    status = ledger.status()
    out, deleted = _names(scene, "out"), _names(scene, "deleted")
    return (
        {state for _, state in status.exchanges} <= {State.ANSWERED}
        and not status.undelivered
        and out.total() >= scene.declared * _FETCHED
        and out == deleted
    )


def _names(scene: processes.Scene, lines: str) -> collections.Counter[str]:
    return collections.Counter(one["name"] for one in scene.lines(lines).all())


# ── the verdict ──────────────────────────────────────────────────────────────


def judge(scene: processes.Scene, outcome: TrialResult) -> None:
    """Check everything that outlived the agents, and report violations."""
    took, deleted = scene.lines("took").all(), scene.lines("deleted").all()
    queued = [one["name"] for one in scene.lines("queued").all()]
    # Each agent queues all of them again.
    outcome.queued, outcome.took = len(set(queued)), sum(one["processed"] for one in took)
    outcome.acked = len(deleted)
    outcome.resent = sum(not one["processed"] for one in took)
    _judge_uploaded(scene, took, outcome.wrong)
    with contextlib.closing(sqlite3.connect(scene.database)) as database:
        if (result := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            outcome.wrong.append(f"the database is damaged: {result}")
        states = dict(database.execute("SELECT reference, state FROM htpoort_exchanges"))
        replies = database.execute(
            "SELECT replies.id, reference, delivered, raw FROM htpoort_replies AS replies"
            " JOIN htpoort_messages AS messages ON messages.id = replies.message"
        ).fetchall()
        strangers = database.execute("SELECT problems FROM htpoort_quarantine").fetchall()
    outcome.wrong += [f"queued and lost: {name}" for name in queued if name not in states]
    outcome.wrong += [f"{name} is {state} at the end" for name, state in states.items() if state != "answered"]
    outcome.wrong += [f"in quarantine: {problems}" for (problems,) in strangers]
    _judge_fetched(scene, deleted, replies, outcome)


def _judge_uploaded(scene: processes.Scene, took: list[dict[str, Any]], wrong: list[str]) -> None:
    """Check that each file was processed once, whole, and under its own name."""
    declared = {one.reference: processes.digest(one.octets) for one in submissions(scene)}
    processed = collections.Counter(one["name"] for one in took if one["processed"])
    under: dict[str, set[str]] = collections.defaultdict(set)
    for one in took:
        under[one["payload"]].add(one["name"])
        if one["processed"] and declared.get(one["name"]) != one["payload"]:
            wrong.append(f"the gateway processed another file than was declared: {one['name']}")
    wrong += [f"uploaded under several names: {names}" for names in under.values() if len(names) > 1]
    wrong += [f"processed {number} times: {name}" for name, number in processed.items() if number > 1]
    wrong += [f"never processed: {name}" for name in declared if not processed[name]]


def _judge_fetched(
    scene: processes.Scene, deleted: list[dict[str, Any]], replies: list[tuple[Any, ...]], outcome: TrialResult
) -> None:
    """Check that what was deleted is stored once and was delivered, and that nothing stayed behind."""
    wrong = outcome.wrong
    kept: dict[str, tuple[Any, ...]] = {}
    for reply in replies:
        head, _, octets = reply[3].partition(b"\r\n\r\n")
        body = processes.digest(octets)
        if body in kept:
            wrong.append(f"kept twice: replies {kept[body][0]} and {reply[0]} ({head!r})")
        kept[body] = reply
    delivered = collections.Counter((one["k"], one["body"]) for one in scene.lines("process").all())
    for one in deleted:
        stored = kept.get(one["body"])
        if not one["fetched"]:
            wrong.append(f"deleted without being fetched: {one['name']}")
        if stored is None:
            wrong.append(f"deleted and lost: {one['name']}")
        elif stored[1] not in one["name"]:
            wrong.append(f"{one['name']} was kept for {stored[1]}")
        elif stored[2] is None or not delivered[stored[1], one["body"]]:
            wrong.append(f"stored and not delivered: {one['name']}")
    left = _names(scene, "out") - _names(scene, "deleted")
    wrong += [f"left on the gateway: {name}" for name in left]
    outcome.twice = sum(number > 1 for number in delivered.values())
