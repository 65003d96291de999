"""
Look up by K in ledgers of growing size, and write through the ledger's group commit (part E).

Bare is the sqlite3 module on the same tables and indexes: the same rows, an exchange and its event for each
message, 32 messages a commit by executemany, every commit synced. Ours is one thread that keeps 32 messages in
flight through `Ledger.exchanges.queue_soon`; the ledger checks and parses nothing less than in use.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from comparison import MEMORY, Ratio, Round, folder_in, report, sync_time

from htpoort import DMS, Outcome, Router, State, Submission, build
from htpoort.ledger import Ledger

PARTY: Final = "NL123456789.02.05"
NOON: Final = datetime(2026, 11, 2, 12, tzinfo=UTC)
MOMENT: Final = int(NOON.timestamp()) * 1_000_000
SMALLEST: Final = 10**4
SIZES: Final = {10**4: "10⁴", 10**6: "10⁶", 10**7: "10⁷"}
LOOKUPS: Final = 5_000
AT_ONCE: Final = 32
MESSAGES: Final = {"metadata": (100, 6_000), "20 KB": (20_000, 3_000)}

LOOKUP: Final = "SELECT id, state FROM htpoort_exchanges WHERE party_key = ? AND reference = ?"
FILL: Final = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
INSERT INTO htpoort_exchanges (id, system, party, party_key, reference, state, attempts, due,
    mail_from, rcpt_to, message_id, created, changed, begun, early)
SELECT n, 'DMS', :party, lower(:party), printf('K%08d', n), 'answered', 1, :moment + n,
    'edi@forwarder.example', 'dms@htpoort.nl', '<' || n || '@forwarder.example>', :moment, :moment, 2, 0
FROM numbers
"""
EXCHANGE: Final = """
INSERT INTO htpoort_exchanges (system, party, party_key, reference, state, attempts, due,
    mail_from, rcpt_to, message_id, created, changed, message, begun, early)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
"""
MESSAGE: Final = "INSERT INTO htpoort_messages (raw) VALUES (?)"
EVENT: Final = "INSERT INTO htpoort_events (at, exchange, event, state, detail) VALUES (?, ?, ?, ?, ?)"


@contextmanager
def database(path: Path) -> Generator[sqlite3.Connection]:
    """Open the file of a ledger, as the ledger itself sets it up."""
    opened = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        opened.execute(f"PRAGMA {pragma}").close()
    try:
        yield opened
    finally:
        opened.close()


# ── look-up ──────────────────────────────────────────────────────────────────


def filled(path: Path, rows: int) -> None:
    """Make a ledger of so many exchanges."""
    Ledger.open(f"sqlite:///{path}").close()
    with database(path) as opened:
        opened.execute("PRAGMA synchronous=OFF").close()
        opened.execute(FILL, {"rows": rows, "party": PARTY, "moment": MOMENT}).close()
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def timed(find: Callable[[str], object], wanted: Iterable[str]) -> float:
    """Give the microseconds of one look-up."""
    start = time.perf_counter()
    for reference in wanted:
        find(reference)
    return (time.perf_counter() - start) / LOOKUPS * 1e6


def lookups(paths: dict[int, Path], chance: random.Random) -> Round:
    """Look up at every size; each twice, the first time to have the pages in memory."""
    found: Round = {}
    for rows, path in paths.items():
        name = f"{SIZES[rows]} rows"
        wanted = [f"K{chance.randint(1, rows):08}" for _ in range(LOOKUPS)]
        with database(path) as opened, Ledger.open(f"sqlite:///{path}") as ledger:
            cases: dict[str, Callable[[str], Any]] = {
                "look-up by sqlite3": lambda reference: opened.execute(LOOKUP, (PARTY.lower(), reference)).fetchone(),
                "Ledger.exchanges.find": lambda reference: ledger.exchanges.find(reference, party=PARTY),
                "Ledger.sent, of the router": ledger.sent,
            }
            by_sqlite, by_find, by_sent = (find(wanted[0]) for find in cases.values())
            assert by_sqlite == (by_find.key, by_find.state.value) == (int(wanted[0][1:]), "answered")
            assert [(sent.party, sent.reference) for sent in by_sent] == [(PARTY, wanted[0])]
            for case, find in cases.items():
                timed(find, wanted)
                found[f"{case}, {name}"] = timed(find, wanted)
    return found


# ── group commit ─────────────────────────────────────────────────────────────


def submissions(size: int, number: int) -> list[Submission]:
    """Build declarations of a size."""
    payload = (b"<Declaration><ID>22096222734662</ID><Code>A</Code></Declaration>\r\n" * (size // 66 + 1))[:size]
    return [
        build(
            system=DMS,
            party=PARTY,
            mailbox="edi@forwarder.example",
            reference=f"K{one:08}",
            payload=payload,
            date=NOON,
            message_id=f"<{one}@forwarder.example>",
        )
        for one in range(number)
    ]


def replies(size: int, number: int) -> list[bytes]:
    """Write the reply to each declaration."""
    body = (b"<Response><ID>22096222734662</ID><Code>A</Code></Response>\r\n" * (size // 60 + 1))[:size]
    head = "From: dms@htpoort.nl\r\nSubject: [V= DMS4.NL][A= {}][K=K{:08}][S=0]\r\n\r\n"
    return [head.format(PARTY, one).encode() + body + b"\r\n" for one in range(number)]


def by_sqlite3(path: Path, messages: list[Submission]) -> float:
    """Write the same rows without us; gives messages a second."""
    Ledger.open(f"sqlite:///{path}").close()
    with database(path) as opened:
        start = time.perf_counter()
        for first in range(0, len(messages), AT_ONCE):
            batch = messages[first : first + AT_ONCE]
            rows = [
                (
                    one.system,
                    one.envelope.sender,
                    one.envelope.sender.lower(),
                    one.envelope.reference,
                    "queued",
                    0,
                    MOMENT,
                    one.mail_from,
                    one.rcpt_to,
                    one.message_id,
                    MOMENT,
                    MOMENT,
                    number,
                )
                for number, one in enumerate(batch, first + 1)
            ]
            events = [(MOMENT, first + number, "queued", "queued", "") for number in range(1, len(batch) + 1)]
            opened.execute("BEGIN IMMEDIATE").close()
            opened.executemany(MESSAGE, [(one.data,) for one in batch]).close()
            opened.executemany(EXCHANGE, rows).close()
            opened.executemany(EVENT, events).close()
            opened.execute("COMMIT").close()
        rate = len(messages) / (time.perf_counter() - start)
        assert opened.execute("SELECT count(*) FROM htpoort_events").fetchone() == (len(messages),)
    return rate


def in_flight(submit: Callable[[Any], Future[Any]], items: list[Any]) -> float:
    """Keep 32 in flight; gives how many a second were synced."""
    free = threading.Semaphore(AT_ONCE)
    start = time.perf_counter()
    for item in items:
        free.acquire()
        submit(item).add_done_callback(lambda _: free.release())
    for _ in range(AT_ONCE):
        free.acquire()
    return len(items) / (time.perf_counter() - start)


def accepted(ledger: Ledger, number: int, at_once: int) -> float:
    """Claim and settle as an agent does; the outcomes and the next claim share a commit. Gives how many a second."""
    exchanges = ledger.exchanges
    settled: list[Future[State]] = []
    done, start = 0, time.perf_counter()
    while done < number:
        most = min(at_once, number - done)
        claim = exchanges.claim_soon(["DMS"], owner="bench", most=most, at=NOON, lease=timedelta(hours=1))
        assert all(future.result() is State.ACCEPTED for future in settled)
        settled = [exchanges.settle_soon(one, Outcome.ACCEPTED, at=NOON) for one in claim.result()]
        done += len(settled)
    assert all(future.result() is State.ACCEPTED for future in settled)
    return number / (time.perf_counter() - start)


def by_ledger(path: Path, messages: list[Submission], answers: list[bytes]) -> dict[str, float]:
    """Queue, send one at a time and 16 at a time, then take the replies in; gives messages a second of each."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        queued = in_flight(lambda one: ledger.exchanges.queue_soon(one, at=NOON), messages)
        few = len(messages) // 10
        one = accepted(ledger, few, 1)
        many = accepted(ledger, len(messages) - few, 16)
        router = Router(parties=[PARTY])
        taken = in_flight(lambda raw: ledger.replies.take_in_soon(router, raw, mail_from=None, at=NOON), answers)
        assert ledger.status().exchanges == {("DMS", State.ANSWERED): len(messages)}
        assert ledger.status().undelivered == {"DMS": len(messages)}
    with database(path) as opened:
        assert opened.execute("SELECT count(*) FROM htpoort_events").fetchone() == (4 * len(messages),)
    return {
        "Ledger.exchanges.queue_soon": queued,
        "claim and outcome, 1 at once": one,
        "claim and outcome, 16 at once": many,
        "Ledger.replies.take_in_soon": taken,
    }


def writes() -> Round:
    """Write every kind of message each way, on the disk and in memory."""
    found: Round = {}
    places = {"": None, ", in memory": MEMORY} if MEMORY.is_dir() else {"": None}
    for kind, (size, number) in MESSAGES.items():
        messages, answers = submissions(size, number), replies(size, number)
        for place, parent in places.items():
            with folder_in(parent) as folder:
                found[f"sqlite3 executemany, {kind}{place}"] = by_sqlite3(folder / "bare.db", messages)
                rates = by_ledger(folder / "ledger.db", messages, answers)
            found |= {f"{case}, {kind}{place}": rate for case, rate in rates.items()}
    return found


# ── the comparison ───────────────────────────────────────────────────────────


def ratios(sizes: Iterable[int]) -> list[Ratio]:
    """Say what is compared."""
    found: list[Ratio] = []
    for kind in MESSAGES:
        bare = f"sqlite3 executemany, {kind}"
        taken = f"Ledger.replies.take_in_soon, {kind}"
        found.append(Ratio(f"replies / bare, {kind}", taken, bare, note="routes, hashes and moves the exchange too"))
        if MEMORY.is_dir():
            memory = f"Ledger.exchanges.queue_soon, {kind}, in memory"
            found.append(Ratio(f"queue / bare, {kind}, in memory", memory, f"{bare}, in memory", note="no disk"))
    for case in ("look-up by sqlite3", "Ledger.exchanges.find", "Ledger.sent, of the router"):
        found += [
            Ratio(
                f"{case}, {SIZES[rows]} / {SIZES[SMALLEST]} rows",
                f"{case}, {SIZES[rows]} rows",
                f"{case}, {SIZES[SMALLEST]} rows",
                at_most=None if case == "look-up by sqlite3" else 2.0,
                note="SQLite alone, cache of 2 MB" if case == "look-up by sqlite3" else "",
            )
            for rows in sizes
            if rows > SMALLEST
        ]
    return found + [
        Ratio(f"queue / bare, {kind}", f"Ledger.exchanges.queue_soon, {kind}", f"sqlite3 executemany, {kind}", 0.5)
        for kind in MESSAGES
    ]


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file too")
    parser.add_argument("--rigorous", action="store_true", help="five times as many rounds")
    parser.add_argument("--large", action="store_true", help="look up among 10⁷ rows too (5 GB of disk)")
    options = parser.parse_args()
    sizes = [rows for rows in SIZES if rows < 10**7 or options.large]
    rounds: list[Round] = []
    with folder_in(None) as folder:
        sync = round(sync_time(folder))
        paths = {rows: folder / f"{rows}.db" for rows in sizes}
        for rows, path in paths.items():
            filled(path, rows)
        chance = random.Random(1)  # noqa: S311 - which rows are asked for
        rounds += [lookups(paths, chance) | writes() for _ in range(25 if options.rigorous else 5)]
    report(
        "E. Ledger",
        "microseconds a look-up, messages a second",
        rounds,
        ratios(sizes),
        packages=("htpoort", "SQLAlchemy"),
        more={"SQLite": sqlite3.sqlite_version, "one sync of one page, in microseconds": sync},
        path=options.json,
    )


if __name__ == "__main__":
    main()
