"""Fetching from POP3 servers: mails are stored first and deleted afterwards, and no failure loses one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import poplib
import socket
import ssl
import sys
import traceback
import tracemalloc
from collections.abc import AsyncGenerator, Generator
from types import SimpleNamespace
from typing import Any

import pytest
from pop3_client import ONE, THREE, TWO, Shelf, failure, got, mailbox, outcome
from pop3_server import PASSWORD, TWISTED, Fault, Pop3Box
from strategies import copies

from htpoort import HtpoortError, InputError
from htpoort.transport import FetchError, FetchFailure, Pop3Account, Security, SessionReport, TlsSettings


def foreign(file: str) -> ssl.SSLContext:
    """Make a server's context that does not use our policy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


CANARY = "kanarie-Geheim+1"
# The password in capitals, with a blank, cut, in base64 alone and as in SASL PLAIN, and as in a URL.
FORMS = (
    "kanarie-Geheim+1",
    "KANARIE-GEHEIM+1",
    "kanarie- Geheim+1",
    "kanarie-Geh",
    "a2FuYXJpZS1HZWhlaW0rMQ==",
    "AGVkaQBrYW5hcmllLUdlaGVpbSsx",
    "kanarie-Geheim%2B1",
)


class TestPop3Account:
    """The account to fetch from: named, safe by default, complete."""

    @staticmethod
    def account(**settings: Any) -> Pop3Account:
        """Make an account of the usual values and some others."""
        usual = {"host": "pop.forwarder.example", "username": "edi", "password": "geheim"}
        return Pop3Account(**{**usual, **settings})

    @pytest.mark.parametrize(
        ("settings", "account"),
        [
            ({}, "edi@pop.forwarder.example:995"),
            ({"security": Security.IMPLICIT}, "edi@pop.forwarder.example:995"),
            ({"security": Security.STARTTLS}, "edi@pop.forwarder.example:110"),
            ({"security": Security.PLAIN, "host": "localhost"}, "edi@localhost:110"),
            ({"port": 1995, "username": "edi@forwarder.example"}, "edi@forwarder.example@pop.forwarder.example:1995"),
        ],
    )
    def test_the_account(self, settings: dict[str, Any], account: str) -> None:
        """Implicit TLS is the default, each kind of security has its port, and the account name contains all of it."""
        assert account == self.account(**settings).ledger_name

    def test_how_it_is_shown(self) -> None:
        """For people the account is a place and a login, because a user name may contain an @."""
        server = self.account(username="edi@forwarder.example")
        assert "pop.forwarder.example:995 as edi@forwarder.example" == server.label

    def test_the_password_is_not_shown(self) -> None:
        """The repr contains the user name but not the password."""
        shown = repr(self.account())
        assert (True, False) == ("edi" in shown, "geheim" in shown)

    @pytest.mark.parametrize("missing", ["host", "username", "password"])
    def test_required_fields(self, missing: str) -> None:
        """There is no default server and no default mailbox."""
        settings = {"host": "pop.forwarder.example", "username": "edi", "password": "geheim"}
        del settings[missing]
        with pytest.raises(TypeError, match=missing):
            Pop3Account(**settings)  # type: ignore[arg-type]

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
    def test_a_login_in_the_clear_to_this_machine(self, host: str) -> None:
        """A login without TLS is allowed on loopback."""
        assert Security.PLAIN is self.account(host=host, security=Security.PLAIN).security

    @pytest.mark.parametrize(
        ("settings", "codes"),
        [
            ({"host": ""}, ["pop3.host"]),
            ({"host": "a b"}, ["pop3.host"]),
            ({"port": 0}, ["pop3.port"]),
            ({"port": 65_536}, ["pop3.port"]),
            ({"port": "995"}, ["pop3.port"]),
            ({"security": "implicit"}, ["pop3.security"]),
            ({"username": ""}, ["pop3.login"]),
            ({"username": None}, ["pop3.login"]),
            ({"password": "geheim\r\nDELE 1"}, ["pop3.login"]),
            ({"password": b"geheim"}, ["pop3.login"]),
            ({"security": Security.PLAIN}, ["pop3.login-in-the-clear"]),
            ({"timeout": 0}, ["pop3.timeout"]),
            ({"timeout": "60"}, ["pop3.timeout"]),
            ({"timeout": float("inf")}, ["pop3.timeout"]),
            ({"timeout": float("nan")}, ["pop3.timeout"]),
            ({"mail_timeout": 0, "session_timeout": "3600"}, ["pop3.timeout", "pop3.timeout"]),
            ({"listing_limit": 0}, ["pop3.limit"]),
            ({"mail_limit": -1, "listing_limit": 1.5}, ["pop3.limit", "pop3.limit"]),
            (
                {"host": None, "port": -1, "security": Security.PLAIN, "password": "", "timeout": -1},
                ["pop3.host", "pop3.port", "pop3.login", "pop3.login-in-the-clear", "pop3.timeout"],
            ),
        ],
    )
    def test_what_cannot_be(self, settings: dict[str, Any], codes: list[str]) -> None:
        """Every invalid value is reported, all at once, and no password is shown."""
        with pytest.raises(InputError) as caught:
            self.account(**settings)
        assert codes == [problem.code for problem in caught.value.problems]
        assert "heim" not in f"{caught.value!s}{caught.value!r}"


@contextlib.asynccontextmanager
async def twisted(*mails: bytes) -> AsyncGenerator[int]:
    """Run Twisted's POP3 server with some mails; yields its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TWISTED, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([base64.b64encode(mail).decode() for mail in mails]).encode() + b"\n")
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()


class TestForeignServer:
    """Twisted's server, which does not know this library, is emptied mail by mail."""

    async def test_everything_is_fetched_and_deleted(self) -> None:
        """The server's mails are stored octet for octet; a second session finds none."""
        xml = b"Subject: x\n\n<MetaData>" + b"<A>22096222734662</A>" * 3_000 + b"</MetaData>\n"
        dots = b"Subject: y\n\n.\n..\n.a\nb\n"
        async with twisted(ONE.replace(b"\r\n", b"\n"), xml, dots) as port:
            first, second = Shelf(), Shelf()
            one = await mailbox(port).fetch(first)
            two = await mailbox(port).fetch(second)
        assert [ONE, xml.replace(b"\n", b"\r\n"), dots.replace(b"\n", b"\r\n")] == [raw for _, raw in first.mails]
        assert (3, one.fetched, frozenset(one.fetched)) == (len(one.fetched), one.deleted, one.gone)
        assert (SessionReport(fetched=(), deleted=(), left=(), gone=frozenset(), problems=()), []) == (
            two,
            second.mails,
        )

    async def test_two_equal_mails(self) -> None:
        """Twisted derives the UIDL from the content, so equal mails share it; both are stored, both deleted."""
        async with twisted(b"a\n", b"a\n") as port:
            shelf = Shelf()
            done = await mailbox(port).fetch(shelf)
            again = await mailbox(port).fetch(Shelf())
        assert ([b"a\r\n", b"a\r\n"], 1, 2) == ([raw for _, raw in shelf.mails], len(shelf.uidls), len(done.deleted))
        assert () == again.fetched

    async def test_a_wrong_password(self) -> None:
        """A refused login is LOGIN, with the server's answer."""
        async with twisted() as port:
            with pytest.raises(FetchError) as caught:
                await mailbox(port, password="other").fetch(Shelf())
        assert (FetchFailure.LOGIN, "Authentication failed", False) == outcome(caught.value)


class TestSession:
    """A mail is deleted only after it was stored, and the server deletes at QUIT."""

    async def test_stored_before_deleted(self) -> None:
        """While a mail is being stored, no DELE for it is sent."""
        seen: list[list[str]] = []
        async with Pop3Box(ONE, TWO) as box:

            async def store(_uidl: str, _raw: bytes) -> None:
                await asyncio.sleep(0)
                seen.append([command for command in box.commands if command.startswith(("RETR", "DELE"))])

            done = await mailbox(box.port).fetch(store)
            await box.left.wait()
        assert [["RETR 1"], ["RETR 1", "DELE 1", "RETR 2"]] == seen
        assert ["USER edi", "PASS geheim", "UIDL", "LIST"] == box.commands[:4]
        assert ([], "QUIT") == (box.uidls, box.commands[-1])
        assert (
            SessionReport(
                fetched=("u1", "u2"), deleted=("u1", "u2"), left=(), gone=frozenset({"u1", "u2"}), problems=()
            )
            == done
        )

    async def test_an_empty_mailbox(self) -> None:
        """In an empty mailbox nothing is done, and what was known is gone."""
        async with Pop3Box() as box:
            done = await mailbox(box.port).fetch(Shelf(), known=frozenset({"u8", "u9"}))
        assert SessionReport(fetched=(), deleted=(), left=(), gone=frozenset({"u8", "u9"}), problems=()) == done

    async def test_what_is_known_is_fetched_before_it_is_deleted(self) -> None:
        """A mail is deleted only if it was stored in this session, whatever its UIDL."""
        async with Pop3Box(ONE, TWO) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, known=frozenset({"u1"}))
        assert [("u1", ONE), ("u2", TWO)] == shelf.mails
        assert box.commands.index("RETR 1") < box.commands.index("DELE 1")
        assert (("u1", "u2"), ("u1", "u2"), frozenset({"u1", "u2"})) == (done.fetched, done.deleted, done.gone)

    async def test_what_is_skipped_is_left_alone(self) -> None:
        """A skipped mail is neither fetched nor deleted, and stays known; one that is no longer there is gone."""
        async with Pop3Box(ONE, TWO) as box:
            shelf = Shelf()
            skip = frozenset({"u1", "u9"})
            done = await mailbox(box.port).fetch(shelf, known=skip, skip=skip)
        assert ([("u2", TWO)], ["u1"]) == (shelf.mails, box.uidls)
        assert {"RETR 1", "DELE 1"}.isdisjoint(box.commands)
        assert (
            SessionReport(fetched=("u2",), deleted=("u2",), left=(), gone=frozenset({"u2", "u9"}), problems=()) == done
        )

    async def test_an_empty_mail(self) -> None:
        """A mail of no octets is a mail."""
        async with Pop3Box(b"") as box:
            _, shelf = await got(box)
        assert [("u1", b"")] == shelf.mails


class TestBroken:
    """Wherever a session breaks, no mail is lost, and one that is fetched again is recognised (trap 15)."""

    @pytest.mark.parametrize("how", ["drop", "close"])
    async def test_lost_before_quit(self, how: str) -> None:
        """A loss before QUIT undoes every DELE; the same mails are fetched again before they are deleted."""
        async with Pop3Box(ONE, TWO, faults={"DELE 2": how}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(shelf)
            assert (FetchFailure.LOST, True, ["u1", "u2"]) == (caught.value.kind, caught.value.retryable, box.uidls)
            box.faults.clear()
            again = await mailbox(box.port).fetch(shelf, known=shelf.uidls)
        assert [("u1", ONE), ("u2", TWO)] * 2 == shelf.mails
        assert (("u1", "u2"), frozenset({"u1", "u2"}), []) == (again.deleted, again.gone, box.uidls)

    @pytest.mark.parametrize("how", ["drop", "close"])
    async def test_the_answer_to_quit_is_lost(self, how: str) -> None:
        """If the answer to QUIT is lost, the outcome is unknown; the next session finds the mails gone."""
        async with Pop3Box(ONE, faults={"QUIT": how}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(shelf)
            box.faults.clear()
            again = await mailbox(box.port).fetch(shelf, known=shelf.uidls)
        assert (FetchFailure.LOST, [("u1", ONE)]) == (caught.value.kind, shelf.mails)
        assert ((), frozenset({"u1"})) == (again.deleted, again.gone)

    async def test_its_uidl_is_reused_for_another_mail(self) -> None:
        """A mail whose UIDL may have been reused is stored, not deleted unseen."""
        async with Pop3Box(("7", ONE), faults={"QUIT": "drop"}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError):
                await mailbox(box.port).fetch(shelf)
            box.faults.clear()
            box.mails.append(("7", TWO))
            again = await mailbox(box.port).fetch(shelf, known=shelf.uidls)
        assert [("7", ONE), ("7", TWO)] == shelf.mails
        assert (("7",), frozenset({"7"}), []) == (again.deleted, again.gone, box.uidls)

    @pytest.mark.parametrize(
        "fault", [(b"+OK\r\nSubject: [V=DMS4.NL]", "drop"), (b"+OK\r\n", "close"), (b"+O", "close")]
    )
    async def test_lost_in_the_middle_of_a_mail(self, fault: Fault) -> None:
        """Half a mail is never stored, nor is half an answer read as an answer; mails before it stay stored."""
        async with Pop3Box(ONE, TWO, THREE, faults={"RETR 2": fault}) as box:
            shelf = Shelf()
            with pytest.raises(FetchError) as caught:
                await mailbox(box.port).fetch(shelf)
            assert (FetchFailure.LOST, [("u1", ONE)], 3) == (caught.value.kind, shelf.mails, len(box.uidls))
            box.faults.clear()
            await mailbox(box.port).fetch(shelf, known=shelf.uidls)
        assert ([("u1", ONE), ("u1", ONE), ("u2", TWO), ("u3", THREE)], []) == (shelf.mails, box.uidls)

    async def test_a_silent_server(self) -> None:
        """After the timeout without an octet the connection counts as lost."""
        async with Pop3Box(ONE, faults={"RETR": "stall"}) as box:
            error = await failure(box, timeout=0.1)
        assert (FetchFailure.LOST, "timed out", True) == outcome(error)

    async def test_a_mail_that_cannot_be_read(self) -> None:
        """A refused RETR is reported, the mail stays, and the others are fetched."""
        async with Pop3Box(ONE, TWO, THREE, faults={"RETR 2": b"-ERR [SYS/PERM] broken\r\n"}) as box:
            done, shelf = await got(box)
        (left,) = done.left
        assert ([("u1", ONE), ("u3", THREE)], ["u2"]) == (shelf.mails, box.uidls)
        assert (("u1", "u3"), ("u1", "u3"), frozenset({"u1", "u3"})) == (done.fetched, done.deleted, done.gone)
        assert ("u2", len(TWO), None, "pop3.unreadable") == (left.uidl, left.size, left.headers, left.problem.code)
        assert "The mail u2 cannot be read: [SYS/PERM] broken" == left.problem.message

    async def test_a_mail_that_cannot_be_deleted(self) -> None:
        """After a refused DELE the stored mail stays known, and is tried again."""
        async with Pop3Box(ONE, TWO, faults={"DELE 1": b"-ERR locked\r\n"}) as box:
            done, shelf = await got(box)
        assert (("u1", "u2"), ("u2",), frozenset({"u2"})) == (done.fetched, done.deleted, done.gone)
        assert [("u1", "pop3.not-deleted", "The mail u1 is stored and was not deleted: locked")] == [
            (left.uidl, left.problem.code, left.problem.message) for left in done.left
        ]
        assert (2, ["u1"]) == (len(shelf.mails), box.uidls)

    async def test_a_known_mail_that_cannot_be_read(self) -> None:
        """A stored mail that cannot be read now stays, and stays known: it may be a different mail."""
        async with Pop3Box(ONE, faults={"RETR 1": b"-ERR broken\r\n"}) as box:
            done = await mailbox(box.port).fetch(Shelf(), known=frozenset({"u1"}))
        assert (["pop3.unreadable"], ["u1"]) == ([left.problem.code for left in done.left], box.uidls)
        assert ((), frozenset()) == (done.deleted, done.gone)

    async def test_quit_refused(self) -> None:
        """A server that could not delete reports it at QUIT; then nothing is forgotten."""
        async with Pop3Box(ONE, faults={"QUIT": b"-ERR some deleted messages not removed\r\n"}) as box:
            done, _ = await got(box)
        assert (("u1",), (), frozenset()) == (done.fetched, done.deleted, done.gone)
        assert [("pop3.quit", "The server may not have deleted everything: some deleted messages not removed")] == [
            (problem.code, problem.message) for problem in done.problems
        ]

    async def test_a_uidl_comes_again_for_another_mail(self) -> None:
        """After a completed session its UIDLs are forgotten, so another mail under one of them is fetched."""
        async with Pop3Box(("7", ONE)) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf)
            box.mails.append(("7", TWO))
            await mailbox(box.port).fetch(shelf, known=shelf.uidls - done.gone)
        assert [("7", ONE), ("7", TWO)] == shelf.mails

    async def test_two_mails_under_one_known_uidl(self) -> None:
        """Two mails with one UIDL are both fetched before they are deleted; if one stays, the UIDL stays known."""
        async with Pop3Box(("7", ONE), ("7", TWO), ("8", THREE), faults={"DELE 2": b"-ERR locked\r\n"}) as box:
            shelf = Shelf()
            done = await mailbox(box.port).fetch(shelf, known=frozenset({"7", "8"}))
        assert [("7", ONE), ("7", TWO), ("8", THREE)] == shelf.mails
        assert (("7", "8"), frozenset({"8"})) == (done.deleted, done.gone)


class TestStoreFails:
    """A mail that cannot be stored stays in the mailbox."""

    async def test_what_was_stored_before_is_deleted(self) -> None:
        """The error passes through; QUIT deletes the mails before; that mail and those after it stay."""
        async with Pop3Box(ONE, TWO, THREE) as box:
            shelf = Shelf(fails_at="u2")
            with pytest.raises(OSError, match="the disk is full"):
                await mailbox(box.port).fetch(shelf)
            await box.left.wait()
        assert ([("u1", ONE)], ["u2", "u3"]) == (shelf.mails, box.uidls)

    async def test_and_the_connection_is_lost(self) -> None:
        """The store's error is the one that is raised."""
        async with Pop3Box(ONE, faults={"QUIT": "drop"}) as box:
            with pytest.raises(OSError, match="the disk is full"):
                await mailbox(box.port).fetch(Shelf(fails_at="u1"))


class TestCancelled:
    """Cancelling ends the session at once: no QUIT, nothing deleted, no thread left waiting."""

    async def test_while_the_server_is_waited_for(self) -> None:
        """Cancelling does not wait for a server that is silent for a minute."""
        async with Pop3Box(ONE, TWO, faults={"RETR 2": "stall"}) as box:
            shelf = Shelf()
            task = asyncio.create_task(mailbox(box.port, timeout=60).fetch(shelf))
            await box.reached["RETR 2"].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await box.left.wait()
        assert ([("u1", ONE)], ["u1", "u2"], False) == (shelf.mails, box.uidls, "QUIT" in box.commands)

    async def test_while_storing(self) -> None:
        """A mail whose storing was cancelled does not count as stored."""
        reached = asyncio.Event()

        async def store(_uidl: str, _raw: bytes) -> None:
            reached.set()
            await asyncio.Event().wait()

        async with Pop3Box(ONE) as box:
            task = asyncio.create_task(mailbox(box.port).fetch(store))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await box.left.wait()
        assert (["u1"], False) == (box.uidls, "QUIT" in box.commands)

    @pytest.mark.parametrize("security", [Security.PLAIN, Security.IMPLICIT])
    async def test_before_the_greeting(self, security: Security) -> None:
        """Cancelling does not wait for a greeting or a handshake that never arrives."""
        async with Pop3Box(faults={"greeting": "stall"}) as box:
            task = asyncio.create_task(mailbox(box.port, timeout=60, security=security).fetch(Shelf()))
            await box.reached["greeting"].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_while_connecting(self, full: int) -> None:
        """Cancelling does not wait for a server that does not accept the connection."""
        task = asyncio.create_task(mailbox(full, timeout=60).fetch(Shelf()))
        _, waiting = await asyncio.wait({task}, timeout=0.1)
        assert {task} == waiting
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def full() -> Generator[int]:
    """Listen, and accept no connection: the queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        yield listener.getsockname()[1]


class TestContent:
    """A mail is stored exactly as it is in the mailbox, octet for octet."""

    @pytest.mark.parametrize(
        "mail",
        [
            ONE + b"<A>" + b"x" * 60_000 + b"</A>\r\n",
            ONE + b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
            b".\r\n",
            b"a\0b\r\n\0\r\n",
            b"a\n.\nb\r\n",
            b"a\n.\r\nb\r\n",
            b"a\r.\r\nb\r\n",
            b"\ra\n\r\r\n\r\n",
            b"\xff\xfe\x00\xe9\r\n",
            b"a\r\n\r\n\r\n",
            *(b"x" * length + b"\r\n.b\r\n" for length in range(65_533, 65_538)),
            *(b"x" * length + b"\r.\r\n.\r\n" for length in range(65_533, 65_538)),
            *(b"x" * length + b"\n.\r\n.\r\n" for length in range(65_533, 65_538)),
        ],
        ids=lambda mail: f"{mail[:12]!r} {len(mail)}",
    )
    async def test_octets(self, mail: bytes) -> None:
        """Long lines, dots, NUL, 8 bits, lone CR and LF are preserved; only CRLF ends a line."""
        async with Pop3Box(mail, TWO) as box:
            _, shelf = await got(box)
        assert [("u1", mail), ("u2", TWO)] == shelf.mails

    async def test_a_dot_that_was_not_doubled(self) -> None:
        """A dot that the server did not double is kept, as after a line that it sends in two pieces."""
        async with Pop3Box(ONE, faults={"RETR 1": b"+OK\r\n.a\r\nb\r\n.\r\n"}) as box:
            _, shelf = await got(box)
        assert [("u1", b".a\r\nb\r\n")] == shelf.mails

    @pytest.mark.parametrize(
        ("mail", "outcome"),
        [
            (b"<A>" + b"x" * 60_000 + b"</A>\r\n", "line too long"),
            (b"a\n.\nb\r\n", [b"a"]),
            (b"\ra\n\r\n", [b"a", b""]),
        ],
    )
    async def test_poplib_as_it_is(self, mail: bytes, outcome: str | list[bytes]) -> None:
        """What poplib gets wrong: a line of 60 KB, a dot between two LF that ends a mail, a CR that gets lost."""

        def stock(port: int) -> str | list[bytes]:
            client = poplib.POP3("127.0.0.1", port)
            try:
                client.user("edi")
                client.pass_(PASSWORD)
                return client.retr(1)[1]
            except poplib.error_proto as error:
                return str(error)
            finally:
                client.close()

        async with Pop3Box(mail) as box:
            assert outcome == await asyncio.to_thread(stock, box.port)

    @pytest.mark.parametrize("line", [b"<A>22096222734662</A>\r\n", b"<A>22096222734662</A>"])
    async def test_a_large_mail_is_held_once(self, line: bytes) -> None:
        """Fetching a mail of 16 MB needs less than one and a half times its size."""
        mail = line * (16_000_000 // len(line)) + b"\r\n"
        peaks: list[int] = []

        async def store(_uidl: str, raw: bytes) -> None:
            peaks.append(tracemalloc.get_traced_memory()[1])
            assert len(mail) == len(raw)

        async with Pop3Box(faults={"RETR": (b"+OK\r\n", mail, b".\r\n")}) as box:
            box.mails.append(("u1", b""))
            tracemalloc.start()
            try:
                await mailbox(box.port).fetch(store)
            finally:
                tracemalloc.stop()
        assert peaks[0] < 1.5 * len(mail)


class TestTooLarge:
    """A mail above the hard limit stays on the server, and is reported with its headers."""

    async def test_the_size_is_listed(self) -> None:
        """If the server lists the size, only the headers are fetched."""
        async with Pop3Box(ONE, TWO, sizes={"u1": 10_001}) as box:
            done, shelf = await got(box, largest=10_000)
        (left,) = done.left
        assert ([("u2", TWO)], ["u1"], False) == (shelf.mails, box.uidls, "RETR 1" in box.commands)
        assert ("u1", 10_001, ONE[: ONE.index(b"<")]) == (left.uidl, left.size, left.headers)
        assert ("pop3.too-large", "The mail u1 has more than 10000 octets; it stays in the mailbox.") == (
            left.problem.code,
            left.problem.message,
        )
        assert ((), frozenset({"u2"})) == (done.problems, done.gone)

    async def test_the_size_is_listed_too_low(self) -> None:
        """If the server listed too few octets, the rest is read and dropped, and the session continues."""
        big = ONE + b"x" * 100_000 + b"\r\n" + b"y" * 100_000 + b"\r\n"
        async with Pop3Box(big, TWO, sizes={"u1": 5}) as box:
            done, shelf = await got(box, largest=10_000)
        (left,) = done.left
        assert ([("u2", TWO)], ["u1"]) == (shelf.mails, box.uidls)
        assert (5, ONE[: ONE.index(b"<")]) == (left.size, left.headers)

    @pytest.mark.parametrize("fault", [b"-ERR no TOP here\r\n", b"+OK\r\n" + b"x" * 65_536 + b"\r\n.\r\n"])
    async def test_no_headers(self, fault: bytes) -> None:
        """If the server has no TOP, or the headers are too large themselves, no headers are reported."""
        async with Pop3Box(ONE, faults={"TOP": fault}, sizes={"u1": 10_001}) as box:
            done, _ = await got(box, largest=10_000)
        assert [("pop3.too-large", None)] == [(left.problem.code, left.headers) for left in done.left]

    @pytest.mark.parametrize(("size", "stored"), [(10_000, 1), (10_001, 0)])
    async def test_the_limit_itself(self, size: int, stored: int) -> None:
        """A mail of exactly the limit is fetched, one octet more is not, whatever LIST claims."""
        mail = b"a\r\n\r\n" + b"x" * (size - 7) + b"\r\n"
        async with Pop3Box(mail, sizes={"u1": 1}) as box:
            _, shelf = await got(box, largest=10_000)
        assert (size, stored) == (len(mail), len(shelf.mails))

    def test_the_usual_limit(self) -> None:
        """A mail too large to be routed, above 50 MiB, is still stored; above four times that it stays."""
        assert 209_715_200 == mailbox(110).largest


class TestLogin:
    """A refused login has its reason, and whether to try again later."""

    async def test_a_wrong_password(self) -> None:
        """A wrong password is LOGIN and is in no text."""
        async with Pop3Box(ONE) as box:
            error = await failure(box, password="falsch")
        assert (FetchFailure.LOGIN, "[AUTH] no", False) == outcome(error)
        assert ["u1"] == box.uidls

    @pytest.mark.parametrize(
        ("answer", "retryable"),
        [
            (b"-ERR [IN-USE] locked by another session\r\n", True),
            (b"-ERR [LOGIN-DELAY] wait 5 minutes\r\n", True),
            (b"-ERR [sys/temp] later\r\n", True),
            (b"-ERR [SYS/PERM] never\r\n", False),
            (b"-ERR no [IN-USE] here\r\n", False),
        ],
    )
    async def test_come_again(self, answer: bytes, *, retryable: bool) -> None:
        """A mailbox in use, and other temporary refusals, may be tried again."""
        async with Pop3Box(faults={"PASS": answer}) as box:
            error = await failure(box)
        assert (FetchFailure.LOGIN, answer.decode()[5:-2], retryable) == outcome(error)

    async def test_a_user_refused(self) -> None:
        """A refusal of the user name is LOGIN, and the password is not sent."""
        async with Pop3Box(faults={"USER": b"-ERR unknown\r\n"}) as box:
            error = await failure(box)
        assert ((FetchFailure.LOGIN, "unknown", False), ["USER edi"]) == (outcome(error), box.commands)

    async def test_an_answer_with_the_password(self) -> None:
        """A server that repeats the password, or sends control characters, does not get them into an error."""
        async with Pop3Box(faults={"PASS": b"-ERR bad\x1b[31m command: PASS geheim\xff\r\n"}) as box:
            error = await failure(box)
        assert (FetchFailure.LOGIN, "bad [31m command: PASS …\ufffd", False) == outcome(error)
        assert PASSWORD not in "".join(traceback.format_exception(error))

    @pytest.mark.parametrize("place", ["USER", "PASS", "UIDL", "LIST", "RETR", "DELE", "QUIT", "stray"])
    @pytest.mark.parametrize("form", FORMS)
    async def test_the_password_in_another_form(self, place: str, form: str) -> None:
        """However a server encodes the password, and at whatever step, no error and no problem shows it."""
        answer: dict[str, Fault] = {place: f"-ERR 1 {form}\r\n".encode()}
        if place == "stray":
            answer = {"DELE": f"+OK\r\n-ERR {form}\r\n".encode()}
        if place == "UIDL":
            answer = {"UIDL": f"+OK\r\n1 u1 {form}\r\n2 {form} x\r\n.\r\n".encode()}
        async with Pop3Box(ONE, TWO, faults=answer) as box:
            box.password = CANARY
            try:
                done = await mailbox(box.port, password=CANARY).fetch(Shelf())
            except FetchError as error:
                text = "".join(traceback.format_exception(error)) + repr(error)
            else:
                problems = (*done.problems, *(left.problem for left in done.left))
                text = repr(problems) + "".join(problem.message for problem in problems)
        assert "…" in text
        assert [] == [piece for piece in (CANARY, CANARY.upper(), form) if piece in text]

    async def test_a_long_answer(self) -> None:
        """An error shows at most 500 characters of an answer."""
        async with Pop3Box(faults={"PASS": b"-ERR " + b"x" * 2_000 + b"\r\n"}) as box:
            error = await failure(box)
        assert "x" * 500 == error.reply


class TestTls:
    """Neither name nor password is sent before TLS is active, nor to an untrusted server."""

    @pytest.mark.parametrize("security", [Security.IMPLICIT, Security.STARTTLS])
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    async def test_safe(self, authority: SimpleNamespace, security: Security, host: str) -> None:
        """Over implicit TLS and over STLS a mail is fetched and deleted."""
        implicit = security is Security.IMPLICIT
        faults: dict[str, Fault] = {"STLS": ("go on", "tls")}
        async with Pop3Box(ONE, tls=foreign(authority.host), implicit=implicit, faults=faults) as box:
            tls = TlsSettings(ca_file=authority.ca)
            _, shelf = await got(box, tls=tls, security=security, host=host)
        assert ([("u1", ONE)], []) == (shelf.mails, box.uidls)
        assert ([] if implicit else ["CAPA", "STLS"]) == box.commands[: box.commands.index("USER edi")]

    async def test_capabilities_behind_stls(self, authority: SimpleNamespace) -> None:
        """The whole list of capabilities is read, wherever STLS is in it; Dovecot lists SASL after it."""
        capabilities = b"+OK\r\nCAPA\r\nTOP\r\nSTLS\r\nUSER\r\nSASL PLAIN\r\n.\r\n"
        faults: dict[str, Fault] = {"CAPA": capabilities, "STLS": ("go on", "tls")}
        async with Pop3Box(ONE, tls=foreign(authority.host), faults=faults) as box:
            _, shelf = await got(box, tls=TlsSettings(ca_file=authority.ca), security=Security.STARTTLS)
        assert ([("u1", ONE)], []) == (shelf.mails, box.uidls)

    @pytest.mark.parametrize("forged", [b"-ERR forged\r\n", b"+OK\r\n+OK\r\n", b"+"])
    async def test_what_was_written_before_tls(self, authority: SimpleNamespace, forged: bytes) -> None:
        """Octets after the answer to STLS are an attack or a broken server: TLS, and no login."""
        faults: dict[str, Fault] = {"STLS": (b"+OK\r\n" + forged, "tls")}
        async with Pop3Box(ONE, tls=foreign(authority.host), faults=faults) as box:
            error = await failure(box, tls=TlsSettings(ca_file=authority.ca), security=Security.STARTTLS)
        assert (FetchFailure.TLS, ["CAPA", "STLS"], ["u1"]) == (error.kind, box.commands, box.uidls)
        assert error.reply.startswith("the server sent this without being asked: ")

    @pytest.mark.parametrize("security", [Security.IMPLICIT, Security.STARTTLS])
    @pytest.mark.parametrize(
        ("issuer", "certificate", "why"),
        [("other_ca", "host", "certificate verify failed"), ("ca", "elsewhere", "mismatch")],
    )
    async def test_not_trusted(
        self, authority: SimpleNamespace, security: Security, issuer: str, certificate: str, why: str
    ) -> None:
        """A certificate of another authority or of another host is TLS, with the reason."""
        context = foreign(getattr(authority, certificate))
        faults: dict[str, Fault] = {"STLS": ("go on", "tls")}
        async with Pop3Box(ONE, tls=context, implicit=security is Security.IMPLICIT, faults=faults) as box:
            tls = TlsSettings(ca_file=getattr(authority, issuer))
            error = await failure(box, tls=tls, security=security)
        assert (FetchFailure.TLS, False) == (error.kind, error.retryable)
        assert why in error.reply
        assert "USER edi" not in box.commands

    async def test_no_stls_offered(self) -> None:
        """A server, or an attacker on the way, that offers no STLS receives nothing more."""
        async with Pop3Box(ONE) as box:
            error = await failure(box, security=Security.STARTTLS)
        assert (FetchFailure.TLS, "the server offers no STLS", False) == outcome(error)
        assert ["CAPA"] == box.commands

    async def test_stls_refused(self, authority: SimpleNamespace) -> None:
        """A refused STLS is TLS."""
        async with Pop3Box(tls=foreign(authority.host), faults={"STLS": b"-ERR not today\r\n"}) as box:
            error = await failure(box, security=Security.STARTTLS)
        assert ((FetchFailure.TLS, "not today", False), ["CAPA", "STLS"]) == (outcome(error), box.commands)

    @pytest.mark.parametrize("line", [b"\r\n", b"\xff\r\n"])
    async def test_capabilities_that_are_none(self, line: bytes) -> None:
        """A list of capabilities that poplib cannot read is PROTOCOL."""
        async with Pop3Box(faults={"CAPA": b"+OK\r\n" + line + b".\r\n"}) as box:
            error = await failure(box, security=Security.STARTTLS)
        assert (FetchFailure.PROTOCOL, False) == (error.kind, error.retryable)

    @pytest.mark.parametrize("how", ["close", "stall"])
    async def test_lost_in_the_handshake(self, authority: SimpleNamespace, how: str) -> None:
        """A lost or silent connection in the handshake may be temporary: LOST after STLS, CONNECT with implicit TLS."""
        async with Pop3Box(tls=foreign(authority.host), faults={"STLS": (b"+OK\r\n", how)}) as box:
            after = await failure(box, security=Security.STARTTLS, timeout=1 if how == "stall" else 60)
        async with Pop3Box(faults={"greeting": how}) as box:
            first = await failure(box, security=Security.IMPLICIT, timeout=0.2 if how == "stall" else 60)
        assert ((FetchFailure.LOST, True), (FetchFailure.CONNECT, True)) == (
            (after.kind, after.retryable),
            (first.kind, first.retryable),
        )

    async def test_plain_text_instead_of_a_handshake(self) -> None:
        """Implicit TLS to a plain server is TLS."""
        async with Pop3Box() as box:
            error = await failure(box, security=Security.IMPLICIT)
        assert (FetchFailure.TLS, False) == (error.kind, error.retryable)

    async def test_a_missing_file_is_reported_before_connecting(self) -> None:
        """A missing CA file is the user's mistake: InputError, and no connection."""
        async with Pop3Box() as box:
            tls = TlsSettings(ca_file="no-such-file.pem")
            with pytest.raises(InputError, match="ca_file cannot be used"):
                await mailbox(box.port, security=Security.IMPLICIT, tls=tls).fetch(Shelf())
        assert 0 == box.connections


class TestStrangers:
    """A server that does not speak POP3, or not enough of it, is distinguished from an unreachable one."""

    async def test_a_closed_port(self) -> None:
        """A refused connection is CONNECT."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            port = unused.getsockname()[1]
            with pytest.raises(FetchError) as caught:
                await mailbox(port).fetch(Shelf())
        assert (FetchFailure.CONNECT, True) == (caught.value.kind, caught.value.retryable)
        assert f"edi@127.0.0.1:{port}" == caught.value.account

    async def test_a_connection_that_is_not_accepted(self, full: int) -> None:
        """A connection that is not accepted within the timeout is CONNECT."""
        with pytest.raises(FetchError) as caught:
            await mailbox(full, timeout=0.1).fetch(Shelf())
        assert (FetchFailure.CONNECT, "127.0.0.1 did not answer in time", True) == outcome(caught.value)

    async def test_the_first_address_does_not_answer(self, full: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address that drops packets leaves time for the next one, within one limit for both."""
        async with Pop3Box(ONE) as box:
            addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (full, box.port)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            _, shelf = await got(box, host="localhost", timeout=2)
        assert [("u1", ONE)] == shelf.mails

    @pytest.mark.parametrize(
        ("fault", "kind", "reply", "retryable"),
        [
            ("close", FetchFailure.CONNECT, "the server closed the connection", True),
            (
                b"-ERR [SYS/TEMP] too many connections\r\n",
                FetchFailure.CONNECT,
                "[SYS/TEMP] too many connections",
                True,
            ),
            (b"220 smtp.forwarder.example ESMTP\r\n", FetchFailure.PROTOCOL, "220 smtp.forwarder.example ESMTP", False),
            (
                b"+OK\n",
                FetchFailure.PROTOCOL,
                "an answer is not a line of at most 2048 octets that ends with CRLF",
                False,
            ),
            (
                b"+OK " + b"x" * 3_000,
                FetchFailure.PROTOCOL,
                "an answer is not a line of at most 2048 octets that ends with CRLF",
                False,
            ),
        ],
    )
    async def test_greetings(self, fault: Fault, kind: FetchFailure, reply: str, *, retryable: bool) -> None:
        """A greeting that is not POP3, or not a line, is PROTOCOL; none at all, or a refusal, is CONNECT."""
        async with Pop3Box(faults={"greeting": fault}) as box:
            error = await failure(box)
        assert (kind, reply, retryable) == outcome(error)

    async def test_a_server_without_list(self) -> None:
        """Every server must support LIST; the error states what the server must speak."""
        async with Pop3Box(ONE, faults={"LIST": b"-ERR unknown command\r\n"}) as box:
            error = await failure(box)
        assert (FetchFailure.PROTOCOL, "LIST: unknown command", False) == outcome(error)
        assert "the server must speak POP3" in str(error)

    async def test_a_size_that_is_none(self) -> None:
        """A mail of unknown size is fetched all the same."""
        async with Pop3Box(ONE, faults={"LIST": b"+OK\r\n1 many\r\n.\r\n"}) as box:
            _, shelf = await got(box)
        assert [("u1", ONE)] == shelf.mails

    async def test_no_answer_but_noise(self) -> None:
        """An answer to RETR that begins with neither +OK nor -ERR is PROTOCOL, not a refusal of that mail."""
        async with Pop3Box(ONE, faults={"RETR": b"hello\r\n"}) as box:
            error = await failure(box)
        assert (FetchFailure.PROTOCOL, "hello", False) == outcome(error)


class TestFetchError:
    """An error has its text and its data, and survives pickle and copy."""

    @pytest.mark.parametrize("kind", FetchFailure)
    def test_copies(self, kind: FetchFailure) -> None:
        """A copy has the same text and data."""
        error = FetchError("edi@pop.forwarder.example:995", kind, "no")
        for other in copies(error):
            assert (str(error), repr(error), error.account, outcome(error)) == (
                str(other),
                repr(other),
                other.account,
                outcome(other),
            )
            assert isinstance(other, HtpoortError)

    @pytest.mark.parametrize(("reply", "shown"), [("", "no reply"), ("timed out", "timed out"), ("No way.", "No way")])
    def test_shown(self, reply: str, shown: str) -> None:
        """The text names the mailbox, what happened and what to do."""
        error = FetchError("edi@pop.forwarder.example:995", FetchFailure.LOST, reply)
        assert (
            f"Not fetched from pop.forwarder.example:995 as edi: lost: {shown}. "
            "Fetch again; mails that were stored are recognised."
        ) == str(error)
