"""An agent that fetches: what a look came to is told, and nothing is deleted, stored or delivered wrongly by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest
from agents import PARTY, QUICK, Process, now, reply
from disk import failing_disk
from pop3_server import PASSWORD, Pop3Box

from htpoort import AGS, LedgerError, Router
from htpoort.agent import Agent, Pop3Inbox, fetch_once
from htpoort.ledger import Ledger, Stored
from htpoort.transport import FetchFailure, Pop3Server, Security, TlsSettings

STRAY = b"Subject: no envelope\r\n\r\nx\r\n"


def account(box: Pop3Box) -> Pop3Server:
    """Say how to reach a mailbox on loopback."""
    return Pop3Server(
        host="127.0.0.1", port=box.port, security=Security.PLAIN, username="edi", password=PASSWORD, timeout=60
    )


def keys(stored: tuple[Stored, ...]) -> list[tuple[int, bool]]:
    """Give numbers in the ledger, and whether they were there before."""
    return [(one.key, one.repeated) for one in stored]


class TestOneLook:
    """`fetch_once` says what was stored, deleted and left, and why it ended."""

    async def test_what_it_tells(self, ledger: Ledger, router: Router) -> None:
        """Each mail that was fetched is told when it is synced, a copy too; what stays is told with its reason."""
        told: list[Stored] = []
        mails = (reply("K1"), reply("K1"), STRAY, reply("K2"))
        async with Pop3Box(*mails, sizes={"u4": 2**40}) as box:
            look = await fetch_once(ledger, router, account(box), taken=told.append)

        assert (f"edi@127.0.0.1:{box.port}", None, ()) == (look.account, look.error, look.problems)
        assert ([(1, False), (1, True), (1, False)], look.stored) == (keys(look.stored), tuple(told))
        assert (("u1", "u2", "u3"), ["u4"], ()) == (look.deleted, [left.uidl for left in look.left], look.seen_again)
        assert [2] == [one.copies for one in ledger.replies.listed()]

    async def test_a_session_that_broke(self, ledger: Ledger, router: Router) -> None:
        """
        The error is told with what was stored before it; a later session sees that again, and counts no copy.

        The session after the break ends after one mail, whose QUIT is not answered; this leads no further.
        """
        async with Pop3Box(reply("K1"), reply("K2"), STRAY, faults={"QUIT": ("close",), "DELE 3": "drop"}) as box:
            broken = await fetch_once(ledger, router, account(box))
            box.faults.clear()
            look = await fetch_once(ledger, router, account(box))

        assert broken.error is not None
        came = [(1, False), (2, False), (1, False), (1, True)]
        assert (FetchFailure.LOST, came) == (broken.error.kind, keys(broken.stored))
        assert ((), (), ("u1",)) == (broken.deleted, broken.left, broken.seen_again)
        assert ([(2, True), (1, True)], ("u2", "u3")) == (keys(look.stored), look.seen_again)
        assert (look.seen_again, [], frozenset()) == (look.deleted, box.uidls, ledger.fetched.known(look.account))
        assert [1, 1, 1] == [one.copies for one in (*ledger.replies.listed(), *ledger.quarantine.listed())]

    async def test_a_reply_that_is_too_large(self, ledger: Ledger) -> None:
        """A reply larger than what is routed is fetched once, waits in quarantine whole, and the others go on."""
        large = reply("K1") + b"x" * 100_000 + b"\r\n"
        small = Router(parties=[PARTY], sent=ledger.sent, size_limit=100_000)
        async with Pop3Box(large, reply("K2")) as box:
            look = await fetch_once(ledger, small, account(box))

        assert ["RETR 1", "RETR 2"] == [command for command in box.commands if command.startswith("RETR")]
        assert [("too-large", large)] == [(one.reason, one.raw) for one in ledger.quarantine.listed()]
        assert (["K2"], ("u1", "u2")) == ([one.reference for one in ledger.replies.listed()], look.deleted)

    async def test_a_mail_that_breaks_every_session(self, ledger: Ledger, router: Router) -> None:
        """Mails that the server cannot give stop no other: what is before and behind them is stored and deleted."""
        mails = (reply("K1"), reply("K2"), reply("K3"), reply("K4"))
        async with Pop3Box(*mails, faults={"RETR u2": "drop", "RETR u3": ("close",)}) as box:
            look = await fetch_once(ledger, router, account(box))

        assert look.error is not None
        assert (FetchFailure.LOST, "u2") == (look.error.kind, look.error.uidl)
        assert (["K1", "K4"], [1, 1]) == (
            [one.reference for one in ledger.replies.listed()],
            [one.copies for one in ledger.replies.listed()],
        )
        assert (("u1", "u4"), ["u2", "u3"]) == (look.deleted, box.uidls)
        assert ["u1"] == list(look.seen_again)
        assert [("u2", "pop3.breaks"), ("u3", "pop3.breaks")] == [(one.uidl, one.problem.code) for one in look.left]

    async def test_a_server_that_gives_nothing(self, ledger: Ledger, router: Router) -> None:
        """A look comes to its end whatever the server does, and deletes nothing then."""
        mails = tuple(reply(f"K{number}") for number in range(9))
        async with Pop3Box(*mails, faults={"RETR": "drop"}) as box:
            look = await fetch_once(ledger, router, account(box))

        assert ((), (), 4) == (look.stored, look.deleted, box.connections)
        assert len(box.uidls) == len(mails)

    async def test_another_mail_under_a_known_uidl(self, ledger: Ledger, router: Router) -> None:
        """Where the answer to QUIT was lost and the server gave the UIDL to another reply, that reply is stored."""
        async with Pop3Box(("7", reply("K1")), faults={"QUIT": "drop"}) as box:
            await fetch_once(ledger, router, account(box))
            box.faults.clear()
            box.mails.append(("7", reply("K2")))
            look = await fetch_once(ledger, router, account(box))

        assert ["K1", "K2"] == [one.reference for one in ledger.replies.listed()]
        assert ([(2, False)], (), []) == (keys(look.stored), look.seen_again, box.uidls)

    async def test_a_disk_that_fails(self, ledger: Ledger, router: Router) -> None:
        """What cannot be stored is the ledger's error, and stays in the mailbox."""
        async with Pop3Box(reply("K1")) as box:
            with failing_disk(), pytest.raises(LedgerError):
                await fetch_once(ledger, router, account(box))
            await box.left.wait()

        assert (["u1"], False) == (box.uidls, any(command.startswith("DELE") for command in box.commands))


@attrs.define
class Clock:
    """A clock that a test moves, and that can be made to fail."""

    at: datetime = attrs.field(factory=now)
    fails: int = 0

    def __call__(self) -> datetime:
        """Give the time."""
        if self.fails:
            self.fails -= 1
            message = "no clock"
            raise ConnectionError(message)
        return self.at


@asynccontextmanager
async def fetching(
    box: Pop3Box, ledger: Ledger, router: Router, clock: Clock, **deliveries: Process
) -> AsyncGenerator[None]:
    """Run an agent that looks into a mailbox again and again."""
    inbox = Pop3Inbox(server=account(box), every=timedelta(milliseconds=5))
    async with Agent(ledger=ledger, router=router, inboxes=[inbox], deliveries=deliveries, timing=QUICK, clock=clock):
        yield


async def looks(box: Pop3Box, number: int) -> None:
    """Wait until so many more sessions are at their end."""
    for _ in range(number):
        box.reached["QUIT"].clear()
        async with asyncio.timeout(60):
            await box.reached["QUIT"].wait()


class TestAgainAndAgain:
    """An agent looks for ever, whatever a look comes to."""

    async def test_replies_reach_their_processes(self, ledger: Ledger, router: Router) -> None:
        """What is fetched is delivered to the process of its system, and what comes later too."""
        ags, dms = Process(), Process()
        async with (
            Pop3Box(reply("K1"), reply("K2", AGS)) as box,
            fetching(box, ledger, router, Clock(), AGS=ags, DMS=dms),
        ):
            first = await ags.has(1), await dms.has(1)
            box.mails.append(("u3", reply("K3")))
            later = await dms.has(2)
            await looks(box, 1)

        assert ((["K2"], ["K1"]), ["K1", "K3"], []) == (first, later, box.uidls)

    async def test_what_a_broken_session_brings_back(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A reply that is seen again is delivered once; the log says that it was seen again."""
        caplog.set_level(logging.INFO, "htpoort.agent")
        dms = Process()
        async with (
            Pop3Box(reply("K1"), reply("K2"), faults={"DELE 2": "drop"}) as box,
            fetching(box, ledger, router, Clock(), DMS=dms),
        ):
            await box.reached["DELE 2"].wait()
            box.faults.clear()
            await dms.has(2)
            await looks(box, 2)

        told = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        name = f"edi@127.0.0.1:{box.port}"
        assert (["K1", "K2"], []) == ([one.reference for one in dms.taken], box.uidls)
        assert f"Not fetched from {name} (lost): the server closed the connection. " in " ".join(told)
        assert 1 == told.count(f"POP3 127.0.0.1:{box.port} as edi: seen again, and stored before: 2 mails")

    async def test_a_mail_that_the_server_does_not_delete(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is stored and stays is left alone for an hour, then fetched again; others are fetched meanwhile."""
        clock = Clock()
        async with (
            Pop3Box(reply("K1"), faults={"DELE 1": b"-ERR locked\r\n"}) as box,
            fetching(box, ledger, router, clock),
        ):
            await looks(box, 3)
            box.mails.append(("u2", reply("K2")))
            await looks(box, 2)
            before = box.commands.count("RETR 1"), box.uidls
            clock.at += timedelta(hours=1)
            await looks(box, 2)
            within = box.commands.count("RETR 1")
            box.faults.clear()
            clock.at += timedelta(hours=1)
            await looks(box, 2)

        told = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        assert ((1, ["u1"]), 2, 3, []) == (before, within, box.commands.count("RETR 1"), box.uidls)
        assert [f"POP3 127.0.0.1:{box.port} as edi: The mail u1 is stored and was not deleted: locked"] * 2 == told
        assert [("K1", 1), ("K2", 1)] == [(one.reference, one.copies) for one in ledger.replies.listed()]

    async def test_a_mail_that_never_ends(self, ledger: Ledger, router: Router) -> None:
        """What takes more than its time is left alone for an hour, so that it holds the mailbox once an hour only."""
        clock = Clock()
        async with Pop3Box(reply("K1"), faults={"RETR u1": (b"+OK\r\nhalf", "stall")}) as box:
            inbox = Pop3Inbox(server=attrs.evolve(account(box), mail_timeout=0.1), every=timedelta(milliseconds=5))
            async with Agent(ledger=ledger, router=router, inboxes=[inbox], timing=QUICK, clock=clock):
                await looks(box, 2)
                box.mails.append(("u2", reply("K2")))
                await looks(box, 2)
                before = box.commands.count("RETR 1"), box.uidls
                box.faults.clear()
                clock.at += timedelta(hours=1)
                await looks(box, 2)

        assert ((1, ["u1"]), []) == (before, box.uidls)
        assert ["K2", "K1"] == [one.reference for one in ledger.replies.listed()]

    async def test_more_than_one_look_brings(self, ledger: Ledger, router: Router) -> None:
        """Where a look does not come to all mails, the next one begins at once, and not after the usual pause."""
        mails = tuple(reply(f"K{place}") for place in range(1, 22))
        dms = Process()
        async with Pop3Box(*mails, mails_a_session=1) as box:
            inbox = Pop3Inbox(server=account(box), every=timedelta(days=1))
            async with Agent(
                ledger=ledger, router=router, inboxes=[inbox], deliveries={"DMS": dms}, timing=QUICK, clock=Clock()
            ):
                await dms.has(21)

        assert sorted(f"K{place}" for place in range(1, 22)) == sorted(one.reference for one in dms.taken)

    async def test_a_server_that_deletes_nothing(self, ledger: Ledger, router: Router) -> None:
        """After a look that could delete nothing the usual pause is kept, or the same mails would come at once."""
        refused = {"QUIT": b"-ERR some deleted messages not removed\r\n"}
        mails = reply("K1"), reply("K2"), reply("K3")
        async with Pop3Box(*mails, mails_a_session=2, faults=refused) as box, Pop3Box() as other:
            rare, often = timedelta(days=1), timedelta(milliseconds=5)
            inboxes = [Pop3Inbox(server=account(box), every=rare), Pop3Inbox(server=account(other), every=often)]
            async with Agent(ledger=ledger, router=router, inboxes=inboxes, timing=QUICK, clock=Clock()):
                await box.reached["QUIT"].wait()
                await looks(other, 20)
        # One session that broke, and one that ended after a mail.
        assert (2, ["u1", "u2", "u3"]) == (box.connections, box.uidls)

    async def test_many_that_cannot_be_read(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Twenty mails of a look are reported one by one, and the rest by their number."""
        faults = {"RETR": b"-ERR broken\r\n"}
        async with Pop3Box(*[STRAY] * 23, faults=faults) as box, fetching(box, ledger, router, Clock()):  # type: ignore[arg-type]
            await looks(box, 2)
        name = f"POP3 127.0.0.1:{box.port} as edi"
        told = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        single = [f"{name}: The mail u{number} cannot be read: broken" for number in range(1, 21)]
        assert [*single, f"{name}: left out 3 more warnings like these"] == told[:21]

    async def test_while_the_disk_fails(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """What cannot be stored stays in the mailbox, a person reads what to do, and a later look takes it."""
        dms = Process()
        with failing_disk():
            async with Pop3Box(reply("K1")) as box:
                async with fetching(box, ledger, router, Clock()):
                    await looks(box, 2)
                kept = box.uidls, list(ledger.replies.listed())
        async with Pop3Box(*box.mails) as box, fetching(box, ledger, router, Clock(), DMS=dms):
            await dms.has(1)
            await looks(box, 1)

        told = {text.partition(" check")[0] for text in caplog.messages if text.startswith("POP3")}
        assert ((["u1"], []), []) == (kept, box.uidls)
        assert {f"POP3: Writing failed on {ledger.where}. The disk reports an error;"} == told

    async def test_a_certificate_that_is_away(
        self, ledger: Ledger, router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A file of the TLS settings that cannot be read is told in one sentence at each look, and ends nothing."""
        clock, missing = Clock(), TlsSettings(ca_file=tmp_path / "absent.pem")
        dms = Process()
        async with Pop3Box(reply("K1")) as box:
            closed = Pop3Server(host="127.0.0.1", port=box.port, username="edi", password=PASSWORD, tls=missing)
            inboxes = [Pop3Inbox(server=server, every=timedelta(milliseconds=5)) for server in (closed, account(box))]
            async with Agent(
                ledger=ledger, router=router, inboxes=inboxes, deliveries={"DMS": dms}, timing=QUICK, clock=clock
            ):
                await dms.has(1)
                await looks(box, 3)

        told = {(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records}
        ((level, message, trace),) = told
        assert ("ERROR", None) == (level, trace)
        assert message.startswith(f"POP3 127.0.0.1:{box.port} as edi: ca_file cannot be used")

    async def test_an_error_that_nobody_thought_of(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A clock of the caller's that raises ends no agent: told with its traceback, and the mail is taken later."""
        clock = Clock()
        async with Pop3Box() as box, fetching(box, ledger, router, clock):
            await looks(box, 1)
            clock.fails = 2
            # No reply: of one that waits the agent may tell, if its own first look at the ledger is late.
            box.mails.append(("u1", STRAY))
            await looks(box, 3)

        told = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
        errors = [("POP3: an error that should not be", True)] * 2
        assert [*errors, ("In quarantine as 1: ambiguous-from", False)] == told
        assert ([STRAY], []) == ([one.raw for one in ledger.quarantine.listed()], box.uidls)


async def test_what_was_delivered_is_logged(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """Key, system, party and K of each reply that a process has taken, and of one that it has not; never its body."""
    caplog.set_level(logging.INFO, "htpoort.agent")
    ledger.replies.take_in(router, reply("K1").replace(b"x\r\n", b"<Geheim/>\r\n"), mail_from=None, at=now())
    dms = Process(fails=1)
    often = attrs.evolve(QUICK, redeliver=(timedelta(milliseconds=1),))
    async with Agent(ledger=ledger, router=router, deliveries={"DMS": dms}, timing=often):
        await dms.has(1)

    assert [
        ("WARNING", f"Reply 1 of DMS for {PARTY} under K1 was not delivered: the process is away"),
        ("INFO", f"Reply 1 of DMS for {PARTY} under K1 was delivered"),
    ] == [(record.levelname, record.getMessage()) for record in caplog.records if "delivered" in record.getMessage()]
    assert "Geheim" not in caplog.text
