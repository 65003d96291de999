"""
Let the disk fail under an agent, and check whether anything is acknowledged that is not stored.

    python proofs/failing_disk.py --json failing_disk.json

Each failure is real for the agent: its system calls return the error (by ptrace), or, if a process must not
trace its child, the system refuses every write above a limit (``RLIMIT_FSIZE``, EFBIG). While the disk fails,
messages are pushed to the agent by `smtplib`, a declaration is taken by the gateway whose 250 cannot be
recorded, and another one is to be queued. Then the disk works again, fails again, and the agent is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import errno
import json
import logging
import os
import resource
import shutil
import signal
import smtplib
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import processes
import tracing

from htpoort import AGS, DMS, HTPOORT, LedgerError, Router, State
from htpoort.agent import Agent, Outbox, SmtpInbox
from htpoort.ledger import Ledger
from htpoort.transport import Incoming, Receiver

_LOOK: Final = 0.003
_LONGEST: Final = 60.0  # seconds for each wait
_BEFORE, _DURING = 3, 5  # messages
_SYNCS: Final = ("fsync", "fdatasync")
_WRITES: Final = ("pwrite64", "write", "ftruncate", "fallocate")
FAILURES: Final = {
    "fsync-EIO": (_SYNCS, errno.EIO),
    "fsync-ENOSPC": (_SYNCS, errno.ENOSPC),
    "write-EIO": (_WRITES, errno.EIO),
    "write-ENOSPC": (_WRITES, errno.ENOSPC),
}
LIMIT: Final = "write-EFBIG"


@dataclass
class Figures:
    """The result of one failure."""

    failure: str
    before: list[int] = field(default_factory=list)
    during: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    logged: int = 0
    sentences: list[str] = field(default_factory=list)
    refused_to_queue: list[str] = field(default_factory=list)
    recorded: str = ""
    after_the_crash: str = ""
    not_queued_but_there: int = 0
    delivered_twice: int = 0
    wrong: list[str] = field(default_factory=list)


class Disk:
    """
    The switch that breaks and mends the disk.

    Args:
        scene: Where.
        by_limit: The agent breaks its own disk, and confirms it.
    """

    def __init__(self, scene: processes.Scene, *, by_limit: bool) -> None:
        self._sign = scene.folder / "broken"
        self._seen = scene.folder / "broken.seen"
        self._by_limit = by_limit

    @property
    def broken(self) -> bool:
        """Whether the disk is to fail."""
        return self._sign.exists()

    async def fail(self) -> None:
        """Let the disk fail from now on."""
        self._sign.touch()
        await self._wait_for_agent()

    async def repair(self) -> None:
        """Let the disk work again."""
        self._sign.unlink(missing_ok=True)
        await self._wait_for_agent()

    async def _wait_for_agent(self) -> None:
        while self._by_limit and self._seen.exists() is not self._sign.exists():  # noqa: ASYNC110 - between processes
            await asyncio.sleep(_LOOK)

    def obey(self) -> None:
        """Break or repair the disk of this process, as asked."""
        if self._by_limit and self._seen.exists() is not self._sign.exists():
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            if self._sign.exists():
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
                self._seen.touch()
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                self._seen.unlink()


# ── the agent ────────────────────────────────────────────────────────────────


def agent(scene: processes.Scene, disk: Disk) -> None:
    """Run an agent that follows the orders in a file."""
    asyncio.run(_agent(scene, disk))


async def _agent(scene: processes.Scene, disk: Disk) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    inbox = SmtpInbox(
        hostname="forwarder.example", mailboxes=(processes.MAILBOX,), host=scene.host, port=scene.port("inbox")
    )
    outbox = Outbox(
        server=processes.server(scene.host, scene.port("gateway")), retry_schedule=(timedelta(milliseconds=20),) * 50
    )
    declarations = list(scene.declarations())
    with Ledger.open(f"sqlite:///{scene.database}") as ledger:
        async with Agent(
            ledger=ledger,
            router=Router(directory=HTPOORT, parties=processes.PARTIES, sent=ledger.sent),
            outboxes=[outbox],
            inboxes=[inbox],
            deliveries={system.name: processes.Process(scene, system.name) for system in processes.SYSTEMS},
            timing=processes.QUICK,
        ) as running:
            (scene.folder / "ready").touch()
            done = len(scene.lines("done").all())
            while not (scene.folder / "end").exists():
                disk.obey()
                for order in scene.lines("orders").all()[done:]:
                    number = order["queue"]
                    done += 1
                    try:
                        await asyncio.wrap_future(ledger.exchanges.queue_soon(declarations[number], at=processes.now()))
                    except LedgerError as error:
                        print(f"queue {number}: {error}", file=sys.stderr, flush=True)
                    else:
                        print(f"queue {number}: done", file=sys.stderr, flush=True)
                    running.wake()
                await asyncio.sleep(_LOOK)


# ── gateway, mail server and disk ────────────────────────────────────────────


class Scenario:
    """
    Everything except the agent: the gateway, a mail server that pushes replies, and the switch of the disk.

    Args:
        scene: Where.
        disk: The disk to break.
        figures: The result to fill in.
    """

    def __init__(self, scene: processes.Scene, disk: Disk, figures: Figures) -> None:
        self._scene = scene
        self._disk = disk
        self._figures = figures
        self._fails_next = False
        self._declared = [(one.envelope.sender, one.envelope.reference) for one in scene.declarations()]

    async def run(self) -> None:
        """Run all steps."""
        mailboxes = [system.mailbox for system in processes.SYSTEMS]
        async with Receiver(
            self._accept, hostname="gateway.example", mailboxes=mailboxes, host=self._scene.host
        ) as gateway:
            processes.write_file(self._scene.folder / "gateway", str(gateway.port))
            await self._until((self._scene.folder / "ready").exists)
            await self._receive()
            await self._send()
            await self._crash()
            await self._disk.repair()
            await self._until(lambda: self._waiting() == 0)
            (self._scene.folder / "end").touch()

    async def _accept(self, incoming: Incoming) -> None:
        """Accept a declaration; if asked to, break the disk before the agent gets its 250."""
        self._scene.lines("took").add(raw=processes.digest(incoming.raw))
        if self._fails_next:
            self._fails_next = False
            await self._disk.fail()

    @staticmethod
    async def _until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(_LONGEST):
            while not condition():  # noqa: ASYNC110 - the condition is in files
                await asyncio.sleep(_LOOK)

    # Incoming replies.

    async def _receive(self) -> None:
        figures = self._figures
        figures.before = await self._push_all(range(_BEFORE))
        await self._disk.fail()
        figures.during = await self._push_all(range(_BEFORE, _BEFORE + _DURING))
        await self._disk.repair()
        figures.after = await self._push_all(range(_BEFORE, _BEFORE + _DURING))

    async def _push_all(self, numbers: range) -> list[int]:
        """Push replies at the same time over separate connections; return the codes."""
        half = len(numbers) // 2
        codes = [await asyncio.to_thread(self._push, number) for number in numbers[:half]]
        return codes + await asyncio.gather(*(asyncio.to_thread(self._push, number) for number in numbers[half:]))

    def _push(self, number: int) -> int:
        """Push one reply as a foreign program does; return the code of the answer to the final dot."""
        system, party = (AGS, DMS)[number % 2], processes.PARTIES[number % 2]
        raw = (
            f"From: {system.mailbox}\r\nSubject: [V={min(system.reply_ids)}][A={party}][K=R{number}][S=0]\r\n\r\n"
            f"reply {number} {'x' * 5000}\r\n"
        )
        with smtplib.SMTP(self._scene.host, self._scene.port("inbox"), "mx.gateway.example", timeout=30) as client:
            try:
                client.sendmail(system.mailbox, [processes.MAILBOX], raw.encode())
            except smtplib.SMTPDataError as error:
                return int(error.smtp_code)
        facts: dict[str, Any] = {"system": system.name, "party": party, "k": f"R{number}"}
        self._scene.lines("acked").add(**facts, body=processes.digest(raw.encode().partition(b"\r\n\r\n")[2]))
        return 250

    # Outgoing declarations.

    async def _send(self) -> None:
        """Let the gateway accept a declaration whose 250 cannot be recorded; fail to queue another; repair the disk."""
        figures = self._figures
        self._fails_next = True
        self._order(0)
        # Earlier lines may come late, so the words alone do not show that it fails again.
        await self._until(lambda: self._disk.broken)
        before = self._count_logged("Writing to the ledger failed")
        await self._until(lambda: self._count_logged("Writing to the ledger failed") >= before + 2)  # it keeps trying
        self._order(1)
        await self._until(lambda: self._count_logged("queue 1: ") == 1)
        figures.refused_to_queue += [line for line in self._log() if line.startswith("queue 1: ")]
        await self._disk.repair()
        await self._until(lambda: self._state(0) == State.ACCEPTED.value)
        figures.recorded = str(self._state(0))
        self._order(1)
        await self._until(lambda: self._state(1) == State.ACCEPTED.value)

    async def _crash(self) -> None:
        """Let the same happen, and kill the agent before the disk is repaired."""
        figures = self._figures
        self._fails_next = True
        self._order(2)
        await self._until(lambda: self._disk.broken)
        before = self._count_logged("Writing to the ledger failed")
        await self._until(lambda: self._count_logged("Writing to the ledger failed") > before)
        self._order(3)
        await self._until(lambda: self._count_logged("queue 3: ") == 1)
        figures.refused_to_queue += [line for line in self._log() if line.startswith("queue 3: ")]
        (self._scene.folder / "ready").unlink()
        (self._scene.folder / "kill").touch()
        await self._until((self._scene.folder / "ready").exists)
        figures.after_the_crash = str(self._state(2))
        figures.not_queued_but_there = int(self._state(3) is not None)
        # A caller that got the error repeats exactly the same call.
        self._order(3)
        await self._until(lambda: self._state(3) == State.ACCEPTED.value)

    def _order(self, number: int) -> None:
        self._scene.lines("orders").add(queue=number)

    def _state(self, number: int) -> str | None:
        rows = self._query(
            "SELECT state FROM htpoort_exchanges WHERE party = ? AND reference = ?", self._declared[number]
        )
        return rows[0][0] if rows else None

    def _waiting(self) -> int:
        return int(self._query("SELECT count(*) FROM htpoort_replies WHERE delivered IS NULL", ())[0][0])

    def _query(self, question: str, values: tuple[str, ...]) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self._scene.database}?mode=ro", uri=True)) as database:
            return database.execute(question, values).fetchall()

    def _log(self) -> list[str]:
        """Return the whole lines; the last one may still be incomplete."""
        return (self._scene.folder / "log").read_text().rpartition("\n")[0].splitlines()

    def _count_logged(self, words: str) -> int:
        return sum(words in line for line in self._log())


# ── one failure ──────────────────────────────────────────────────────────────


def show_failure(failure: str, number: int) -> Figures:
    """Let the disk fail in one way, and check the result."""
    figures = Figures(failure)
    folder = Path(tempfile.mkdtemp(prefix=f"htpoort-{failure}-"))
    scene = processes.Scene(folder=folder, number=number, declared=4)
    scene.reserve()
    (folder / "log").touch()
    disk = Disk(scene, by_limit=failure == LIMIT)
    story = tracing.fork(lambda: _run_scenario(scene, disk, figures))
    try:
        tracing.wait_for_file(story, folder / "gateway")
        _run_agents(scene, disk, failure, figures)
        if code := tracing.wait_for_exit(story):
            figures.wrong.append(f"the story ended with {code}")
    except BaseException:
        tracing.kill(story)
        raise
    written = folder / "figures.json"
    if written.exists():
        figures = Figures(**json.loads(written.read_text()) | {"wrong": figures.wrong})
        _judge(scene, figures)
    if figures.wrong:
        print(f"{failure}: kept in {folder}")
    else:
        shutil.rmtree(folder)
    return figures


def _run_scenario(scene: processes.Scene, disk: Disk, figures: Figures) -> None:
    try:
        asyncio.run(Scenario(scene, disk, figures).run())
    finally:
        (scene.folder / "end").touch()
    (scene.folder / "figures.json").write_text(json.dumps(vars(figures)))


def _run_agents(scene: processes.Scene, disk: Disk, failure: str, figures: Figures) -> None:
    """Run one agent until it is killed, and another one to its end."""
    calls, number = FAILURES.get(failure, ((), 0))

    def observe(call: tracing.Call) -> object:
        if (scene.folder / "kill").exists():
            return tracing.KILL
        fails = call.result is None and call.name in calls and disk.broken
        return number if fails and call.target.startswith(str(scene.database)) else None

    # The log goes through another process, because it must not need the failing disk.
    log, into_log = os.pipe()
    keeper = tracing.fork(lambda: _keep(log, into_log, scene.folder / "log"))

    def life() -> None:
        os.dup2(into_log, 2)
        agent(scene, disk)

    if failure == LIMIT:
        child = tracing.fork(life)
        tracing.wait_for_file(child, scene.folder / "kill", scene.folder / "end")
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        code = tracing.wait_for_exit(child)
    else:
        code = tracing.trace(life, observe)
    if code != -signal.SIGKILL:
        figures.wrong.append(f"the first agent ended with {code}")
        (scene.folder / "end").touch()
    for name in ("kill", "broken", "broken.seen"):
        (scene.folder / name).unlink(missing_ok=True)
    if code := tracing.wait_for_exit(tracing.fork(life)):
        figures.wrong.append(f"the second agent ended with {code}")
    os.close(into_log)
    os.close(log)
    tracing.wait_for_exit(keeper)


def _keep(log: int, into_log: int, path: Path) -> None:
    """Copy a pipe to a file."""
    os.close(into_log)
    with path.open("ab", buffering=0) as file:
        while piece := os.read(log, 65_536):
            file.write(piece)


def _judge(scene: processes.Scene, figures: Figures) -> None:
    """Report violations."""
    wrong = figures.wrong
    if set(figures.before) | set(figures.after) != {250}:
        wrong.append(f"not taken although the disk works: {figures.before} {figures.after}")
    if set(figures.during) != {451}:
        wrong.append(f"answered while nothing could be stored: {figures.during}")
    lines = (scene.folder / "log").read_text().splitlines()
    logged = [line.partition(": ")[2] for line in lines if "The disk" in line and line.startswith("htpoort.agent")]
    figures.logged = len(logged)
    figures.sentences = sorted({line.replace(str(scene.folder), "…") for line in logged})
    figures.refused_to_queue = [line.replace(str(scene.folder), "…") for line in figures.refused_to_queue]
    if not logged:
        wrong.append("the agent did not say that the disk fails")
    wrong += [f"not explained: {line}" for line in figures.refused_to_queue if "The disk" not in line]
    times = collections.Counter(one["raw"] for one in scene.lines("took").all())
    wrong += [f"the gateway took a declaration {number} times" for number in times.values() if number > 1]
    if len(times) != scene.declared:
        wrong.append(f"the gateway took {len(times)} of {scene.declared} declarations")
    if figures.after_the_crash not in {State.UNKNOWN.value, State.ACCEPTED.value}:
        wrong.append(f"after the crash what was sent is {figures.after_the_crash}")
    _judge_received(scene, figures)


def _judge_received(scene: processes.Scene, figures: Figures) -> None:
    """Check that what was acknowledged is stored once and was delivered, and that the file is intact."""
    with contextlib.closing(sqlite3.connect(scene.database)) as database:
        if (result := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            figures.wrong.append(f"the database is damaged: {result}")
        kept = collections.Counter(
            database.execute("SELECT system, party, reference FROM htpoort_replies WHERE delivered IS NOT NULL")
        )
    acked = [(one["system"], one["party"], one["k"]) for one in scene.lines("acked").all()]
    delivered = collections.Counter((one["process"], one["party"], one["k"]) for one in scene.lines("process").all())
    figures.delivered_twice = sum(number > 1 for number in delivered.values())
    figures.wrong += [f"acknowledged and lost: {one}" for one in acked if kept[one] != 1]
    figures.wrong += [f"acknowledged and not delivered: {one}" for one in acked if not delivered[one]]
    figures.wrong += [f"delivered to another process: {one}" for one in delivered if one not in acked]


def main() -> int:
    """Run each failure, and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--failure", choices=(*FAILURES, LIMIT), action="append", help="only this one")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    traceable = tracing.CAN_INJECT and tracing.can_trace()
    failures = options.failure or ([*FAILURES, LIMIT] if traceable else [LIMIT])
    figures = [show_failure(failure, 60) for failure in failures]
    if options.json:
        facts = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "traced": traceable}
        options.json.write_text(json.dumps(facts | {"failures": [vars(one) for one in figures]}, indent=2) + "\n")
    for one in figures:
        print(
            f"{one.failure:14} works {one.before} fails {one.during} repaired {one.after}; logged {one.logged} times; "
            f"its 250 then recorded as {one.recorded}, after a crash {one.after_the_crash}; wrong {one.wrong}"
        )
    return 1 if any(one.wrong for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
