"""A poll of several sessions gets further each time, although the server ends or breaks sessions or lacks UIDLs."""

from __future__ import annotations

import pytest
from agents import reply
from pop3_server import PASSWORD, Endless, Pop3Box

from htpoort import Router
from htpoort.agent import FetchReport, fetch_once
from htpoort.ledger import Ledger
from htpoort.transport import FetchFailure, Pop3Account, Security

STRAY = b"Subject: no envelope\r\n\r\nx\r\n"


def account(box: Pop3Box, *, mail_timeout: float = 600) -> Pop3Account:
    """Describe a mailbox on loopback."""
    return Pop3Account(
        host="127.0.0.1",
        port=box.port,
        security=Security.PLAIN,
        username="edi",
        password=PASSWORD,
        mail_timeout=mail_timeout,
    )


def replies(number: int) -> tuple[bytes, ...]:
    """Write replies under K1, K2 and so on."""
    return tuple(reply(f"K{place}") for place in range(1, number + 1))


def kept(ledger: Ledger) -> list[tuple[str, int]]:
    """Return the K of each reply in the ledger, and how often it came."""
    return sorted((one.reference, one.copies) for one in ledger.replies.listed())


def codes(report: FetchReport) -> tuple[list[str], list[str]]:
    """Return the codes of the problems."""
    return [problem.code for problem in report.problems], [left.problem.code for left in report.left]


class TestServerThatEndsSessions:
    """A mailbox is emptied even if its server ends each session after some mails and then deletes none."""

    async def test_after_twenty_mails(self, ledger: Ledger, router: Router) -> None:
        """Sixty mails are fetched although no session gets more than twenty: the next one ends after ten, and so on."""
        async with Pop3Box(*replies(60), mails_a_session=20) as box:
            report = await fetch_once(ledger, router, account(box))

        assert ([], None, 0) == (box.uidls, report.error, report.more)
        assert sorted((f"K{place}", 1) for place in range(1, 61)) == kept(ledger)
        assert tuple(f"u{place}" for place in range(1, 61)) == report.deleted
        assert tuple(f"u{place}" for place in range(1, 21)) == report.seen_again
        # One session that broke, and six that ended.
        assert (7, (["pop3.session-ends"], [])) == (box.connections, codes(report))
        assert report.problems[0].message.endswith("A session ends after 10 mails from now on.")

    @pytest.mark.parametrize("most", [1, 2, 3])
    async def test_after_very_few(self, ledger: Ledger, router: Router, most: int) -> None:
        """If a session gets three, two or one mails, each later session fetches one."""
        async with Pop3Box(*replies(7), mails_a_session=most) as box:
            report = await fetch_once(ledger, router, account(box))

        assert ([], None, 8) == (box.uidls, report.error, box.connections)
        assert [(f"K{place}", 1) for place in range(1, 8)] == kept(ledger)

    async def test_a_poll_is_limited(self, ledger: Ledger, router: Router) -> None:
        """A poll has at most twenty sessions and reports how many mails it did not reach; the next one goes on."""
        async with Pop3Box(*replies(25), mails_a_session=1) as box:
            report = await fetch_once(ledger, router, account(box))
            first = report.more, box.uidls, box.connections
            report = await fetch_once(ledger, router, account(box))

        assert (6, ["u20", "u21", "u22", "u23", "u24", "u25"], 20) == first
        assert (0, [], None) == (report.more, box.uidls, report.error)

    async def test_a_quit_that_is_never_answered(self, ledger: Ledger, router: Router) -> None:
        """If QUIT itself breaks each session, fewer mails do not help: the poll ends, with all mails stored."""
        async with Pop3Box(*replies(5), faults={"DELE": b"+OK\r\n", "QUIT": "drop"}) as box:
            box.mails += [("u6", reply("K6"))]
            report = await fetch_once(ledger, router, account(box))

        assert report.error is not None
        assert (FetchFailure.LOST, ()) == (report.error.kind, report.deleted)
        assert [(f"K{place}", 1) for place in range(1, 7)] == kept(ledger)


class TestMailThatBreaksSessions:
    """A mail that breaks sessions stops no other mail, and is distinguished from a limit of the server."""

    @pytest.mark.parametrize("command", ["RETR", "DELE"])
    @pytest.mark.parametrize("places", [(1,), (2,), (16,), (2, 4, 7), (1, 2, 3), (20,)])
    async def test_by_its_uidl(self, ledger: Ledger, router: Router, command: str, places: tuple[int, ...]) -> None:
        """All others are stored and deleted; those that break sessions stay, also one that is already stored."""
        bad = [f"u{place}" for place in places]
        async with Pop3Box(*replies(20), faults={f"{command} {uidl}": "drop" for uidl in bad}) as box:
            report = await fetch_once(ledger, router, account(box))

        assert (bad, bad) == (box.uidls, [left.uidl for left in report.left])
        assert (bad[0], {"pop3.breaks"}) == (report.error and report.error.uidl, set(codes(report)[1]))
        expected = {f"K{place}" for place in range(1, 21) if command == "DELE" or place not in places}
        assert sorted((key, 1) for key in expected) == kept(ledger)

    async def test_by_its_number(self, ledger: Ledger, router: Router) -> None:
        """A mail without a usable UIDL is skipped too, whatever number it has in later sessions."""
        mails = [(f"u{place}", reply(f"K{place}")) for place in range(1, 7)]
        mails[1:1], mails[4:4] = [("a b", reply("K7"))], [("", reply("K8"))]
        faults = {"RETR a b": "drop", "RETR ": "drop"}
        async with Pop3Box(*mails, faults={**faults}) as box:
            report = await fetch_once(ledger, router, account(box))

        assert ["a b", ""] == box.uidls
        assert [(f"K{place}", 1) for place in range(1, 7)] == kept(ledger)
        assert ["pop3.breaks", "pop3.breaks"] == codes(report)[1]

    @pytest.mark.parametrize("place", [1, 2, 5])
    async def test_one_that_never_ends(self, ledger: Ledger, router: Router, place: int) -> None:
        """A mail that exceeds its timeout stays, and the setting is named; all others are fetched."""
        async with Pop3Box(*replies(5), faults={f"RETR u{place}": (b"+OK\r\nhalf", "stall")}) as box:
            report = await fetch_once(ledger, router, account(box, mail_timeout=1))

        assert ([f"u{place}"], ["pop3.endless"]) == (box.uidls, codes(report)[1])
        why = "is left there: the server took more than 1 seconds (mail_timeout)"
        assert f"The mail u{place} exceeds the limits of a session and {why}" == report.left[0].problem.message
        assert [(f"K{other}", 1) for other in range(1, 6) if other != place] == kept(ledger)

    async def test_one_of_endless_octets(self, ledger: Ledger, router: Router) -> None:
        """A mail that never ends stays too."""
        endless = (b"+OK\r\n", Endless(b"x" * 1_000_000 + b"\r\n"))
        async with Pop3Box(*replies(3), faults={"RETR u2": endless}) as box:
            report = await fetch_once(ledger, router, account(box))

        assert (["u2"], ["pop3.endless"]) == (box.uidls, codes(report)[1])
        assert [("K1", 1), ("K3", 1)] == kept(ledger)


class TestNoUsableUidl:
    """A mail without a usable UIDL is identified by its octets, so it is stored once, recognised and deleted."""

    async def test_a_blank_in_it(self, ledger: Ledger, router: Router) -> None:
        """A mail listed as ``1 a b`` is stored and deleted like one listed as ``2 u2``."""
        async with Pop3Box(("a b", reply("K1")), ("u2", reply("K2"))) as box:
            report = await fetch_once(ledger, router, account(box))

        assert ([], [("K1", 1), ("K2", 1)], None) == (box.uidls, kept(ledger), report.error)
        assert frozenset() == ledger.fetched.known(report.account)

    async def test_seen_again(self, ledger: Ledger, router: Router) -> None:
        """After a session that broke, the same octets are one mail that was fetched twice, not a copy."""
        mails = (("", reply("K1")), ("", STRAY))
        async with Pop3Box(*mails, faults={"DELE": b"-ERR locked\r\n"}) as box:
            await fetch_once(ledger, router, account(box))
            kept_back = await fetch_once(ledger, router, account(box))
            box.faults.clear()
            report = await fetch_once(ledger, router, account(box))

        assert (2, 2, []) == (len(kept_back.seen_again), len(report.seen_again), box.uidls)
        assert [1, 1] == [one.copies for one in (*ledger.replies.listed(), *ledger.quarantine.listed())]
        assert frozenset() == ledger.fetched.known(report.account)

    async def test_a_copy(self, ledger: Ledger, router: Router) -> None:
        """The same octets after the mail was deleted are a copy, as with a UIDL."""
        async with Pop3Box(("", reply("K1"))) as box:
            await fetch_once(ledger, router, account(box))
            box.mails.append(("", reply("K1")))
            report = await fetch_once(ledger, router, account(box))

        assert ([("K1", 2)], (), []) == (kept(ledger), report.seen_again, box.uidls)

    async def test_twice_in_one_mailbox(self, ledger: Ledger, router: Router) -> None:
        """Mails with the same octets in one mailbox cannot be distinguished: they are stored once, and both deleted."""
        async with Pop3Box(("", reply("K1")), ("", reply("K1"))) as box:
            await fetch_once(ledger, router, account(box))

        assert ([("K1", 1)], []) == (kept(ledger), box.uidls)

    async def test_another_reply_under_the_same_k(self, ledger: Ledger, router: Router) -> None:
        """Other octets are another mail, and no reply is mistaken for one that was fetched before."""
        second = reply("K1") + b"<Second/>\r\n"
        async with Pop3Box(("", reply("K1")), ("", second)) as box:
            await fetch_once(ledger, router, account(box))

        assert ([("K1", 1), ("K1", 1)], []) == (kept(ledger), box.uidls)
