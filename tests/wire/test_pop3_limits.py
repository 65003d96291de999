"""POP3 servers that send what they should not: nothing depends on it, and all of it has a limit."""

from __future__ import annotations

import ssl
import tracemalloc
from types import SimpleNamespace

import pytest
from pop3_client import ONE, THREE, TWO, Shelf, failure, got, mailbox, outcome
from pop3_server import Endless, Fault, Pop3Box

from htpoort.transport import FetchError, FetchFailure, Security, TlsSettings

# As printed by sha256sum.
KEY_ONE = "sha256 780d19416bc1780f564995b10ca2ab3d34952d4346c937e3b6c551d3c57aec3b"
KEY_TWO = "sha256 879d70c476731e67eacbd127bee98b9330c1ac181037290eb4ada24c36a0fef7"
KEY_THREE = "sha256 2942a25491c5e0a36b454994a58a4b9abd23ecb9ffbd5cdbed556b5a63249ba8"


class TestUidl:
    """A mail without a usable UIDL is fetched by its number and identified by its content."""

    @pytest.mark.parametrize("uidl", ["a b", "", " ", "x" * 256, "x" * 5_000, "\u00e9", "\x01", "a\nb"])
    async def test_one_that_cannot_be_used(self, uidl: str) -> None:
        """Blank, empty, over-long or unprintable: the mail is stored and deleted like the others, and reported."""
        async with Pop3Box(("u1", ONE), (uidl, TWO), ("u3", THREE)) as box:
            done, shelf = await got(box)
        assert ([("u1", ONE), (KEY_TWO, TWO), ("u3", THREE)], []) == (shelf.mails, box.uidls)
        assert (("u1", KEY_TWO, "u3"), frozenset({"u1", KEY_TWO, "u3"})) == (done.deleted, done.gone)
        assert ["pop3.listing"] == [problem.code for problem in done.problems]

    @pytest.mark.parametrize("line", [b"2\r\n", b"2 \r\n", b"two u2\r\n", b"-2 u2\r\n", b"9" * 5_000 + b" u2\r\n", b""])
    async def test_a_line_that_is_none(self, line: bytes) -> None:
        """A line without a number, or a missing line, leaves its mail to LIST, which has its number too."""
        listing = b"+OK\r\n1 u1\r\n" + line + b"3 u3\r\n.\r\n"
        async with Pop3Box(ONE, TWO, THREE, faults={"UIDL": listing}) as box:
            done, shelf = await got(box)
        assert ([("u1", ONE), (KEY_TWO, TWO), ("u3", THREE)], []) == (shelf.mails, box.uidls)
        assert ([] if not line else ["pop3.listing"]) == [problem.code for problem in done.problems]

    async def test_a_server_without_it(self) -> None:
        """UIDL is optional in RFC 1939; without it every mail is identified by its content."""
        async with Pop3Box(ONE, TWO, faults={"UIDL": b"-ERR unknown command\r\n"}) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, known=frozenset({"u9"}))
        assert ([(KEY_ONE, ONE), (KEY_TWO, TWO)], []) == (shelf.mails, box.uidls)
        # Whether mails known by their UIDL are still there cannot be seen.
        assert (frozenset({KEY_ONE, KEY_TWO}), ()) == (done.gone, done.problems)

    async def test_many_lines_that_are_none(self) -> None:
        """Ten such lines are reported one by one, and the number of the others."""
        async with Pop3Box(*(("", ONE) for _ in range(13))) as box:
            done, _ = await got(box)
        assert ([], 11) == (box.uidls, len(done.problems))
        assert (
            "The server lists b'1 ', which is not a number and a UIDL; that mail is fetched by number.",
            "The server lists 3 more lines that are not a number and a UIDL.",
        ) == (done.problems[0].message, done.problems[-1].message)

    async def test_a_number_twice(self) -> None:
        """A number that is listed twice is one mail."""
        async with Pop3Box(ONE, faults={"UIDL": b"+OK\r\n1 a\r\n1 b\r\n.\r\n"}) as box:
            _, shelf = await got(box)
        assert ([("a", ONE)], ["RETR 1"]) == (shelf.mails, [one for one in box.commands if one.startswith("RETR")])

    async def test_after_a_session_that_broke(self) -> None:
        """The same octets have the same name again; they stay known until they have left the mailbox."""
        async with Pop3Box(("", ONE), ("", TWO), faults={"DELE 2": "drop"}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(shelf)
            box.faults = {"DELE 2": b"-ERR locked\r\n"}
            again = await mailbox(box.port).fetch(shelf, known=shelf.uidls)
        assert (None, 2, 1) == (caught.value.uidl, caught.value.number, caught.value.done)
        assert [(KEY_ONE, ONE), (KEY_TWO, TWO)] * 2 == shelf.mails
        assert ((KEY_ONE,), frozenset({KEY_ONE})) == (again.deleted, again.gone)
        assert [("", 2, "The mail number 2 is stored and was not deleted: locked")] == [
            (left.uidl, left.number, left.problem.message) for left in again.left
        ]

    async def test_what_is_known_by_its_content_and_was_not_fetched(self) -> None:
        """Such a mail may be the one that could not be read, so it stays known; otherwise it is gone."""
        known = frozenset({KEY_THREE})
        async with Pop3Box(("", ONE), faults={"RETR 1": b"-ERR broken\r\n"}) as box:
            unread = await mailbox(box.port).fetch(Shelf(), known=known)
            box.faults.clear()
            read = await mailbox(box.port).fetch(Shelf(), known=known)
        assert (frozenset(), frozenset({KEY_ONE, KEY_THREE})) == (unread.gone, read.gone)

    async def test_mails_to_go_around(self) -> None:
        """A mail without a UIDL is skipped by its number, which is lower if mails before it were deleted."""
        mails = (("u1", ONE), ("", TWO), ("", THREE), ("", ONE))
        async with Pop3Box(*mails, faults={"RETR 3": b"-ERR broken\r\n"}) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, skip_numbers=frozenset({2}))
            box.faults.clear()
            again = await mailbox(box.port).fetch(shelf, skip_numbers=done.staying)
        assert ([("u1", ONE), (KEY_ONE, ONE)], [TWO, THREE]) == (shelf.mails, [raw for _, raw in box.mails])
        assert (frozenset({1, 2}), frozenset({1, 2})) == (done.staying, again.staying)


class TestMost:
    """A session can be ended after a number of mails, so that those are deleted."""

    async def test_the_rest_waits(self) -> None:
        """QUIT follows after *most* mails; the next session finds the others, and none of them is forgotten."""
        async with Pop3Box(ONE, TWO, THREE) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, known=frozenset({"u3", "u9"}), limit=2)
            assert (("u1", "u2"), 1, ["u3"]) == (done.deleted, done.more, box.uidls)
            again = await mailbox(box.port).fetch(shelf, limit=2)
        assert (frozenset({"u1", "u2", "u9"}), ("u3",), 0, []) == (done.gone, again.deleted, again.more, box.uidls)

    async def test_a_mail_that_cannot_be_read_does_not_count(self) -> None:
        """A mail that is not stored does not count towards *most*."""
        async with Pop3Box(ONE, TWO, THREE, faults={"RETR 1": b"-ERR broken\r\n"}) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, limit=1)
        assert ([("u2", TWO)], 1, ["u1", "u3"]) == (shelf.mails, done.more, box.uidls)

    @pytest.mark.parametrize(
        ("command", "done", "number"), [("RETR u3", 2, 3), ("DELE u3", 2, 3), ("DELE u1", 0, 1), ("QUIT", 3, None)]
    )
    async def test_where_it_broke(self, command: str, done: int, number: int | None) -> None:
        """The error counts the mails that were completed, so that the next session can end before that."""
        async with Pop3Box(ONE, TWO, THREE, faults={command: "drop"}) as box:
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(Shelf())
        error = caught.value
        assert (done, number, None if number is None else f"u{number}") == (error.done, error.number, error.uidl)

    async def test_more_mails_than_a_session_handles(self) -> None:
        """A session keeps the first 100,000 lines of a listing; the rest waits for another session."""
        uidls = b"".join(b"%d u%d\r\n" % (number, number) for number in range(1, 100_003))
        sizes = b"".join(b"%d 9\r\n" % number for number in range(1, 100_003))
        faults: dict[str, Fault] = {"UIDL": b"+OK\r\n" + uidls + b".\r\n", "LIST": b"+OK\r\n" + sizes + b".\r\n"}
        async with Pop3Box(ONE, faults=faults) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, known=frozenset({"u100002"}), limit=1)
        assert ([("u1", ONE)], 99_999, frozenset({"u1"})) == (shelf.mails, done.more, done.gone)


class TestOutOfStep:
    """Unexpected octets are never read as the answer to the next command."""

    @pytest.mark.parametrize(
        ("place", "answer", "kind"),
        [
            ("greeting", b"+OK\r\n+OK\r\n", FetchFailure.LOST),
            ("USER", b"+OK\r\n+OK\r\n", FetchFailure.LOST),
            ("PASS", b"+OK\r\n-ERR timed out\r\n", FetchFailure.LOST),
            ("UIDL", b"+OK\r\n1 u1\r\n.\r\n.\r\n", FetchFailure.LOST),
            ("LIST", b"+OK\r\n.\r\n1 9\r\n.\r\n", FetchFailure.LOST),
            ("RETR", b"+OK\r\nSubject: x\r\n\r\nhalf\r\n.\r\nof it\r\n.\r\n", FetchFailure.LOST),
        ],
    )
    async def test_before_a_mail_is_stored(self, place: str, answer: bytes, kind: FetchFailure) -> None:
        """The session fails; above all, a mail in which a dot was not doubled is not stored, because it is half."""
        async with Pop3Box(ONE, TWO, faults={place: answer}) as box:
            error = await failure(box)
            await box.left.wait()
        assert (kind, True, ["u1", "u2"]) == (error.kind, error.retryable, box.uidls)
        assert "the server sent this without being asked: " in error.reply
        assert "QUIT" not in box.commands

    async def test_behind_a_deletion(self) -> None:
        """A second answer to DELE does not answer QUIT: no QUIT is sent, and the mail is fetched again."""
        async with Pop3Box(ONE, faults={"DELE": b"+OK\r\n+OK\r\n"}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(shelf)
            await box.left.wait()
        assert (FetchFailure.LOST, "the server sent this without being asked: +OK") == outcome(caught.value)[:2]
        assert ([("u1", ONE)], ["u1"], "DELE 1") == (shelf.mails, box.uidls, box.commands[-1])

    async def test_behind_quit(self) -> None:
        """Of two answers to QUIT one may belong elsewhere: nothing is forgotten, and a later session decides."""
        async with Pop3Box(ONE, faults={"QUIT": b"+OK\r\n-ERR not deleted\r\n"}) as box:
            done, _ = await got(box)
        assert (("u1",), (), frozenset()) == (done.fetched, done.deleted, done.gone)
        assert ["pop3.quit"] == [problem.code for problem in done.problems]

    @pytest.mark.parametrize("implicit", [True, False])
    async def test_over_tls(self, authority: SimpleNamespace, foreign_tls: ssl.SSLContext, *, implicit: bool) -> None:
        """The same applies under TLS; and if nothing unexpected arrives, the session continues."""
        faults: dict[str, Fault] = {"STLS": ("go on", "tls"), "DELE": b"+OK\r\n+OK\r\n"}
        security = Security.IMPLICIT if implicit else Security.STARTTLS
        async with Pop3Box(ONE, tls=foreign_tls, implicit=implicit, faults=faults) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port, security=security, tls=TlsSettings(ca_file=authority.ca)).fetch(shelf)
            await box.left.wait()
        assert (FetchFailure.LOST, [("u1", ONE)], ["u1"]) == (caught.value.kind, shelf.mails, box.uidls)
        assert "DELE 1" == box.commands[-1]


class TestEndless:
    """Each list, each mail and the whole session have a limit of octets or seconds, not only each wait."""

    @pytest.mark.parametrize("command", ["UIDL", "LIST"])
    @pytest.mark.parametrize("lines", [b"1 u1\r\n" * 1_000, b"1 " + b"x" * 60_000, b"1\n" * 1_000])
    async def test_a_list(self, command: str, lines: bytes) -> None:
        """A list beyond *listing_limit* ends the session, and the error names the setting."""
        async with Pop3Box(ONE, faults={command: (b"+OK\r\n", Endless(lines))}) as box:
            error = await failure(box, listing_limit=100_000)
        why = f"{command}: the server sent a list longer than listing_limit"
        assert (FetchFailure.LIMIT, why, True) == outcome(error)

    async def test_the_usual_limit_of_a_list(self) -> None:
        """By default 16 MiB are read, in memory that does not grow with them."""
        async with Pop3Box(ONE, faults={"UIDL": (b"+OK\r\n", Endless((b"1 " + b"u" * 1_000 + b"\r\n") * 60))}) as box:
            tracemalloc.start()
            try:
                error = await failure(box)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert (FetchFailure.LIMIT, True) == (error.kind, peak < 4_000_000)
        assert 16_777_216 == mailbox(110).server.listing_limit

    async def test_the_limit_of_a_list_itself(self) -> None:
        """A list of exactly the limit is read."""
        async with Pop3Box(ONE, TWO, sizes={"u1": 9, "u2": 9}) as box:
            _, shelf = await got(box, listing_limit=len(b"1 u1\r\n2 u2\r\n"))
        assert [("u1", ONE), ("u2", TWO)] == shelf.mails

    async def test_the_capabilities(self) -> None:
        """The capabilities before TLS have their own limit: at that moment anyone may be the server."""
        async with Pop3Box(faults={"CAPA": (b"+OK\r\n", Endless(b"TOP\r\n" * 1_000))}) as box:
            error = await failure(box, security=Security.STARTTLS)
        assert FetchFailure.LIMIT is error.kind

    async def test_a_mail_of_endless_octets(self) -> None:
        """A mail that does not end within 16 MiB after its limit ends the session, and the error names the mail."""
        async with Pop3Box(ONE, faults={"RETR": (b"+OK\r\n", Endless(b"x" * 65_536))}) as box:
            error = await failure(box, largest=10_000)
        why = "the server sent more than 16787216 octets of one mail"
        assert (FetchFailure.LIMIT, why, True) == outcome(error)
        assert ("u1", 1) == (error.uidl, error.number)

    async def test_headers_of_many(self) -> None:
        """The headers of mails that are too large share a limit; the 66th of 64,000 octets exceeds it."""
        mail = b"X-Filler: " + b"x" * 63_986 + b"\r\n\r\n<MetaData/>\r\n"
        sizes = {f"u{number}": 10_001 for number in range(1, 69)}
        async with Pop3Box(*[mail] * 68, sizes=sizes) as box:
            done, shelf = await got(box, largest=10_000)
        kept = [0 if left.headers is None else len(left.headers) for left in done.left]
        assert ([], [64_000] * 66 + [0, 0]) == (shelf.mails, kept)
        assert {"pop3.too-large"} == {left.problem.code for left in done.left}
        assert 66 == sum(command.startswith("TOP") for command in box.commands)

    @pytest.mark.parametrize("fault", [(b"+OK\r\nhalf", "stall"), ("stall",)])
    async def test_a_mail_of_endless_time(self, fault: Fault) -> None:
        """A mail has *mail_timeout* in total, whatever each wait may take."""
        async with Pop3Box(ONE, faults={"RETR": fault}) as box:
            error = await failure(box, timeout=3_600, mail_timeout=0.1)
        why = "the server took more than 0.1 seconds (mail_timeout)"
        assert (FetchFailure.LIMIT, why, True) == outcome(error)
        assert ("u1", 1) == (error.uidl, error.number)

    @pytest.mark.parametrize("place", ["greeting", "PASS", "UIDL", "RETR"])
    async def test_a_session_of_endless_time(self, place: str) -> None:
        """A session has *session_timeout* for all its waits for the server, from the greeting on."""
        async with Pop3Box(ONE, faults={place: "stall"}) as box:
            error = await failure(box, timeout=3_600, mail_timeout=3_600, session_timeout=0.5)
        assert FetchFailure.LIMIT is error.kind
        assert error.reply.endswith("the server took more than 0.5 seconds (session_timeout)")

    async def test_a_handshake_of_endless_time(self) -> None:
        """The handshake counts too."""
        async with Pop3Box(faults={"greeting": "stall"}) as box:
            error = await failure(box, security=Security.IMPLICIT, timeout=3_600, session_timeout=0.1)
        assert FetchFailure.LIMIT is error.kind

    def test_the_usual_times(self) -> None:
        """By default: ten minutes for a mail, an hour for a session."""
        server = mailbox(110).server
        assert (600, 3_600) == (server.mail_timeout, server.session_timeout)


class TestNumbers:
    """A number that a server sends is read by its digits, and never by so many that int() refuses them."""

    @pytest.mark.parametrize("digits", [9, 10, 18, 19, 4_300, 4_301, 5_000, 100_000])
    async def test_a_size(self, digits: int) -> None:
        """A size of too many digits counts as unknown; the mail is fetched."""
        listing = b"+OK\r\n1 " + b"0" * (digits - 1) + b"9\r\n.\r\n"
        async with Pop3Box(ONE, faults={"LIST": listing}) as box:
            _, shelf = await got(box)
        assert ([("u1", ONE)], []) == (shelf.mails, box.uidls)

    @pytest.mark.parametrize("digits", [10, 4_301, 5_000, 100_000])
    @pytest.mark.parametrize("command", ["UIDL", "LIST"])
    async def test_a_number(self, command: str, digits: int) -> None:
        """A line whose number has too many digits does not hold up other mails."""
        listing = b"+OK\r\n1 u1\r\n" + b"1" * digits + b" 9\r\n.\r\n"
        async with Pop3Box(ONE, faults={command: listing}) as box:
            _, shelf = await got(box)
        assert ([("u1", ONE)], []) == (shelf.mails, box.uidls)
