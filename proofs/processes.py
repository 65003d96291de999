"""
The processes that the proofs start and kill: an agent, and the world that it exchanges messages with.

Each of them is a function for a separate process. What must outlive it is in files of its folder: lines
that are appended with one write, so that they remain however the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import random
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from htpoort import AGS, DMS, HTPOORT, Router, SendError, State, Submission, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.delivery import MaildirDelivery
from htpoort.ledger import Ledger, NoticeForm, Reply
from htpoort.simulator import Declaration, Gateway, replies
from htpoort.transport import Security, SmtpServer, send

PARTIES: Final = ("NL123456789.02.05", "NL123456789.03.05")
MAILBOX: Final = "edi@forwarder.example"
SYSTEMS: Final = (AGS, DMS)
REPLIES: Final = 2
"""The gateway's replies to each declaration."""
QUICK: Final = Timing(
    poll_interval=timedelta(milliseconds=20),
    lease=timedelta(seconds=60),
    grace=timedelta(seconds=20),
    retry_delay=timedelta(milliseconds=20),
    redelivery_schedule=(timedelta(milliseconds=20),),
    release_spread=timedelta(milliseconds=100),
)
WINDOW: Final = "N1"
"""The notice of a window in which DMS rejects everything."""
_NOTICE: Final = f"""
zone = "UTC"
references = ["{WINDOW}"]
state = "{{state}}"
[[windows]]
system = "DMS"
access = "file"
start = "2026-11-02T09:00"
{{end}}
behaviour = "rejected"
"""
_POLL_INTERVAL: Final = 0.005  # seconds between two checks of what the gateway accepted
_STILL: Final = 20  # checks without a change, after which nothing is in transit
LONGEST: Final = 60.0  # seconds for a life that is not killed
SHORT: Final = 20.0  # the same if the ledger is broken on purpose, and may never settle
# Each process of a proof listens on a separate address, so that no other connection takes its port.
_LOOPBACK: Final = "127.0.0.{}" if sys.platform == "linux" else "127.0.0.1"


def now() -> datetime:
    """Give the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - an agent runs in real time


def digest(payload: bytes) -> str:
    """Return a digest of a body; line ends at its end belong to the transport."""
    return hashlib.sha256(payload.rstrip()).hexdigest()[:16]


class Lines:
    """
    A file of JSON lines that many processes append to.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, *, synced: bool = False, **facts: object) -> None:
        """Append one line with one system call; with *synced*, sync it to the disk."""
        number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # Begin with a line end too: a power cut may have left half a line, or zeros.
            os.write(number, b"\n" + json.dumps(facts).encode() + b"\n")
            if synced:
                os.fsync(number)
        finally:
            os.close(number)

    def all(self) -> list[dict[str, Any]]:
        """Read the lines; ignore one that a power cut has cut."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for line in content.split(b"\n"):
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


@dataclass(frozen=True)
class Scene:
    """
    The place of a trial, and what is declared in it.

    Args:
        folder: The folder of the trial.
        number: The number of the process that runs trials, for its address.
        seed: The seed of the declarations.
        declared: How many declarations.
        maildir: Deliver to Maildirs; otherwise to a process that appends to a file and syncs it.
        unsynced: Make the ledger acknowledge before it syncs, to see whether the proof notices.
        window: Declare in a service window, whose end is learned when all is declared.
    """

    folder: Path
    number: int = 1
    seed: int = 0
    declared: int = 6
    maildir: bool = False
    unsynced: bool = False
    window: bool = False

    @property
    def host(self) -> str:
        """The address of this process's servers."""
        return _LOOPBACK.format(10 + self.number)

    @property
    def database(self) -> Path:
        """The file of the ledger."""
        return self.folder / "ledger.db"

    def lines(self, name: str) -> Lines:
        """Return one of the files: queued, took, acked, refused, process, resent, ordered, ended, log."""
        return Lines(self.folder / f"{name}.jsonl")

    def port(self, name: str) -> int:
        """Return the port of a server, once it is known."""
        return int((self.folder / name).read_text())

    @property
    def poll_count(self) -> int:
        """How often the world has checked what it accepted. If the world does not run, the count does not grow."""
        return (self.folder / "polls").stat().st_size

    def count_poll(self) -> None:
        """Count one more check of the world, by one octet."""
        with (self.folder / "polls").open("ab") as polls:
            polls.write(b".")

    def reserve(self) -> None:
        """Choose the port of the agent's inbox, the same for each time that it runs."""
        with socket.socket() as chosen:
            chosen.bind((self.host, 0))
            (self.folder / "inbox").write_text(str(chosen.getsockname()[1]))

    def declarations(self) -> Iterator[Submission]:
        """Make the declarations, always the same for a seed; two parties use the same K."""
        chance = random.Random(self.seed)  # noqa: S311 - not a secret
        for number in range(self.declared):
            party, k = PARTIES[number % 2], f"{self.seed % 10_000:04d}K{number // 2:04d}"
            system = chance.choice(SYSTEMS)
            filling = "x" * chance.choice((10, 1_000, 9_000))
            yield build(
                system=system,
                party=party,
                mailbox=MAILBOX,
                reference=k,
                payload=f"<MetaData><LRN>{self.seed}-{number}</LRN><T>{filling}</T></MetaData>".encode(),
                date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
                message_id=f"<{self.seed}.{number}@forwarder.example>",
            )


def server(host: str, port: int) -> SmtpServer:
    """Name a server on loopback."""
    return SmtpServer(host=host, port=port, security=Security.PLAIN, timeout=20, final_timeout=20)


# ── the world ────────────────────────────────────────────────────────────────


def world(scene: Scene) -> None:
    """Run the gateway and its mail servers: accept declarations, and push replies until they are accepted."""
    asyncio.run(_world(scene))


async def _world(scene: Scene) -> None:
    seen = 0
    async with Gateway(host=scene.host) as gateway, asyncio.TaskGroup() as group:
        scene.count_poll()
        write_file(scene.folder / "gateway", str(gateway.smtp_port))
        while True:
            for taken in gateway.received[seen:]:
                seen += 1
                payload = digest(taken.payload.octets or b"")
                at = now().isoformat()
                scene.lines("took").add(**_facts(taken), at=at, raw=digest(taken.raw), payload=payload)
                for number in range(REPLIES):
                    group.create_task(_push_reply(scene, taken, number))
            for subject, why in gateway.refused:
                scene.lines("refused").add(subject=subject, why=why)
            gateway.refused.clear()
            scene.count_poll()
            await asyncio.sleep(_POLL_INTERVAL)


def _facts(taken: Declaration) -> dict[str, str]:
    envelope = taken.envelope
    return {"system": taken.system.name, "party": envelope.sender, "k": envelope.reference}


async def _push_reply(scene: Scene, taken: Declaration, number: int) -> None:
    """Push one reply until it is accepted, as a mail server does, but faster."""
    facts = _facts(taken)
    body = f"<Response>{facts['system']} {facts['party']} {facts['k']} {number}</Response>\r\n".encode()
    message = replies.reply(
        system=taken.system,
        mailbox=MAILBOX,
        request=taken.envelope,
        payload=body,
        date=now(),
        message_id=f"<{facts['k']}.{number}@gateway.example>",
    )
    tries = 0
    while True:
        tries += 1
        try:
            await send(message, server(scene.host, scene.port("inbox")))
        except SendError as error:
            if error.code is not None and error.code >= 500:
                scene.lines("refused").add(**facts, why=str(error))
                return
            await asyncio.sleep(_POLL_INTERVAL)
        else:
            scene.lines("acked").add(**facts, body=digest(body), tries=tries)
            return


def write_file(path: Path, text: str) -> None:
    """Write a small file that appears complete or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


# ── the agent ────────────────────────────────────────────────────────────────


class Process:
    """
    The process of one system: it records each reply that it gets, and syncs the record.

    Args:
        scene: Where.
        system: The name of the system.
    """

    def __init__(self, scene: Scene, system: str) -> None:
        self._lines = scene.lines("process")
        self._system = system

    async def __call__(self, reply: Reply) -> None:
        """Take one reply."""
        body = digest(reply.raw.partition(b"\r\n\r\n")[2])
        self._lines.add(
            synced=True, process=self._system, key=reply.key, party=reply.party, k=reply.reference, body=body
        )


def agent(scene: Scene) -> None:
    """Run an agent: queue the declarations, and run until every exchange is settled."""
    if scene.unsynced:
        break_syncing()
    asyncio.run(_agent(scene))


def break_syncing() -> None:
    """Let SQLite acknowledge what is not on the disk: the mistake that the proof must find."""

    @sa.event.listens_for(sa.Engine, "begin")
    def begun(connection: sa.Connection) -> None:
        cursor = connection.connection.cursor()
        # It cannot be changed within a transaction; the next one uses it.
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()


async def _agent(scene: Scene) -> None:
    logging.basicConfig(filename=scene.folder / "log", level=logging.WARNING)
    inbox = SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,), host=scene.host, port=scene.port("inbox"))
    deliveries = {
        system.name: MaildirDelivery(scene.folder / f"maildir-{system.name}")
        if scene.maildir
        else Process(scene, system.name)
        for system in SYSTEMS
    }
    with Ledger.open(f"sqlite:///{scene.database}") as ledger:
        if scene.window:
            ledger.notices.add(_NOTICE.format(state="in-force", end=""), at=now(), form=NoticeForm.OWN)
        async with Agent(
            ledger=ledger,
            router=Router(directory=HTPOORT, parties=PARTIES, sent=ledger.sent),
            outboxes=[
                Outbox(
                    server=server(scene.host, scene.port("gateway")), retry_schedule=(timedelta(milliseconds=20),) * 50
                )
            ],
            inboxes=[inbox],
            deliveries=deliveries,
            timing=QUICK,
        ) as running:
            await asyncio.gather(*(_queue(scene, ledger, running, one) for one in scene.declarations()))
            async with asyncio.timeout(SHORT if scene.unsynced else LONGEST):
                if scene.window:
                    await _end_window(scene, ledger)
                await _wait_until_settled(scene, ledger, running)


async def _queue(scene: Scene, ledger: Ledger, running: Agent, submission: Submission) -> None:
    """Queue one declaration; after an interruption, repeat exactly the same call."""
    await asyncio.wrap_future(ledger.exchanges.queue_soon(submission, at=now()))
    running.wake()
    envelope = submission.envelope
    scene.lines("queued").add(system=submission.system, party=envelope.sender, k=envelope.reference)


async def _end_window(scene: Scene, ledger: Ledger) -> None:
    """Order one declaration to be sent in the window, wait until the others are held, and learn the end."""
    ended = scene.lines("ended").all()
    if not ended:
        one = next((each for each in scene.declarations() if each.system == DMS.name), None)
        if one is not None:
            party, k = one.envelope.sender, one.envelope.reference
            scene.lines("ordered").add(party=party, k=k)
            ledger.windows.exempt(WINDOW, k, party=party, reason="the proof orders it", at=now())
        while ledger.windows.review([system.name for system in SYSTEMS], at=now()).to_hold:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(_POLL_INTERVAL)
        scene.lines("ended").add(at=now().isoformat())
    # Without a time of its end: the event is over when this is learned.
    ledger.notices.add(_NOTICE.format(state="ended", end=""), at=now(), form=NoticeForm.OWN)


async def _wait_until_settled(scene: Scene, ledger: Ledger, running: Agent) -> None:
    """Wait until everything is answered and delivered; then order what the gateway never saw to be sent again."""
    while True:
        await _wait_until_idle(scene, ledger)
        unknown = list(ledger.exchanges.listed(State.UNKNOWN))
        if not unknown:
            return
        for exchange in unknown:
            scene.lines("resent").add(party=exchange.party, k=exchange.reference)
            ledger.exchanges.resend(exchange.reference, at=now(), party=exchange.party)
        running.wake()


async def _wait_until_idle(scene: Scene, ledger: Ledger) -> None:
    """
    Wait until nothing is in transit; if something stays unknown, until the world has seen no change for some checks.

    By its checks and not by a clock: what a dead agent sent may wait for a world that has not run since.
    """
    since: int | None = None
    while True:
        polls = scene.poll_count
        rest, unknown = _progress(scene, ledger)
        since = (polls if since is None else since) if rest else None
        if since is not None and polls - since >= (_STILL if unknown else 0):
            return
        await asyncio.sleep(_POLL_INTERVAL)


def _progress(scene: Scene, ledger: Ledger) -> tuple[bool, int]:
    """Return whether all that the gateway accepted is answered and delivered, and how many exchanges are unknown."""
    status = ledger.status()
    states = {state for _, state in status.exchanges}
    unknown = sum(number for (_, state), number in status.exchanges.items() if state is State.UNKNOWN)
    took = {(one["party"], one["k"]) for one in scene.lines("took").all()}
    acked = {one["body"] for one in scene.lines("acked").all()}
    rest = (
        states <= {State.UNKNOWN, State.ANSWERED}
        and not status.undelivered
        and len(took) + unknown == scene.declared
        and len(acked) == REPLIES * len(took)
    )
    return rest, unknown
