"""
Send declarations from the ledger, against aiosmtplib alone on connections that are kept (part D).

Ours is a whole agent on a SQLite ledger: each message is claimed, sent, and its outcome recorded, both synced.
Plain is aiosmtplib's `sendmail` of the same messages, read from memory, over as many connections. Both send to
the same kind of sink, a raw asyncio server in a process of its own that takes everything and keeps the K's.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import aiosmtplib
from comparison import MEMORY, Ratio, Round, folder_in, report, started, sync_time

from htpoort import DMS, Router, State, Submission, build
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger
from htpoort.transport import Security, SmtpServer

PARTY: Final = "NL123456789.02.05"
NOON: Final = datetime(2026, 11, 2, 12, tzinfo=UTC)
BODY: Final = b"<Declaration><ID>22096222734662</ID><Code>A</Code></Declaration>\r\n" * (20_000 // 66)
CONNECTIONS: Final = (1, 4, 16)
GOAL: Final = 0.8
PLAIN, OURS = "aiosmtplib, reused connections", "agent, SQLite ledger"
OPEN: Final = "SELECT 1 FROM htpoort_exchanges WHERE state IN ('queued', 'sending') LIMIT 1"
LOOK: Final = 0.005  # seconds between two looks whether all are sent


def declarations(number: int) -> list[Submission]:
    """Build declarations of 20 KB."""
    return [
        build(
            system=DMS,
            party=PARTY,
            mailbox="edi@forwarder.example",
            reference=f"K{one:08}",
            payload=BODY,
            date=NOON,
            message_id=f"<{one}@forwarder.example>",
        )
        for one in range(number)
    ]


# ── the sink, in a process of its own ────────────────────────────────────────


class Sink(asyncio.Protocol):
    """Take every message, and keep the K's."""

    taken: Final[list[bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._content: bytearray | None = None
        self._transport.write(b"220 sink.example\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer a command, or read on to the final dot."""
        if self._content is not None:
            self._content += data
            if self._content.endswith(b"\r\n.\r\n"):
                self.taken.extend(re.findall(rb"\[K=(\w+)\]", self._content[:2_000]))
                self._content = None
                self._transport.write(b"250 OK\r\n")
            return
        command = data[:4].upper()
        if command == b"DATA":
            self._content = bytearray()
        answers = {b"EHLO": b"250-sink.example\r\n250 SIZE\r\n", b"DATA": b"354 Go on\r\n", b"QUIT": b"221 Bye\r\n"}
        self._transport.write(answers.get(command, b"250 OK\r\n"))


async def sink() -> None:
    """Serve until the input ends; then say how many different messages came, and how many in all."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(len(set(Sink.taken)), len(Sink.taken), flush=True)


# ── the senders ──────────────────────────────────────────────────────────────


async def plainly(port: int, connections: int, messages: list[Submission]) -> float:
    """Send by aiosmtplib; gives seconds from the first connection to the last 250."""
    waiting = iter(messages)

    async def work() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        await client.connect()
        for message in waiting:
            await client.sendmail(message.mail_from, [message.rcpt_to], message.data)
        await client.quit()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return time.perf_counter() - start


async def by_agent(port: int, connections: int, path: Path, number: int) -> float:
    """Send by an agent; gives seconds from its start to the last outcome that is synced."""
    looking = sqlite3.connect(path)
    with Ledger.open(f"sqlite:///{path}") as ledger:
        server = SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN)
        outbox = Outbox(server=server, connections=connections)
        start = time.perf_counter()
        async with Agent(ledger=ledger, router=Router(parties=[PARTY], sent=ledger.sent), outboxes=[outbox]):
            while looking.execute(OPEN).fetchone():  # noqa: ASYNC110 - only the ledger knows
                await asyncio.sleep(LOOK)
            seconds = time.perf_counter() - start
        assert ledger.status().exchanges == {("DMS", State.ACCEPTED): number}
    looking.close()
    return seconds


def measured(case: str, connections: int, messages: list[Submission], parent: Path | None) -> float:
    """Send all messages to a fresh sink; gives messages a second."""
    number = len(messages)
    with folder_in(parent) as folder, started(__file__, "--sink") as (output, end):
        port = int(output.readline())
        if case == PLAIN:
            seconds = asyncio.run(plainly(port, connections, messages))
        else:
            path = folder / "ledger.db"
            with Ledger.open(f"sqlite:///{path}") as ledger:
                for queued in [ledger.exchanges.queue_soon(message, at=NOON) for message in messages]:
                    queued.result()
            seconds = asyncio.run(by_agent(port, connections, path, number))
        end()
        assert output.readline().split() == [str(number), str(number)]
    return number / seconds


def one_round(number: int) -> Round:
    """Measure every case once; what is compared is measured close together."""
    found: Round = {}
    messages = declarations(number)
    for connections in CONNECTIONS:
        sent = messages[: number // 3] if connections == 1 else messages
        found[f"{PLAIN}, {connections}"] = measured(PLAIN, connections, sent, None)
        found[f"{OURS}, {connections}"] = measured(OURS, connections, sent, None)
        if MEMORY.is_dir():
            found[f"{OURS}, {connections}, in memory"] = measured(OURS, connections, sent, MEMORY)
    return found


def ratios() -> Sequence[Ratio]:
    """Say what is compared."""
    memory = [
        Ratio(
            f"agent / aiosmtplib, {connections} connections, ledger in memory",
            f"{OURS}, {connections}, in memory",
            f"{PLAIN}, {connections}",
            note="no disk: what is left is ours",
        )
        for connections in CONNECTIONS
        if MEMORY.is_dir()
    ]
    return memory + [
        Ratio(
            f"agent / aiosmtplib, {connections} connections",
            f"{OURS}, {connections}",
            f"{PLAIN}, {connections}",
            at_least=GOAL,
        )
        for connections in CONNECTIONS
    ]


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file too")
    parser.add_argument("--rigorous", action="store_true", help="five times as many rounds")
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        asyncio.run(sink())
        return
    with folder_in(None) as folder:
        sync = round(sync_time(folder))
    rounds = [one_round(2_000) for _ in range(15 if options.rigorous else 3)]
    report(
        "D. Sending over SMTP, 20 KB messages",
        "messages a second",
        rounds,
        ratios(),
        packages=("htpoort", "aiosmtplib", "SQLAlchemy"),
        more={"SQLite": sqlite3.sqlite_version, "one sync of one page, in microseconds": sync},
        path=options.json,
    )


if __name__ == "__main__":
    main()
