"""A look of several sessions: it comes further each time, whatever the server ends, breaks or does not name."""

from __future__ import annotations

import pytest
from agents import reply
from pop3_server import PASSWORD, Endless, Pop3Box

from htpoort import Router
from htpoort.agent import Look, fetch_once
from htpoort.ledger import Ledger
from htpoort.transport import FetchFailure, Pop3Server, Security

STRAY = b"Subject: no envelope\r\n\r\nx\r\n"


def account(box: Pop3Box, *, mail_timeout: float = 600) -> Pop3Server:
    """Say how to reach a mailbox on loopback."""
    return Pop3Server(
        host="127.0.0.1",
        port=box.port,
        security=Security.PLAIN,
        username="edi",
        password=PASSWORD,
        mail_timeout=mail_timeout,
    )


def replies(number: int) -> tuple[bytes, ...]:
    """Write replies K1, K2 and so on."""
    return tuple(reply(f"K{place}") for place in range(1, number + 1))


def kept(ledger: Ledger) -> list[tuple[str, int]]:
    """Give the K of each reply in the ledger, and how often it came."""
    return sorted((one.reference, one.copies) for one in ledger.replies.listed())


def codes(look: Look) -> tuple[list[str], list[str]]:
    """Give the codes of what is wrong."""
    return [problem.code for problem in look.problems], [left.problem.code for left in look.left]


class TestServerThatEndsSessions:
    """A server that ends each session after some mails, and deletes none of them then, is emptied all the same."""

    async def test_after_twenty_mails(self, ledger: Ledger, router: Router) -> None:
        """Sixty mails come, though no session gets more than twenty: the next one ends after ten, and so on."""
        async with Pop3Box(*replies(60), mails_a_session=20) as box:
            look = await fetch_once(ledger, router, account(box))

        assert ([], None, 0) == (box.uidls, look.error, look.more)
        assert sorted((f"K{place}", 1) for place in range(1, 61)) == kept(ledger)
        assert tuple(f"u{place}" for place in range(1, 61)) == look.deleted
        assert tuple(f"u{place}" for place in range(1, 21)) == look.seen_again
        # One that broke, and six that ended.
        assert (7, (["pop3.session-ends"], [])) == (box.connections, codes(look))
        assert look.problems[0].message.endswith("A session ends after 10 mails from now on.")

    @pytest.mark.parametrize("most", [1, 2, 3])
    async def test_after_very_few(self, ledger: Ledger, router: Router, most: int) -> None:
        """Where a session gets three, two or one, each of the next brings one."""
        async with Pop3Box(*replies(7), mails_a_session=most) as box:
            look = await fetch_once(ledger, router, account(box))

        assert ([], None, 8) == (box.uidls, look.error, box.connections)
        assert [(f"K{place}", 1) for place in range(1, 8)] == kept(ledger)

    async def test_a_look_has_an_end(self, ledger: Ledger, router: Router) -> None:
        """A look has twenty sessions at most, and says how many mails it did not come to; the next one goes on."""
        async with Pop3Box(*replies(25), mails_a_session=1) as box:
            look = await fetch_once(ledger, router, account(box))
            first = look.more, box.uidls, box.connections
            look = await fetch_once(ledger, router, account(box))

        assert (6, ["u20", "u21", "u22", "u23", "u24", "u25"], 20) == first
        assert (0, [], None) == (look.more, box.uidls, look.error)

    async def test_a_quit_that_is_never_answered(self, ledger: Ledger, router: Router) -> None:
        """Fewer mails do not help where QUIT itself breaks each session: the look ends, with all of it stored."""
        async with Pop3Box(*replies(5), faults={"DELE": b"+OK\r\n", "QUIT": "drop"}) as box:
            box.mails += [("u6", reply("K6"))]
            look = await fetch_once(ledger, router, account(box))

        assert look.error is not None
        assert (FetchFailure.LOST, ()) == (look.error.kind, look.deleted)
        assert [(f"K{place}", 1) for place in range(1, 7)] == kept(ledger)


class TestMailThatBreaksSessions:
    """A mail at which sessions break stops no other, before it or behind it, and is told from a server's limit."""

    @pytest.mark.parametrize("command", ["RETR", "DELE"])
    @pytest.mark.parametrize("places", [(1,), (2,), (16,), (2, 4, 7), (1, 2, 3), (20,)])
    async def test_by_its_uidl(self, ledger: Ledger, router: Router, command: str, places: tuple[int, ...]) -> None:
        """All others are stored and deleted; those that break it stay, one that is stored already too."""
        bad = [f"u{place}" for place in places]
        async with Pop3Box(*replies(20), faults={f"{command} {uidl}": "drop" for uidl in bad}) as box:
            look = await fetch_once(ledger, router, account(box))

        assert (bad, bad) == (box.uidls, [left.uidl for left in look.left])
        assert (bad[0], {"pop3.breaks"}) == (look.error and look.error.uidl, set(codes(look)[1]))
        expected = {f"K{place}" for place in range(1, 21) if command == "DELE" or place not in places}
        assert sorted((key, 1) for key in expected) == kept(ledger)

    async def test_by_its_number(self, ledger: Ledger, router: Router) -> None:
        """One without a usable UIDL is gone around too, whatever number it has after the sessions in between."""
        mails = [(f"u{place}", reply(f"K{place}")) for place in range(1, 7)]
        mails[1:1], mails[4:4] = [("a b", reply("K7"))], [("", reply("K8"))]
        faults = {"RETR a b": "drop", "RETR ": "drop"}
        async with Pop3Box(*mails, faults={**faults}) as box:
            look = await fetch_once(ledger, router, account(box))

        assert ["a b", ""] == box.uidls
        assert [(f"K{place}", 1) for place in range(1, 7)] == kept(ledger)
        assert ["pop3.breaks", "pop3.breaks"] == codes(look)[1]

    @pytest.mark.parametrize("place", [1, 2, 5])
    async def test_one_that_never_ends(self, ledger: Ledger, router: Router, place: int) -> None:
        """A mail that takes more than its time stays, with the setting named; all others come."""
        async with Pop3Box(*replies(5), faults={f"RETR u{place}": (b"+OK\r\nhalf", "stall")}) as box:
            look = await fetch_once(ledger, router, account(box, mail_timeout=1))

        assert ([f"u{place}"], ["pop3.endless"]) == (box.uidls, codes(look)[1])
        why = "the server took more than 1 seconds; see mail_timeout"
        assert f"The mail u{place} does not fit into a session, and stays: {why}" == look.left[0].problem.message
        assert [(f"K{other}", 1) for other in range(1, 6) if other != place] == kept(ledger)

    async def test_one_of_endless_octets(self, ledger: Ledger, router: Router) -> None:
        """So does one that has no end."""
        endless = (b"+OK\r\n", Endless(b"x" * 1_000_000 + b"\r\n"))
        async with Pop3Box(*replies(3), faults={"RETR u2": endless}) as box:
            look = await fetch_once(ledger, router, account(box))

        assert (["u2"], ["pop3.endless"]) == (box.uidls, codes(look)[1])
        assert [("K1", 1), ("K3", 1)] == kept(ledger)


class TestNoUsableUidl:
    """A mail without a usable UIDL is known by its octets, so that it comes, is recognised, and leaves."""

    async def test_a_blank_in_it(self, ledger: Ledger, router: Router) -> None:
        """``1 a b`` is stored and deleted like ``2 u2``."""
        async with Pop3Box(("a b", reply("K1")), ("u2", reply("K2"))) as box:
            look = await fetch_once(ledger, router, account(box))

        assert ([], [("K1", 1), ("K2", 1)], None) == (box.uidls, kept(ledger), look.error)
        assert frozenset() == ledger.fetched.known(look.account)

    async def test_seen_again(self, ledger: Ledger, router: Router) -> None:
        """After a session that broke the same octets are one mail that was fetched twice, and no copy."""
        mails = (("", reply("K1")), ("", STRAY))
        async with Pop3Box(*mails, faults={"DELE": b"-ERR locked\r\n"}) as box:
            await fetch_once(ledger, router, account(box))
            kept_back = await fetch_once(ledger, router, account(box))
            box.faults.clear()
            look = await fetch_once(ledger, router, account(box))

        assert (2, 2, []) == (len(kept_back.seen_again), len(look.seen_again), box.uidls)
        assert [1, 1] == [one.copies for one in (*ledger.replies.listed(), *ledger.quarantine.listed())]
        assert frozenset() == ledger.fetched.known(look.account)

    async def test_a_copy(self, ledger: Ledger, router: Router) -> None:
        """What comes after the mailbox was emptied of it is a copy, as with a UIDL."""
        async with Pop3Box(("", reply("K1"))) as box:
            await fetch_once(ledger, router, account(box))
            box.mails.append(("", reply("K1")))
            look = await fetch_once(ledger, router, account(box))

        assert ([("K1", 2)], (), []) == (kept(ledger), look.seen_again, box.uidls)

    async def test_twice_in_one_mailbox(self, ledger: Ledger, router: Router) -> None:
        """Mails of the same octets that are there together cannot be told apart: stored once, both deleted."""
        async with Pop3Box(("", reply("K1")), ("", reply("K1"))) as box:
            await fetch_once(ledger, router, account(box))

        assert ([("K1", 1)], []) == (kept(ledger), box.uidls)

    async def test_another_reply_under_the_same_k(self, ledger: Ledger, router: Router) -> None:
        """Other octets are another mail, and no reply is taken for one that was fetched before."""
        second = reply("K1") + b"<Second/>\r\n"
        async with Pop3Box(("", reply("K1")), ("", second)) as box:
            await fetch_once(ledger, router, account(box))

        assert ([("K1", 1), ("K1", 1)], []) == (kept(ledger), box.uidls)
