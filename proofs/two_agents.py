"""
Prove that agents on one PostgreSQL lose nothing and send nothing twice while they are killed at random.

Some agent processes, one gateway process and this one. Agents are killed by SIGKILL at random moments and started
again, until everything is settled. Afterwards, what the gateway saw, what the ledger holds and what the processes of
the systems got is compared: each declaration was accepted once under its one K, or is visible as unknown;
each reply that was acknowledged is stored and was delivered, to the process of its system.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import faulthandler
import json
import os
import random
import signal
import socket
import subprocess  # noqa: S404 - the proof is about processes that are killed
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, cast

import attrs
import sqlalchemy as sa

from htpoort import AGS, DMS, Router, SendError, State, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Declaration, Gateway, replies
from htpoort.transport import Security, SmtpServer, send

PARTIES: Final = ("NL123456789.02.05", "NL123456789.03.05")
MAILBOX: Final = "edi@forwarder.example"
NOON: Final = datetime(2026, 11, 2, 12, tzinfo=UTC)
OPEN: Final = frozenset({State.QUEUED, State.SENDING, State.DEFERRED, State.HELD})
TIMING: Final = Timing(
    poll_interval=timedelta(milliseconds=100),
    lease=timedelta(seconds=3),
    grace=timedelta(seconds=5),
    retry_delay=timedelta(milliseconds=100),
    redelivery_schedule=(timedelta(milliseconds=200),),
)


# The agents come back on the same port; on a separate address no other process takes it meanwhile.
HOST: Final = "127.0.0.21" if sys.platform == "linux" else "127.0.0.1"
PATIENCE: Final = 120.0
"""Seconds in which something must happen: an agent comes to its end, or the ledger gets closer to it."""


def _server(port: int, host: str = HOST) -> SmtpServer:
    return SmtpServer(host=host, port=port, security=Security.PLAIN)


# ── an agent, in a separate process ──────────────────────────────────────────


async def agent(url: str, gateway: int, inbox: int, folder: Path) -> None:
    """Run an agent whose deliveries write one line for each reply, until SIGKILL or SIGTERM."""

    def process(system: str) -> Any:  # noqa: ANN401 - an async callable
        file = os.open(folder / f"{system}.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

        async def take(reply: Reply) -> None:  # noqa: RUF029 - an agent awaits it
            os.write(file, f"{reply.system} {reply.party} {reply.reference}\n".encode())

        return take

    with Ledger.open(url) as ledger:
        running = Agent(
            ledger=ledger,
            router=Router(parties=PARTIES, sent=ledger.sent),
            outboxes=[Outbox(server=_server(gateway, "127.0.0.1"), connections=4)],
            inboxes=[SmtpInbox(hostname="mx.forwarder.example", mailboxes=(MAILBOX,), host=HOST, port=inbox)],
            deliveries={"AGS": process("AGS"), "DMS": process("DMS")},
            timing=TIMING,
        )
        async with running:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
            print("ready", flush=True)
            await running.wait_for_stop_request()


# ── the gateway, in a separate process ───────────────────────────────────────


@attrs.define
class ReplySender:
    """
    Answer every declaration, as a mail server does: repeat until an agent has acknowledged the reply.

    Args:
        inboxes: Ports of the agents.
        acknowledged: K and party of each reply that was answered 250.
    """

    inboxes: list[int]
    acknowledged: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])

    async def answer(self, taken: Declaration, number: int) -> None:
        """Send the reply to one agent after the other."""
        message = replies.reply(
            system=taken.system,
            mailbox=MAILBOX,
            request=taken.envelope,
            payload=replies.plain_body(taken.envelope, taken.payload.octets or b""),
            date=NOON,
            message_id=f"<{number}@{taken.system.mailbox.partition('@')[2]}>",
        )
        while True:
            number += 1
            try:
                await send(message, _server(self.inboxes[number % len(self.inboxes)]))
            except SendError:
                await asyncio.sleep(0.05)
            else:
                self.acknowledged.append((taken.envelope.reference, taken.envelope.sender))
                return


async def gateway(inboxes: list[int]) -> None:
    """Accept declarations and answer them; print the state for each line of input."""
    answering = ReplySender(inboxes)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Gateway() as running, asyncio.TaskGroup() as group:
        print(running.smtp_port, flush=True)
        seen, asked = 0, asyncio.create_task(reader.readline())
        while True:
            await asyncio.wait({asked}, timeout=0.02)
            for taken in running.received[seen:]:
                group.create_task(answering.answer(taken, seen))
                seen += 1
            if asked.done():
                if not (question := asked.result()):
                    return
                counted = {"received": seen, "acknowledged": len(answering.acknowledged)}
                whole = {
                    "received": [
                        (
                            *(taken.envelope.reference, taken.envelope.sender, taken.system.name),
                            (taken.payload.octets or b"").decode(),
                        )
                        for taken in running.received
                    ],
                    "acknowledged": answering.acknowledged,
                }
                print(json.dumps(whole if question == b"all\n" else counted), flush=True)
                asked = asyncio.create_task(reader.readline())


# ── start, kill and compare ──────────────────────────────────────────────────


class Child:
    """
    One process of this script.

    Args:
        arguments: The role of the process.
    """

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
        self._output = cast("IO[str]", self._process.stdout)
        self._input = cast("IO[str]", self._process.stdin)

    def line(self) -> str:
        """Wait for the next line that it prints."""
        report = self._output.readline()
        if not report:
            message = f"a process ended by itself, with {self._process.wait()}"
            raise RuntimeError(message)
        return report.strip()

    def ask(self, question: str) -> Any:  # noqa: ANN401 - JSON
        """Ask the gateway a question."""
        self._input.write(f"{question}\n")
        self._input.flush()
        return json.loads(self.line())

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def end(self, number: signal.Signals) -> None:
        """
        Send it a signal, and wait until it has ended.

        Raises:
            RuntimeError: It did not end; its stacks were printed.
        """
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # faulthandler writes the stacks of its threads
            self._process.wait()
            message = f"a process did not end within {PATIENCE:g} s after {number.name}"
            raise RuntimeError(message) from None
        self._output.close()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()


@attrs.frozen(kw_only=True)
class RunReport:
    """
    The result of a run.

    Args:
        exchanges: How many were queued.
        agents: How many shared the ledger.
        kills: How often one was killed.
        answered: Declarations that the gateway accepted once, and answered.
        unknown: Declarations that are unknown; the gateway has none of them, or they would have been answered.
        accepted_twice: Declarations that the gateway accepted twice.
        two_references: Declarations that it saw under two K's.
        lost: Exchanges that are neither answered nor unknown, or whose state does not fit what the gateway saw.
        acknowledged: Replies that got 250.
        replies_lost: Those of them that are not in the ledger.
        not_delivered: Those of them that were not delivered.
        misdelivered: Deliveries to another process or for another party than those of the exchange.
        delivered_twice: Replies that were delivered more than once.
        seconds: How long it took.
    """

    exchanges: int
    agents: int
    kills: int
    answered: int
    unknown: int
    accepted_twice: int
    two_references: int
    lost: int
    acknowledged: int
    replies_lost: int
    not_delivered: int
    misdelivered: int
    delivered_twice: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, sent twice, or delivered to another process."""
        wrong = (self.accepted_twice, self.two_references, self.lost)
        wrong += (self.replies_lost, self.not_delivered, self.misdelivered)
        return not any(wrong) and self.answered + self.unknown == self.exchanges


def _free_ports(number: int) -> list[int]:
    """Find ports for servers that come back on the same one."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(number)]
        return [int(one.getsockname()[1]) for one in sockets]


def _queue(ledger: Ledger, number: int) -> dict[tuple[str, str], str]:
    """Queue declarations to both systems for both parties; return the system of each K and party."""
    made = {}
    futures = []
    for one in range(number):
        system, party = (AGS, DMS)[one % 2], PARTIES[one // 2 % 2]
        reference = f"K{one:06}"
        made[reference, party] = system.name
        submission = build(
            system=system,
            party=party,
            mailbox=MAILBOX,
            reference=reference,
            payload=f"<MetaData><ID>{one}</ID></MetaData>".encode(),
            date=NOON,
            message_id=f"<{one}@forwarder.example>",
        )
        futures.append(ledger.exchanges.queue_soon(submission, at=NOON))
    assert len({future.result().key for future in futures}) == number
    return made


def run(  # noqa: PLR0913 - what a run depends on
    url: str, folder: Path, *, exchanges: int, kills: int, agents: int = 2, seed: int = 1
) -> RunReport:
    """
    Let agents work on a ledger while they are killed, and compare.

    Args:
        url: An empty ledger on PostgreSQL.
        folder: Where deliveries write their lines.
        exchanges: How many to queue.
        kills: How often to kill an agent, at least; it goes on until no exchange is open.
        agents: How many share the ledger.
        seed: The seed of the moments and the choices.
    """
    chance, start, killed = random.Random(seed), time.monotonic(), 0  # noqa: S311 - moments to kill
    ports = _free_ports(agents)
    with Ledger.open(url) as ledger, contextlib.ExitStack() as stack:
        made = _queue(ledger, exchanges)
        htg = Child("--gateway", *map(str, ports))
        stack.callback(htg.end, signal.SIGKILL)
        listening = htg.line()

        def fresh(port: int) -> Child:
            return Child("--agent", url, listening, str(port), str(folder))

        running = [fresh(port) for port in ports]
        stack.callback(lambda: [child.end(signal.SIGKILL) for child in running])
        for child in running:
            child.line()
        while killed < kills:
            victim = chance.randrange(agents)
            # Random moments, some of them while it starts.
            time.sleep(chance.uniform(0, 1.5))
            running[victim].end(signal.SIGKILL)
            killed += 1
            running[victim] = fresh(ports[victim])
        _wait_until_finished(ledger, htg, running)
        saw = htg.ask("all")
        for child in running:
            child.end(signal.SIGTERM)
        running.clear()
        return _compare(ledger, made, saw, folder, agents=agents, kills=killed, seconds=time.monotonic() - start)


def _wait_until_finished(ledger: Ledger, htg: Child, agents: list[Child]) -> None:
    """
    Wait until nothing is open, every reply was acknowledged, and every reply was delivered.

    Two checks in a row must find the same: ledger and gateway are not asked at one moment, and a reply that
    is acknowledged between the two questions may not be delivered yet.

    Raises:
        RuntimeError: An agent ended by itself, or nothing changed for too long.
    """
    before, since = None, time.monotonic()
    while True:
        counted, status = htg.ask("count"), ledger.status()
        received, acknowledged = counted["received"], counted["acknowledged"]
        left = sum(number for (_, state), number in status.exchanges.items() if state in OPEN)
        now = left, received, acknowledged, dict(status.undelivered)
        if now == before == (0, received, received, {}):
            return
        if codes := [child.code for child in agents if child.code is not None]:
            message = f"agents ended by themselves, with {codes}"
            raise RuntimeError(message)
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            for child in agents:
                child.end(signal.SIGABRT)
            message = f"nothing changed for {PATIENCE:g} s: open, received, acknowledged, not delivered are {now}"
            raise RuntimeError(message)
        time.sleep(0.2)


def _delivered(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Read what the processes got: process, system, party, K."""
    for system in ("AGS", "DMS"):
        for written in (folder / f"{system}.txt").read_text(encoding="ascii").splitlines():
            name, party, reference = written.split()
            yield system, name, party, reference


def _compare(  # noqa: PLR0913 - what is compared
    ledger: Ledger,
    made: dict[tuple[str, str], str],
    saw: dict[str, Any],
    folder: Path,
    *,
    agents: int,
    kills: int,
    seconds: float,
) -> RunReport:
    """Compare ledger, gateway and processes."""
    times = collections.Counter((reference, party) for reference, party, _, _ in saw["received"])
    names = collections.defaultdict[str, set[tuple[str, str]]](set)
    for reference, party, _, payload in saw["received"]:
        names[payload].add((reference, party))
    states = {(one.reference, one.party): one.state for one in ledger.exchanges.listed()}
    fits = {State.ANSWERED: 1, State.UNKNOWN: 0}
    acknowledged = {(reference, party) for reference, party in saw["acknowledged"]}
    stored = {(one.reference, one.party) for one in ledger.replies.listed()}
    deliveries = list(_delivered(folder))
    delivered = collections.Counter((reference, party) for _, _, party, reference in deliveries)
    return RunReport(
        exchanges=len(made),
        agents=agents,
        kills=kills,
        answered=sum(state is State.ANSWERED for state in states.values()),
        unknown=sum(state is State.UNKNOWN for state in states.values()),
        accepted_twice=sum(number > 1 for number in times.values()),
        two_references=sum(len(each) > 1 for each in names.values()),
        lost=sum(key not in states or fits.get(states[key]) != times[key] for key in made),
        acknowledged=len(acknowledged),
        replies_lost=len(acknowledged - stored),
        not_delivered=len(acknowledged - delivered.keys()),
        misdelivered=sum(
            not process == system == made.get((reference, party)) for process, system, party, reference in deliveries
        ),
        delivered_twice=sum(number > 1 for number in delivered.values()),
        seconds=round(seconds, 1),
    )


def main() -> None:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--exchanges", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file too")
    parser.add_argument("--agent", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--gateway", nargs="+", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    faulthandler.enable()
    if options.agent:
        url, port, inbox, folder = options.agent
        asyncio.run(agent(url, int(port), int(inbox), Path(folder)))
        return
    if options.gateway:
        asyncio.run(gateway(options.gateway))
        return
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from databases import new_database, postgresql  # noqa: PLC0415 - of the tests

    with tempfile.TemporaryDirectory() as parent:
        (lines := Path(parent) / "delivered").mkdir()
        with postgresql() as uri:
            url = new_database(uri)
            engine = sa.create_engine(url)
            with engine.connect() as connection:
                version = connection.execute(sa.text("SHOW server_version")).scalar_one()
            engine.dispose()
            report = run(
                url,
                lines,
                exchanges=options.exchanges,
                kills=options.kills,
                agents=options.agents,
                seed=options.seed,
            )
    figures = {**attrs.asdict(report), "holds": report.holds, "seed": options.seed, "postgresql": version}
    figures |= {"date": time.strftime("%Y-%m-%d", time.gmtime()), "python": sys.version.split()[0]}
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):20}{value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if report.holds else 1)


if __name__ == "__main__":
    main()
