"""
Take replies in by SMTP and sync them to the ledger before the 250, against a bare aiosmtpd (part C).

Ours is a whole agent with an SMTP inbox: every reply is routed, matched with its exchange, stored with its
events and synced before it is acknowledged. Bare is stock aiosmtpd, which does nothing at all; "commit each"
is stock aiosmtpd that inserts the raw message alone and commits it by itself. The load is a raw asyncio client
in a process of its own; smtp-source sends one and the same message again and again, which a ledger stores once.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

from aiosmtpd import smtp
from comparison import MEMORY, Ratio, Round, folder_in, report, started, sync_time

from htpoort import DMS, Outcome, Router, State, build
from htpoort.agent import Agent, SmtpInbox
from htpoort.ledger import Ledger

PARTY: Final = "NL123456789.02.05"
MAILBOX: Final = "edi@forwarder.example"
NOON: Final = datetime(2026, 11, 2, 12, tzinfo=UTC)
SIZE: Final = 20_000
BODY: Final = b"<Declaration><ID>22096222734662</ID><Code>A</Code></Declaration>\r\n" * (SIZE // 66)
CONNECTIONS: Final = {1: 0.60, 8: 0.70, 32: 0.70}
SLOW: Final = 4.0  # times commit-each, where a sync takes 2 ms more
DELAY: Final = 2_000  # microseconds
BARE, OURS, EACH = "bare aiosmtpd", "agent, SQLite ledger", "aiosmtpd, SQLite, commit each"


def reply(number: int) -> bytes:
    """Write a reply of 20 KB; each has its own K."""
    return (
        f"From: dms@htpoort.nl\r\nTo: {MAILBOX}\r\n"
        f"Subject: [V= DMS4.NL][A= {PARTY}][K=K{number:08}][S=0]\r\n"
        f"Message-ID: <{number}@htpoort.nl>\r\nContent-Type: text/xml; charset=UTF-8\r\n\r\n"
    ).encode() + BODY


# ── servers, each in a process of its own ────────────────────────────────────


class Nothing:
    """Take messages and forget them."""

    async def handle_DATA(self, *_arguments: object) -> str:  # noqa: N802, PLR6301 - aiosmtpd's name and form
        """Answer 250."""
        return "250 OK"


class CommitEach:
    """Insert each message, and commit it by itself."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}").close()
        self._database.execute("CREATE TABLE replies (id INTEGER PRIMARY KEY, raw BLOB NOT NULL)")

    async def handle_DATA(self, _server: object, _session: object, envelope: smtp.Envelope) -> str:  # noqa: N802 - the same
        """Answer 250 after the commit."""
        self._database.execute("INSERT INTO replies (raw) VALUES (?)", (envelope.content,)).close()
        return "250 OK"


async def stock(handler: object) -> None:
    """Serve by stock aiosmtpd until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: smtp.SMTP(handler, hostname="mx.forwarder.example"), "127.0.0.1", 0)
    await serve_until_end(server.sockets[0].getsockname()[1])
    server.close()


async def agent(path: Path) -> None:
    """Serve by an agent until the input ends."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        router = Router(parties=[PARTY], sent=ledger.sent)
        inbox = SmtpInbox(hostname="mx.forwarder.example", mailboxes=(MAILBOX,))
        async with Agent(ledger=ledger, router=router, inboxes=[inbox]) as running:
            await serve_until_end(running.ports[0])


async def serve_until_end(port: int) -> None:
    """Print the port, and go on until the input ends."""
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


# ── the load ─────────────────────────────────────────────────────────────────


class Source(asyncio.Protocol):
    """Send messages one after another over one connection, without a library in between."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = iter(messages)
        self._steps = iter(())
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._steps = iter([(b"220", b"EHLO client.example\r\n")])

    def data_received(self, data: bytes) -> None:
        """Check an answer, and say the next thing."""
        last = data.rstrip(b"\r\n").rpartition(b"\n")[2]
        if not data.endswith(b"\n") or last[3:4] == b"-":
            return
        code, command = next(self._steps, (b"250", b""))
        assert last.startswith(code), last
        if command:
            self._transport.write(command)
        elif not self.ready.done():
            self.ready.set_result(None)
        else:
            self.message()

    def message(self) -> None:
        """Begin the next message, or end."""
        raw = next(self._messages, None)
        if raw is None:
            self.done.set_result(None)
            return
        self._steps = iter([
            (b"250", f"RCPT TO:<{MAILBOX}>\r\n".encode()),
            (b"250", b"DATA\r\n"),
            (b"354", raw + b".\r\n"),
        ])
        self._transport.write(b"MAIL FROM:<dms@htpoort.nl>\r\n")


async def load(port: int, connections: int, number: int) -> None:
    """Send so many messages over so many connections; prints the seconds from the first MAIL to the last 250."""
    loop = asyncio.get_running_loop()
    messages = [reply(one) for one in range(number)]
    sources = [
        (await loop.create_connection(lambda part=part: Source(messages[part::connections]), "127.0.0.1", port))[1]  # type: ignore[misc]
        for part in range(connections)
    ]
    await asyncio.gather(*(source.ready for source in sources))
    start = time.perf_counter()
    for source in sources:
        source.message()
    await asyncio.gather(*(source.done for source in sources))
    print(time.perf_counter() - start, flush=True)


# ── the comparison ───────────────────────────────────────────────────────────


def prepared(path: Path, number: int) -> None:
    """Make a ledger in which every reply will find its exchange."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        futures = [
            ledger.exchanges.queue_soon(
                build(
                    system=DMS,
                    party=PARTY,
                    mailbox=MAILBOX,
                    reference=f"K{one:08}",
                    payload=b"<a/>",
                    date=NOON,
                    message_id=f"<{one}@forwarder.example>",
                ),
                at=NOON,
            )
            for one in range(number)
        ]
        assert len({future.result().key for future in futures}) == number
        # A reply answers only what was sent.
        exchanges = ledger.exchanges
        claimed = exchanges.claim_soon(["DMS"], owner="bench", most=number, at=NOON, lease=timedelta(hours=1)).result()
        settled = [exchanges.settle_soon(one, Outcome.ACCEPTED, at=NOON) for one in claimed]
        assert [State.ACCEPTED] * number == [future.result() for future in settled]


def check_ledger(path: Path, number: int) -> None:
    """Every message is there once, whole, and has answered its exchange."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        assert ledger.status().exchanges == {("DMS", State.ANSWERED): number}
        stored = {found.reference: found.raw for found in ledger.replies.listed()}
        assert stored == {f"K{one:08}": reply(one) for one in range(number)}


def check_each(path: Path, number: int) -> None:
    """Every message is there once."""
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(DISTINCT raw) FROM replies").fetchone() == (number,)
    database.close()


def check_nothing(_path: Path, _number: int) -> None:
    """Nothing was to be stored."""


CHECKS: Final[dict[str, Callable[[Path, int], None]]] = {BARE: check_nothing, EACH: check_each, OURS: check_ledger}


def measured(server: str, connections: int, number: int, parent: Path | None, before: Sequence[str] = ()) -> float:
    """Run one server under load; gives messages a second."""
    with folder_in(parent) as folder:
        path = folder / "ledger.db"
        if server == OURS:
            prepared(path, number)
        with started(__file__, "--serve", server, str(path), before=before) as (output, _):
            port = output.readline().strip()
            with started(__file__, "--load", port, str(connections), str(number)) as (client, _):
                seconds = float(client.readline())
        CHECKS[server](path, number)
    return number / seconds


def tracer() -> list[str]:
    """Give a command that makes each sync of a program 2 ms slower, where strace is there."""
    program = shutil.which("strace")
    calls = "fsync,fdatasync"
    delay = f"--inject={calls}:delay_enter={DELAY}"
    return (
        [program, "--quiet=all", "-f", "--seccomp-bpf", f"--trace={calls}", delay, "-o", "/dev/null"] if program else []
    )


def one_round(number: int) -> Round:
    """Measure every case once; what is compared is measured close together."""
    found: Round = {}
    for connections in CONNECTIONS:
        messages = number // 3 if connections == 1 else number
        for server in (BARE, OURS, EACH):
            found[f"{server}, {connections} conn"] = measured(server, connections, messages, None)
        if MEMORY.is_dir():
            found[f"{OURS}, {connections} conn, in memory"] = measured(OURS, connections, messages, MEMORY)
    if before := tracer():
        for server in (OURS, EACH):
            found[f"{server}, 32 conn, sync 2 ms slower"] = measured(server, 32, number // 2, None, before)
    return found


def ratios(rounds: Sequence[Round]) -> list[Ratio]:
    """Say what is compared."""
    found = [
        Ratio(f"{EACH} / bare, {connections} conn", f"{EACH}, {connections} conn", f"{BARE}, {connections} conn")
        for connections in CONNECTIONS
    ]
    if MEMORY.is_dir():
        found += [
            Ratio(
                f"agent / bare, {connections} conn, ledger in memory",
                f"{OURS}, {connections} conn, in memory",
                f"{BARE}, {connections} conn",
                note="no disk: what is left is ours",
            )
            for connections in CONNECTIONS
        ]
    slow = "32 conn, sync 2 ms slower"
    if f"{OURS}, {slow}" in rounds[0]:
        found.append(Ratio(f"agent / commit each, {slow}", f"{OURS}, {slow}", f"{EACH}, {slow}", at_least=SLOW))
    found += [
        Ratio(
            f"agent / bare, {connections} conn",
            f"{OURS}, {connections} conn",
            f"{BARE}, {connections} conn",
            at_least=goal,
        )
        for connections, goal in CONNECTIONS.items()
    ]
    return found


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file too")
    parser.add_argument("--rigorous", action="store_true", help="five times as many rounds")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--load", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        asyncio.run(load(*options.load))
    elif options.serve:
        server, path = options.serve[0], Path(options.serve[1])
        if server == OURS:
            asyncio.run(agent(path))
        else:
            asyncio.run(stock(Nothing() if server == BARE else CommitEach(path)))
    else:
        with folder_in(None) as folder:
            sync = round(sync_time(folder))
        rounds = [one_round(3_000) for _ in range(15 if options.rigorous else 3)]
        report(
            "C. Receiving over SMTP, 20 KB messages",
            "messages a second",
            rounds,
            ratios(rounds),
            packages=("htpoort", "aiosmtpd", "SQLAlchemy"),
            more={"SQLite": sqlite3.sqlite_version, "one sync of one page, in microseconds": sync},
            path=options.json,
        )


if __name__ == "__main__":
    main()
