"""A mailbox that cannot be opened is paused between attempts; the log has reason, start and next attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from agents import QUICK, Process, reply
from disk import failing_disk
from pop3_server import PASSWORD, Fault, Pop3Box

from htpoort import Router
from htpoort.agent import Agent, Pop3Inbox, Timing
from htpoort.agent._server_pauses import ServerPauses
from htpoort.ledger import Ledger
from htpoort.transport import FetchFailure, Pop3Account, Security

AT = datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC)
MOMENT, HOUR = timedelta(milliseconds=1), timedelta(hours=1)


def inbox(box: Pop3Box, **settings: object) -> Pop3Inbox:
    """Poll a mailbox on loopback often."""
    usual = {"host": "127.0.0.1", "port": box.port, "security": Security.PLAIN, "username": "edi", "password": PASSWORD}
    return Pop3Inbox(server=Pop3Account(**{**usual, **settings}), poll_interval=timedelta(milliseconds=5))  # type: ignore[arg-type]


@asynccontextmanager
async def fetching(
    ledger: Ledger,
    router: Router,
    *inboxes: Pop3Inbox,
    pause_schedule: tuple[timedelta, ...],
    login: timedelta = MOMENT,
) -> AsyncGenerator[Process]:
    """Run an agent whose clock does not move."""
    process, timing = Process(), attrs.evolve(QUICK, pause_schedule=pause_schedule, login_pause=login)
    async with Agent(
        ledger=ledger, router=router, inboxes=inboxes, deliveries={"DMS": process}, timing=timing, clock=lambda: AT
    ):
        yield process


async def logged(caplog: pytest.LogCaptureFixture, word: str, number: int) -> list[str]:
    """Wait until the log has this many lines with a word."""
    async with asyncio.timeout(60):
        while True:
            lines = [record.getMessage() for record in caplog.records if word in record.getMessage()]
            if len(lines) >= number:
                return lines
            await asyncio.sleep(0.001)


def sessions(box: Pop3Box) -> int:
    """Count the login attempts."""
    return sum(command.startswith("USER") for command in box.commands)


async def test_the_pause_grows(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """Each failed attempt is followed by the next pause; during the last one, only other mailboxes are polled."""
    in_use = b"-ERR [IN-USE] locked by another session\r\n"
    async with Pop3Box(reply("K1"), faults={"PASS": in_use}) as closed, Pop3Box() as good:
        pauses = (MOMENT, 2 * MOMENT, HOUR)
        async with fetching(ledger, router, inbox(closed), inbox(good), pause_schedule=pauses) as process:
            lines = await logged(caplog, "paused", 3)
            good.mails.append(("u1", reply("K2")))
            await process.has(1)
            tried = sessions(closed)

    name = f"127.0.0.1:{closed.port} as edi"
    why = (
        "login: [IN-USE] locked by another session. "
        "Check user name and password, and whether another program reads this mailbox."
    )
    now = "2026-11-02 09:05:07+00:00"
    assert [
        f"POP3 {name} is paused until {now}, failing since {now}: {why}",
        f"POP3 {name} is paused until {now}, failing since {now}: {why}",
        f"POP3 {name} is paused until 2026-11-02 10:05:07+00:00, failing since {now}: {why}",
    ] == lines
    assert (3, ["u1"]) == (tried, closed.uidls)


async def test_a_refused_login(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A refused login is followed by the long pause, because many servers lock an account."""
    async with Pop3Box(reply("K1")) as closed, Pop3Box() as good:
        wrong = inbox(closed, password="falsch")
        async with fetching(ledger, router, wrong, inbox(good), pause_schedule=(MOMENT,), login=HOUR) as process:
            (line,) = await logged(caplog, "paused", 1)
            good.mails.append(("u1", reply("K2")))
            await process.has(1)
            tried = sessions(closed)
            (kept,) = ledger.servers.paused()

    assert (f"POP3 127.0.0.1:{closed.port} as edi", AT, AT + HOUR) == (kept.name, kept.since, kept.next_try)
    assert kept.why.startswith("login: ")
    assert "is paused until 2026-11-02 10:05:07+00:00, failing since 2026-11-02 09:05:07+00:00" in line
    assert (1, ["u1"]) == (tried, closed.uidls)


@pytest.mark.parametrize(
    ("faults", "security", "kind"),
    [
        ({"greeting": b"-ERR [SYS/TEMP] too many connections\r\n"}, Security.PLAIN, "connect"),
        ({"greeting": "drop"}, Security.PLAIN, "connect"),
        ({"greeting": b"220 smtp.forwarder.example ESMTP\r\n"}, Security.PLAIN, "protocol"),
        ({"USER": "drop"}, Security.PLAIN, "lost"),
        ({"USER": b"-ERR [SYS/TEMP] later\r\n"}, Security.PLAIN, "login"),
        ({}, Security.STARTTLS, "tls"),
        ({}, Security.IMPLICIT, "tls"),
    ],
)
async def test_any_failure_before_the_login(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    ledger: Ledger,
    router: Router,
    caplog: pytest.LogCaptureFixture,
    faults: dict[str, Fault],
    security: Security,
    kind: str,
) -> None:
    """Every failure before a successful login pauses the mailbox."""
    async with (
        Pop3Box(reply("K1"), faults=faults) as closed,
        Pop3Box() as good,
        fetching(ledger, router, inbox(closed, security=security), inbox(good), pause_schedule=(HOUR,)) as process,
    ):
        (line,) = await logged(caplog, "paused", 1)
        good.mails.append(("u1", reply("K2")))
        await process.has(1)
        tried = closed.connections

    assert (1, True) == (tried, f", failing since 2026-11-02 09:05:07+00:00: {kind}: " in line)


async def test_it_works_again(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """When the mailbox works again, the log reports it, its mails are fetched, and the pauses start again."""
    caplog.set_level("INFO", "htpoort.agent")
    async with (
        Pop3Box(reply("K1"), faults={"greeting": "drop"}) as box,
        fetching(ledger, router, inbox(box), pause_schedule=(MOMENT, MOMENT, MOMENT)) as process,
    ):
        await logged(caplog, "paused", 2)
        box.faults.clear()
        came = await process.has(1)
        (line,) = await logged(caplog, "works again", 1)
    kept = ledger.servers.paused()
    levels = [record.levelname for record in caplog.records if record.getMessage() == line]

    name = f"127.0.0.1:{box.port} as edi"
    assert f"POP3 {name} works again, after failing since 2026-11-02 09:05:07+00:00" == line
    assert ["INFO"] == levels
    assert (["K1"], [], ()) == (came, box.uidls, kept)


def test_a_failure_of_another_kind() -> None:
    """*since* is when failures of the present kind began; a failure of another kind resets it, but not the pauses."""
    pauses_of_server = ServerPauses("POP3", attrs.evolve(QUICK, pause_schedule=(MOMENT, HOUR)))
    troubles = [(FetchFailure.CONNECT, 0), (FetchFailure.CONNECT, 1), (FetchFailure.LOGIN, 2), (FetchFailure.LOGIN, 3)]
    pauses, since = [], []
    for kind, minute in troubles:
        pauses.append(pauses_of_server.failed("no", kind=kind, at=AT + timedelta(minutes=minute), minimum=MOMENT))
        since.append(pauses_of_server.since)

    assert [MOMENT, HOUR, HOUR, HOUR] == pauses
    assert [AT, AT, AT + timedelta(minutes=2), AT + timedelta(minutes=2)] == since


async def test_the_status_of_an_earlier_agent(ledger: Ledger, router: Router) -> None:
    """
    An agent clears the status that an earlier agent left, also of servers that it does not have.

    No other agent can use the ledger: it is on SQLite.
    """
    async with Pop3Box() as box:
        for name in (f"POP3 127.0.0.1:{box.port} as edi", "another"):
            ledger.servers.record_pause_soon(name, since=AT, next_try=AT + HOUR, why="no").result()
        async with fetching(ledger, router, inbox(box), pause_schedule=(HOUR,)):
            async with asyncio.timeout(60):
                await box.reached["QUIT"].wait()
            kept = ledger.servers.paused()

    assert () == kept


async def test_a_status_that_cannot_be_cleared(
    ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent starts all the same, and the log says that the status is not right."""
    ledger.servers.record_pause("another", since=AT, next_try=AT + HOUR, why="no")
    with failing_disk():
        async with Agent(ledger=ledger, router=router, timing=QUICK, clock=lambda: AT):
            pass

    assert ["The pauses of servers that an earlier agent recorded stay: "] == [
        message.partition("The ledger")[0] for message in caplog.messages if "earlier agent" in message
    ]


async def test_a_mailbox_that_stays_locked_behind_a_broken_session(ledger: Ledger, router: Router) -> None:
    """A mailbox that is in use after its server ended a session is emptied: the next poll fetches fewer mails."""
    begun: list[bool] = []

    def greeted() -> None:
        box.faults.pop("PASS", None)
        if begun:
            box.faults["PASS"] = b"-ERR [IN-USE] locked by another session\r\n"
            begun.clear()
        else:
            begun.append(True)

    faults: dict[str, Fault] = {"greeting": (greeted, "go on"), "QUIT": (begun.clear, "go on")}
    async with Pop3Box(*(reply(f"K{n}") for n in range(1, 7)), mails_a_session=2, faults=faults) as box:
        async with fetching(ledger, router, inbox(box), pause_schedule=(MOMENT,)), asyncio.timeout(60):
            while box.uidls:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0.001)
        assert [] == box.uidls
    assert [f"K{n}" for n in range(1, 7)] == sorted(one.reference for one in ledger.replies.listed())


def test_the_usual_pauses() -> None:
    """The pauses are 1, 2, 5, 10, 15 and 30 minutes, and at least 15 minutes after a refused login."""
    minutes = [wait.total_seconds() / 60 for wait in Timing().pause_schedule]
    assert ([1, 2, 5, 10, 15, 30], timedelta(minutes=15)) == (minutes, Timing().login_pause)
