"""An agent that fetches by POP3: each poll is reported, and nothing is deleted, stored or delivered wrongly."""

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
from htpoort.transport import FetchFailure, Pop3Account, Security, TlsSettings

STRAY = b"Subject: no envelope\r\n\r\nx\r\n"


def account(box: Pop3Box) -> Pop3Account:
    """Describe a mailbox on loopback."""
    return Pop3Account(
        host="127.0.0.1", port=box.port, security=Security.PLAIN, username="edi", password=PASSWORD, timeout=60
    )


def keys(stored: tuple[Stored, ...]) -> list[tuple[int, bool]]:
    """Return the keys of stored mails, and whether each had been stored before."""
    return [(one.key, one.repeated) for one in stored]


class TestOnePoll:
    """`fetch_once` reports what was stored, deleted and left, and why it ended."""

    async def test_what_it_reports(self, ledger: Ledger, router: Router) -> None:
        """Each mail is reported when it is synced, also a copy; what stays is reported with its reason."""
        messages: list[Stored] = []
        mails = (reply("K1"), reply("K1"), STRAY, reply("K2"))
        async with Pop3Box(*mails, sizes={"u4": 2**40}) as box:
            report = await fetch_once(ledger, router, account(box), on_stored=messages.append)

        assert (f"edi@127.0.0.1:{box.port}", None, ()) == (report.account, report.error, report.problems)
        assert ([(1, False), (1, True), (1, False)], report.stored) == (keys(report.stored), tuple(messages))
        assert (("u1", "u2", "u3"), ["u4"], ()) == (
            report.deleted,
            [left.uidl for left in report.left],
            report.seen_again,
        )
        assert [2] == [one.copies for one in ledger.replies.listed()]

    async def test_a_session_that_broke(self, ledger: Ledger, router: Router) -> None:
        """
        The report has the error and what was stored before it; a later session sees that again, and counts no copy.

        The session after the break ends after one mail, and its QUIT is not answered, so the poll ends.
        """
        async with Pop3Box(reply("K1"), reply("K2"), STRAY, faults={"QUIT": ("close",), "DELE 3": "drop"}) as box:
            broken = await fetch_once(ledger, router, account(box))
            box.faults.clear()
            report = await fetch_once(ledger, router, account(box))

        assert broken.error is not None
        came = [(1, False), (2, False), (1, False), (1, True)]
        assert (FetchFailure.LOST, came) == (broken.error.kind, keys(broken.stored))
        assert ((), (), ("u1",)) == (broken.deleted, broken.left, broken.seen_again)
        assert ([(2, True), (1, True)], ("u2", "u3")) == (keys(report.stored), report.seen_again)
        assert (report.seen_again, [], frozenset()) == (report.deleted, box.uidls, ledger.fetched.known(report.account))
        assert [1, 1, 1] == [one.copies for one in (*ledger.replies.listed(), *ledger.quarantine.listed())]

    async def test_a_reply_that_is_too_large(self, ledger: Ledger) -> None:
        """A reply that is too large to route is fetched once and kept whole in quarantine; the others go on."""
        large = reply("K1") + b"x" * 100_000 + b"\r\n"
        small = Router(parties=[PARTY], size_limit=100_000)
        async with Pop3Box(large, reply("K2")) as box:
            report = await fetch_once(ledger, small, account(box))

        assert ["RETR 1", "RETR 2"] == [command for command in box.commands if command.startswith("RETR")]
        assert [("too-large", large)] == [(one.reason, raw) for one, raw in ledger.quarantine.messages()]
        assert (["K2"], ("u1", "u2")) == ([one.reference for one in ledger.replies.listed()], report.deleted)

    async def test_a_mail_that_breaks_every_session(self, ledger: Ledger, router: Router) -> None:
        """Mails that the server cannot send stop no others: those before and after them are stored and deleted."""
        mails = (reply("K1"), reply("K2"), reply("K3"), reply("K4"))
        async with Pop3Box(*mails, faults={"RETR u2": "drop", "RETR u3": ("close",)}) as box:
            report = await fetch_once(ledger, router, account(box))

        assert report.error is not None
        assert (FetchFailure.LOST, "u2") == (report.error.kind, report.error.uidl)
        assert (["K1", "K4"], [1, 1]) == (
            [one.reference for one in ledger.replies.listed()],
            [one.copies for one in ledger.replies.listed()],
        )
        assert (("u1", "u4"), ["u2", "u3"]) == (report.deleted, box.uidls)
        assert ["u1"] == list(report.seen_again)
        assert [("u2", "pop3.breaks"), ("u3", "pop3.breaks")] == [(one.uidl, one.problem.code) for one in report.left]

    async def test_a_server_that_sends_nothing(self, ledger: Ledger, router: Router) -> None:
        """A poll ends whatever the server does, and deletes nothing then."""
        mails = tuple(reply(f"K{number}") for number in range(9))
        async with Pop3Box(*mails, faults={"RETR": "drop"}) as box:
            report = await fetch_once(ledger, router, account(box))

        assert ((), (), 4) == (report.stored, report.deleted, box.connections)
        assert len(box.uidls) == len(mails)

    async def test_another_mail_under_a_known_uidl(self, ledger: Ledger, router: Router) -> None:
        """If the answer to QUIT was lost and the server reuses the UIDL for another reply, that reply is stored."""
        async with Pop3Box(("7", reply("K1")), faults={"QUIT": "drop"}) as box:
            await fetch_once(ledger, router, account(box))
            box.faults.clear()
            box.mails.append(("7", reply("K2")))
            report = await fetch_once(ledger, router, account(box))

        assert ["K1", "K2"] == [one.reference for one in ledger.replies.listed()]
        assert ([(2, False)], (), []) == (keys(report.stored), report.seen_again, box.uidls)

    async def test_a_disk_that_fails(self, ledger: Ledger, router: Router) -> None:
        """A mail that cannot be stored raises the error of the ledger, and stays in the mailbox."""
        async with Pop3Box(reply("K1")) as box:
            with failing_disk(), pytest.raises(LedgerError):
                await fetch_once(ledger, router, account(box))
            await box.left.wait()

        assert (["u1"], False) == (box.uidls, any(command.startswith("DELE") for command in box.commands))


@attrs.define
class Clock:
    """A clock that the test moves, and that can be made to fail."""

    at: datetime = attrs.field(factory=now)
    fails: int = 0

    def __call__(self) -> datetime:
        """Return the time."""
        if self.fails:
            self.fails -= 1
            message = "no clock"
            raise ConnectionError(message)
        return self.at


@asynccontextmanager
async def fetching(
    box: Pop3Box, ledger: Ledger, router: Router, clock: Clock, **deliveries: Process
) -> AsyncGenerator[None]:
    """Run an agent that polls a mailbox."""
    inbox = Pop3Inbox(server=account(box), poll_interval=timedelta(milliseconds=5))
    async with Agent(ledger=ledger, router=router, inboxes=[inbox], deliveries=deliveries, timing=QUICK, clock=clock):
        yield


async def reports(box: Pop3Box, number: int) -> None:
    """Wait until this many more sessions have ended."""
    for _ in range(number):
        box.reached["QUIT"].clear()
        async with asyncio.timeout(60):
            await box.reached["QUIT"].wait()


class TestPolling:
    """An agent goes on polling, whatever the result of a poll."""

    async def test_replies_reach_their_processes(self, ledger: Ledger, router: Router) -> None:
        """Each reply that is fetched, also by a later poll, is delivered to the process of its system."""
        ags, dms = Process(), Process()
        async with (
            Pop3Box(reply("K1"), reply("K2", AGS)) as box,
            fetching(box, ledger, router, Clock(), AGS=ags, DMS=dms),
        ):
            first = await ags.has(1), await dms.has(1)
            box.mails.append(("u3", reply("K3")))
            later = await dms.has(2)
            await reports(box, 1)

        assert ((["K2"], ["K1"]), ["K1", "K3"], []) == (first, later, box.uidls)

    async def test_what_a_broken_session_brings_back(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A reply that is fetched again is delivered once; the log reports that it was fetched again."""
        caplog.set_level(logging.INFO, "htpoort.agent")
        dms = Process()
        async with (
            Pop3Box(reply("K1"), reply("K2"), faults={"DELE 2": "drop"}) as box,
            fetching(box, ledger, router, Clock(), DMS=dms),
        ):
            await box.reached["DELE 2"].wait()
            box.faults.clear()
            await dms.has(2)
            await reports(box, 2)

        messages = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        name = f"127.0.0.1:{box.port} as edi"
        assert (["K1", "K2"], []) == ([one.reference for one in dms.taken], box.uidls)
        assert f"Not fetched from {name}: lost: the server closed the connection. " in " ".join(messages)
        again = "2 mails were fetched again that had been stored before"
        assert 1 == messages.count(f"POP3 127.0.0.1:{box.port} as edi: {again}")

    async def test_a_mail_that_the_server_does_not_delete(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A stored mail that is not deleted is left alone for an hour, while others are fetched."""
        clock = Clock()
        async with (
            Pop3Box(reply("K1"), faults={"DELE 1": b"-ERR locked\r\n"}) as box,
            fetching(box, ledger, router, clock),
        ):
            await reports(box, 3)
            box.mails.append(("u2", reply("K2")))
            await reports(box, 2)
            before = box.commands.count("RETR 1"), box.uidls
            clock.at += timedelta(hours=1)
            await reports(box, 2)
            within = box.commands.count("RETR 1")
            box.faults.clear()
            clock.at += timedelta(hours=1)
            await reports(box, 2)

        messages = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        assert ((1, ["u1"]), 2, 3, []) == (before, within, box.commands.count("RETR 1"), box.uidls)
        assert [f"POP3 127.0.0.1:{box.port} as edi: The mail u1 is stored and was not deleted: locked"] * 2 == messages
        assert [("K1", 1), ("K2", 1)] == [(one.reference, one.copies) for one in ledger.replies.listed()]

    async def test_a_mail_that_never_ends(self, ledger: Ledger, router: Router) -> None:
        """A mail that exceeds its timeout is left alone for an hour, so that it does not block every poll."""
        clock = Clock()
        async with Pop3Box(reply("K1"), faults={"RETR u1": (b"+OK\r\nhalf", "stall")}) as box:
            inbox = Pop3Inbox(
                server=attrs.evolve(account(box), mail_timeout=0.1), poll_interval=timedelta(milliseconds=5)
            )
            async with Agent(ledger=ledger, router=router, inboxes=[inbox], timing=QUICK, clock=clock):
                await reports(box, 2)
                box.mails.append(("u2", reply("K2")))
                await reports(box, 2)
                before = box.commands.count("RETR 1"), box.uidls
                box.faults.clear()
                clock.at += timedelta(hours=1)
                await reports(box, 2)

        assert ((1, ["u1"]), []) == (before, box.uidls)
        assert ["K2", "K1"] == [one.reference for one in ledger.replies.listed()]

    async def test_more_than_one_poll_fetches(self, ledger: Ledger, router: Router) -> None:
        """If a poll does not reach all mails, the next one begins at once, without the usual pause."""
        mails = tuple(reply(f"K{place}") for place in range(1, 22))
        dms = Process()
        async with Pop3Box(*mails, mails_a_session=1) as box:
            inbox = Pop3Inbox(server=account(box), poll_interval=timedelta(days=1))
            async with Agent(
                ledger=ledger, router=router, inboxes=[inbox], deliveries={"DMS": dms}, timing=QUICK, clock=Clock()
            ):
                await dms.has(21)

        assert sorted(f"K{place}" for place in range(1, 22)) == sorted(one.reference for one in dms.taken)

    async def test_a_server_that_deletes_nothing(self, ledger: Ledger, router: Router) -> None:
        """After a poll that could delete nothing the usual pause is kept, or the same mails would come at once."""
        refused = {"QUIT": b"-ERR some deleted messages not removed\r\n"}
        mails = reply("K1"), reply("K2"), reply("K3")
        async with Pop3Box(*mails, mails_a_session=2, faults=refused) as box, Pop3Box() as other:
            rare, often = timedelta(days=1), timedelta(milliseconds=5)
            inboxes = [
                Pop3Inbox(server=account(box), poll_interval=rare),
                Pop3Inbox(server=account(other), poll_interval=often),
            ]
            async with Agent(ledger=ledger, router=router, inboxes=inboxes, timing=QUICK, clock=Clock()):
                await box.reached["QUIT"].wait()
                await reports(other, 20)
        # One session that broke, and one that ended after a mail.
        assert (2, ["u1", "u2", "u3"]) == (box.connections, box.uidls)

    async def test_many_unreadable_mails(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Twenty unreadable mails of a poll are logged one by one, and the rest as a number."""
        faults = {"RETR": b"-ERR broken\r\n"}
        async with Pop3Box(*[STRAY] * 23, faults=faults) as box, fetching(box, ledger, router, Clock()):  # type: ignore[arg-type]
            await reports(box, 2)
        name = f"POP3 127.0.0.1:{box.port} as edi"
        messages = [record.getMessage() for record in caplog.records if record.name == "htpoort.agent"]
        single = [f"{name}: The mail u{number} cannot be read: broken" for number in range(1, 21)]
        assert [*single, f"{name}: left out 3 more warnings like these"] == messages[:21]

    async def test_while_the_disk_fails(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """A mail that cannot be stored stays in the mailbox; the log says what to do, and a later poll stores it."""
        dms = Process()
        with failing_disk():
            async with Pop3Box(reply("K1")) as box:
                async with fetching(box, ledger, router, Clock()):
                    await reports(box, 2)
                kept = box.uidls, list(ledger.replies.listed())
        async with Pop3Box(*box.mails) as box, fetching(box, ledger, router, Clock(), DMS=dms):
            await dms.has(1)
            await reports(box, 1)

        messages = {text.partition(" check")[0] for text in caplog.messages if text.startswith("POP3")}
        assert ((["u1"], []), []) == (kept, box.uidls)
        assert {
            f"POP3: The ledger {ledger.location} cannot be written. The disk is full or reports an error;"
        } == messages

    async def test_a_missing_certificate(
        self, ledger: Ledger, router: Router, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A TLS file that cannot be read is logged as one sentence at each poll, and ends nothing."""
        clock, missing = Clock(), TlsSettings(ca_file=tmp_path / "absent.pem")
        dms = Process()
        async with Pop3Box(reply("K1")) as box:
            closed = Pop3Account(host="127.0.0.1", port=box.port, username="edi", password=PASSWORD, tls=missing)
            inboxes = [
                Pop3Inbox(server=server, poll_interval=timedelta(milliseconds=5)) for server in (closed, account(box))
            ]
            async with Agent(
                ledger=ledger, router=router, inboxes=inboxes, deliveries={"DMS": dms}, timing=QUICK, clock=clock
            ):
                await dms.has(1)
                await reports(box, 3)

        messages = {(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records}
        ((level, message, trace),) = messages
        assert ("ERROR", None) == (level, trace)
        assert message.startswith(f"POP3 127.0.0.1:{box.port} as edi: ca_file cannot be used")

    async def test_an_unexpected_error(self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
        """If the caller's clock raises, the agent logs the traceback and goes on, and the mail is stored later."""
        clock = Clock()
        async with Pop3Box() as box, fetching(box, ledger, router, clock):
            await reports(box, 1)
            clock.fails = 2
            # Not a reply: if the first check of the ledger is late, the agent warns of a reply that waits.
            box.mails.append(("u1", STRAY))
            await reports(box, 3)

        messages = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
        errors = [("POP3: unexpected error", True)] * 2
        assert [*errors, ("In quarantine as 1 (ambiguous-from): There is no From header.", False)] == messages
        assert ([STRAY], []) == ([raw for _, raw in ledger.quarantine.messages()], box.uidls)


async def test_what_was_delivered_is_logged(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """The log has key, system, party and K of each reply that was delivered or not, but never its body."""
    caplog.set_level(logging.INFO, "htpoort.agent")
    ledger.replies.take_in(router, reply("K1").replace(b"x\r\n", b"<Geheim/>\r\n"), mail_from=None, at=now())
    dms = Process(fails=1)
    often = attrs.evolve(QUICK, redelivery_schedule=(timedelta(milliseconds=1),))
    async with Agent(ledger=ledger, router=router, deliveries={"DMS": dms}, timing=often):
        await dms.has(1)

    assert [
        ("WARNING", f"Reply 1 of DMS for {PARTY} under K1 was not delivered: the process is away"),
        ("INFO", f"Reply 1 of DMS for {PARTY} under K1 was delivered"),
    ] == [(record.levelname, record.getMessage()) for record in caplog.records if "delivered" in record.getMessage()]
    assert "Geheim" not in caplog.text
