"""The declarant's mailbox by POP3: read by foreign clients, deleted at QUIT only, and nothing lost whatever breaks."""

from __future__ import annotations

import asyncio
import base64
import json
import poplib
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from htpoort.simulator import FaultAction, GatewayTls, Mailbox, Pop3Fault, RealClock
from htpoort.simulator._pop3_server import Pop3Server
from htpoort.simulator.faults import FaultCounter
from htpoort.transport import FetchError, FetchFailure, Pop3Account as Account, Pop3Mailbox, Security, TlsSettings

USER, PASSWORD = "edi@forwarder.example", "geheim woord"
ONE = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]\r\n\r\n<MetaData/>\r\n"
TWO = ONE.replace(b"K=1", b"K=2")
THREE = ONE.replace(b"K=1", b"K=3")


def trusting(tls: GatewayTls) -> ssl.SSLContext:
    """Make the context of a client that trusts a gateway."""
    return ssl.create_default_context(cafile=str(tls.ca_file))


def serving(box: Mailbox, *faults: Pop3Fault, **settings: Any) -> Pop3Server:
    """Serve one mailbox to the client with the password."""
    users = {(USER, PASSWORD): box}
    counter = FaultCounter[Pop3Fault](faults, RealClock())
    return Pop3Server(lambda user, password: users.get((user, password)), faults=counter, **settings)


def filled(*mails: bytes) -> Mailbox:
    """Make a mailbox with messages."""
    box = Mailbox()
    for mail in mails:
        box.deliver(mail)
    return box


def raws(box: Mailbox) -> list[bytes]:
    """List the messages of a mailbox."""
    return [raw for _, raw in box.messages]


def logged_in(client: poplib.POP3) -> poplib.POP3:
    """Log in as usual."""
    client.user(USER)
    client.pass_(PASSWORD)
    return client


def whole(lines: list[bytes]) -> bytes:
    """Join the lines that poplib returns."""
    return b"".join(line + b"\r\n" for line in lines)


async def by_poplib(server: Pop3Server, doing: Callable[[poplib.POP3], Any]) -> Any:
    """Log in by poplib and do some work; close without QUIT if the work did not quit."""

    def run() -> Any:
        client = logged_in(poplib.POP3("127.0.0.1", server.port, 10))
        try:
            return doing(client)
        finally:
            client.close()

    return await asyncio.to_thread(run)


def account(server: Pop3Server, **settings: Any) -> Pop3Mailbox:
    """Reach a server by our own client."""
    usual: dict[str, Any] = {"security": Security.PLAIN, "timeout": 60.0, "username": USER, "password": PASSWORD}
    return Pop3Mailbox(Account(host="127.0.0.1", port=server.port, **{**usual, **settings}))


@attrs.define
class Shelf:
    """Store in memory."""

    mails: list[bytes] = attrs.field(factory=list[bytes])

    async def __call__(self, _uidl: str, raw: bytes) -> None:
        self.mails.append(raw)


async def failure(mailbox: Pop3Mailbox) -> FetchError:
    """Fetch, and return the error."""
    with pytest.raises(FetchError) as caught:
        await mailbox.fetch(Shelf())
    return caught.value


class Raw:
    """Send any octets, and read lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, octets: bytes) -> bytes:
        """Send octets and read one line."""
        self.writer.write(octets)
        await self.writer.drain()
        return await self.reader.readline()

    async def lines(self, command: bytes) -> bytes | None:
        """Send a command and read lines up to the dot (RFC 1939, section 3); None if it was refused."""
        if not (await self.ask(command + b"\r\n")).startswith(b"+OK"):
            return None
        kept = b""
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            kept += line[1:] if line.startswith(b".") else line
        return kept

    async def log_in(self) -> None:
        """Log in as usual."""
        assert (await self.ask(f"USER {USER}\r\n".encode())).startswith(b"+OK")
        assert (await self.ask(f"PASS {PASSWORD}\r\n".encode())).startswith(b"+OK")


@asynccontextmanager
async def raw(server: Pop3Server) -> AsyncGenerator[Raw]:
    """Connect a client that sends any octets; its greeting has been read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**26)
    try:
        assert (await reader.readline()).startswith(b"+OK")
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


class TestForeignClients:
    """Foreign clients read the mailbox."""

    async def test_poplib_sees_what_is_there(self) -> None:
        """STAT, LIST, UIDL, RETR and TOP show what was delivered."""
        box = filled(ONE, b"Subject: x\r\n\r\n1\r\n.2\r\n3\r\n")

        def look(client: poplib.POP3) -> list[Any]:
            return [
                client.stat(),
                client.list()[1],
                client.list(2),
                client.uidl()[1],
                whole(client.retr(1)[1]),
                whole(client.top(2, 2)[1]),
                client.noop()[:3],
            ]

        async with serving(box) as server:
            seen = await by_poplib(server, look)
        first, second = (mail.uidl for mail in box.messages)
        assert [
            (2, 114),
            [b"1 90", b"2 24"],
            b"+OK 2 24",
            [f"1 {first}".encode(), f"2 {second}".encode()],
            ONE,
            b"Subject: x\r\n\r\n1\r\n.2\r\n",
            b"+OK",
        ] == seen

    async def test_deleted_at_quit(self) -> None:
        """QUIT deletes what DELE marked, and nothing else."""

        def delete(client: poplib.POP3) -> None:
            client.dele(1)
            client.dele(3)
            client.quit()

        box = filled(ONE, TWO, THREE)
        async with serving(box) as server:
            await by_poplib(server, delete)
        assert ([TWO], [ONE, THREE]) == (raws(box), [raw for _, raw in box.fetched])

    async def test_nothing_deleted_without_quit(self) -> None:
        """A session that is lost deletes nothing."""
        box = filled(ONE, TWO)
        async with serving(box) as server:
            await by_poplib(server, lambda client: client.dele(1))
            assert (2, 180) == await by_poplib(server, lambda client: client.stat())
        assert ([ONE, TWO], []) == (raws(box), box.fetched)

    async def test_nothing_deleted_after_rset(self) -> None:
        """RSET removes the marks."""

        def changed_its_mind(client: poplib.POP3) -> None:
            client.dele(1)
            client.rset()
            client.quit()

        box = filled(ONE)
        async with serving(box) as server:
            await by_poplib(server, changed_its_mind)
        assert [ONE] == raws(box)

    async def test_twisted(self) -> None:
        """Twisted's client empties the mailbox, octet for octet."""
        dots = b"Subject: y\r\n\r\n.\r\n..\r\n.a\r\nb\r\n"
        box = filled(ONE, dots)
        async with serving(box) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", TWISTED, str(server.port), USER, PASSWORD), stdout=asyncio.subprocess.PIPE
            )
            printed, _ = await process.communicate()
        assert [ONE, dots] == [base64.b64decode(mail) for mail in json.loads(printed)]
        assert () == box.messages

    async def test_our_own(self) -> None:
        """Our own client fetches and deletes everything, and finds nothing the next time."""
        box, shelf = filled(ONE, TWO), Shelf()
        async with serving(box) as server:
            done = await account(server).fetch(shelf)
            again = await account(server).fetch(shelf)
        assert ([ONE, TWO], (), 2, 0) == (shelf.mails, box.messages, len(done.deleted), len(again.fetched))

    async def test_a_large_answer(self) -> None:
        """A message of 20 MB arrives whole."""
        large = b"Subject: x\r\n\r\n" + (b"." * 998 + b"\r\n") * 20_000
        box, shelf = filled(large), Shelf()
        async with serving(box) as server:
            await account(server).fetch(shelf)
        assert [large] == shelf.mails


TWISTED = """
import base64, json, sys
from twisted.internet import defer, endpoints, protocol, reactor, task
from twisted.mail.pop3client import POP3Client

async def main(reactor, port, user, password):
    there = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", int(port))
    client = await endpoints.connectProtocol(there, POP3Client())
    client.allowInsecureLogin = True
    await client.login(user.encode(), password.encode())
    mails = []
    for number in range(len(await client.listUID())):
        lines = await client.retrieve(number)
        mails.append(base64.b64encode(b"".join(line + b"\\r\\n" for line in lines)).decode())
        await client.delete(number)
    await client.quit()
    print(json.dumps(mails))

task.react(lambda reactor: defer.ensureDeferred(main(reactor, *sys.argv[1:])))
"""
"""A program that reads a mailbox by Twisted, which has a loop of its own."""


class TestCommands:
    """Each command of RFC 1939 in its state, and its refusals."""

    async def test_before_the_login(self) -> None:
        """Before the login nothing of the mailbox is shown, and QUIT ends in good order."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            for command in (b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 1", b"DELE 1", b"RSET", b"NOOP"):
                verb = command.split()[0]
                assert b"-ERR " + verb + b" is not allowed now\r\n" == await client.ask(command + b"\r\n")
            assert b"-ERR Unknown command\r\n" == await client.ask(b"HELO x\r\n")
            assert b"-ERR Unknown command\r\n" == await client.ask(b"\r\n")
            assert b"-ERR Send USER first\r\n" == await client.ask(b"PASS x\r\n")
            assert b"+OK Goodbye\r\n" == await client.ask(b"QUIT\r\n")
            assert b"" == await client.reader.read()

    async def test_after_the_login(self) -> None:
        """After the login a second one is refused."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            await client.log_in()
            for command in (b"USER x", b"PASS x", b"STLS"):
                verb = command.split()[0]
                assert b"-ERR " + verb + b" is not allowed now\r\n" == await client.ask(command + b"\r\n")

    @pytest.mark.parametrize(
        ("command", "answer"),
        [
            (b"RETR 3", b"-ERR There is no such message\r\n"),
            (b"RETR 0", b"-ERR There is no such message\r\n"),
            (b"RETR -1", b"-ERR There is no such message\r\n"),
            (b"RETR 1x", b"-ERR There is no such message\r\n"),
            ("RETR ١".encode(), b"-ERR There is no such message\r\n"),
            (b"RETR", b"-ERR RETR takes 1 arguments\r\n"),
            (b"LIST 1 2", b"-ERR LIST takes 0 or 1 arguments\r\n"),
            (b"LIST 2", b"-ERR The message is deleted\r\n"),
            (b"UIDL 2", b"-ERR The message is deleted\r\n"),
            (b"RETR 2", b"-ERR The message is deleted\r\n"),
            (b"TOP 2 0", b"-ERR The message is deleted\r\n"),
            (b"DELE 2", b"-ERR The message is deleted\r\n"),
            (b"TOP 1", b"-ERR TOP takes 2 arguments\r\n"),
            (b"TOP 1 -1", b"-ERR The number of lines is invalid\r\n"),
            (b"STAT", b"+OK 1 90\r\n"),
            (b"stat", b"+OK 1 90\r\n"),
            (b"LIST 0001", b"+OK 1 90\r\n"),
            (b"\xff\xfe", b"-ERR Unknown command\r\n"),
        ],
    )
    async def test_answers(self, command: bytes, answer: bytes) -> None:
        """A marked message is not counted, and cannot be read."""
        async with serving(filled(ONE, TWO)) as server, raw(server) as client:
            await client.log_in()
            await client.ask(b"DELE 2\r\n")
            assert answer == await client.ask(command + b"\r\n")

    @pytest.mark.parametrize(
        ("mail", "lines", "shown"),
        [
            (b"A: 1\r\n\r\nb\r\nc\r\n", 0, b"A: 1\r\n\r\n"),
            (b"A: 1\r\n\r\nb\r\nc\r\n", 1, b"A: 1\r\n\r\nb\r\n"),
            (b"A: 1\r\n\r\nb\r\nc\r\n", 9, b"A: 1\r\n\r\nb\r\nc\r\n"),
            (b"A: 1\r\n\r\n\r\n\r\nb\r\n", 2, b"A: 1\r\n\r\n\r\n\r\n"),
            (b"\r\nb\r\nc\r\n", 1, b"\r\nb\r\n"),
            (b"A: 1\r\n", 5, b"A: 1\r\n"),
            (b"A: 1\r\n\r\n.b\r\n..\r\n", 2, b"A: 1\r\n\r\n.b\r\n..\r\n"),
            (b"", 1, b""),
        ],
    )
    async def test_top(self, mail: bytes, lines: int, shown: bytes) -> None:
        """TOP sends the headers, the empty line and the given number of lines of the body."""
        async with serving(filled(mail)) as server, raw(server) as client:
            await client.log_in()
            assert shown == await client.lines(f"TOP 1 {lines}".encode())

    async def test_commands_at_once(self) -> None:
        """Commands that arrive together get their responses one after another (RFC 2449, PIPELINING)."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            await client.log_in()
            client.writer.write(b"STAT\r\nDELE 1\r\nSTAT\nQUIT\r\n")
            assert (
                b"+OK 1 90\r\n+OK Will be deleted at QUIT\r\n+OK 0 0\r\n+OK Goodbye\r\n" == await client.reader.read()
            )

    async def test_what_comes_during_a_session(self) -> None:
        """A session sees the mailbox as it was at the login; later messages are for the next session."""
        box = filled(ONE)
        async with serving(box) as server:
            async with raw(server) as client:
                await client.log_in()
                box.deliver(TWO)
                assert b"+OK 1 90\r\n" == await client.ask(b"STAT\r\n")
                await client.ask(b"DELE 1\r\n")
                await client.ask(b"QUIT\r\n")
            assert [TWO] == raws(box)
            async with raw(server) as client:
                await client.log_in()
                assert TWO == await client.lines(b"RETR 1")


class TestLogin:
    """Which logins are accepted."""

    @pytest.mark.parametrize(("user", "password"), [(USER, "falsch"), ("else@forwarder.example", PASSWORD)])
    async def test_wrong(self, user: str, password: str) -> None:
        """A wrong password and an unknown user get the same response, with the code of RFC 3206."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            assert b"+OK Send the password\r\n" == await client.ask(f"USER {user}\r\n".encode())
            answer = await client.ask(f"PASS {password}\r\n".encode())
            error = await failure(account(server, username=user, password=password))
        assert b"-ERR [AUTH] User name or password is wrong\r\n" == answer
        assert (FetchFailure.LOGIN, False) == (error.kind, error.retryable)

    async def test_the_third_wrong_one_is_the_last(self) -> None:
        """After three wrong passwords the connection is closed."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            client.writer.write(f"USER {USER}\r\nPASS 1\r\n".encode() * 4)
            answers = await client.reader.read()
        assert (3, 6) == (answers.count(b"-ERR [AUTH]"), answers.count(b"\r\n"))

    async def test_a_password_is_used_once(self) -> None:
        """After a wrong password the client must send USER again."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            await client.ask(f"USER {USER}\r\n".encode())
            await client.ask(b"PASS falsch\r\n")
            assert b"-ERR Send USER first\r\n" == await client.ask(f"PASS {PASSWORD}\r\n".encode())

    async def test_one_session_at_a_time(self) -> None:
        """A second session is refused, also by another server, until the first one ends."""
        box = filled(ONE)
        async with serving(box) as server, serving(box) as other:
            async with raw(server) as first:
                await first.log_in()
                for busy in (server, other):
                    error = await failure(account(busy))
                    said = "[IN-USE] Another session has this mailbox open"
                    assert (FetchFailure.LOGIN, said, True) == (error.kind, error.reply, error.retryable)
                await first.ask(b"QUIT\r\n")
            async with raw(other) as second:
                await second.log_in()

    async def test_a_lost_session_lets_the_next_one_in(self) -> None:
        """A lost session releases the mailbox."""
        box = filled(ONE)
        async with serving(box) as server:
            for _ in range(3):
                async with raw(server) as client:
                    await client.log_in()


class TestTls:
    """STLS, implicit TLS, and logins that wait for them."""

    async def test_implicit(self, tls: GatewayTls) -> None:
        """A foreign client reads the mailbox over TLS from the first octet, and is offered no second TLS."""

        def look(port: int) -> tuple[dict[str, list[str]], tuple[int, int]]:
            client = poplib.POP3_SSL("127.0.0.1", port, timeout=60, context=trusting(tls))
            seen = client.capa(), logged_in(client).stat()
            client.quit()
            return seen

        async with serving(filled(ONE), tls=tls.context(), implicit=True, require_tls=True) as server:
            capabilities, stat = await asyncio.to_thread(look, server.port)
        assert ((1, 90), False, True) == (stat, "STLS" in capabilities, "USER" in capabilities)

    async def test_stls(self, tls: GatewayTls) -> None:
        """A foreign client secures its connection by STLS, and then logs in."""

        def look(port: int) -> list[Any]:
            client = poplib.POP3("127.0.0.1", port, 60)
            before = sorted(client.capa())
            client.stls(trusting(tls))
            after = sorted(client.capa())
            mails = whole(logged_in(client).retr(1)[1])
            client.dele(1)
            client.quit()
            return [before, after, mails]

        box = filled(ONE)
        async with serving(box, tls=tls.context(), require_tls=True) as server:
            before, after, mail = await asyncio.to_thread(look, server.port)
        assert ["AUTH-RESP-CODE", "PIPELINING", "RESP-CODES", "STLS", "TOP", "UIDL"] == before
        assert ["AUTH-RESP-CODE", "PIPELINING", "RESP-CODES", "TOP", "UIDL", "USER"] == after
        assert (ONE, ()) == (mail, box.messages)

    @pytest.mark.parametrize(("implicit", "require"), [(False, False), (True, True)])
    async def test_after_the_login(self, tls: GatewayTls, *, implicit: bool, require: bool) -> None:
        """Commands for before the login are listed after it, too (RFC 2449, section 5), and refused then."""

        def look(port: int) -> tuple[list[list[str]], str]:
            client = (
                poplib.POP3_SSL("127.0.0.1", port, timeout=60, context=trusting(tls))
                if implicit
                else poplib.POP3("127.0.0.1", port, timeout=60)
            )
            before = sorted(client.capa())
            logged_in(client)
            after = sorted(client.capa())
            with pytest.raises(poplib.error_proto) as caught:
                client.user(USER)
            client.quit()
            return [before, after], str(caught.value)

        async with serving(filled(ONE), tls=tls.context(), implicit=implicit, require_tls=require) as server:
            seen, refused = await asyncio.to_thread(look, server.port)
        offered = ["AUTH-RESP-CODE", "PIPELINING", "RESP-CODES", *([] if implicit else ["STLS"]), "TOP", "UIDL", "USER"]
        assert [offered, offered] == seen
        assert "b'-ERR USER is not allowed now'" == refused

    @pytest.mark.parametrize("security", [Security.IMPLICIT, Security.STARTTLS])
    async def test_our_own(self, tls: GatewayTls, security: Security) -> None:
        """Our own client supports both."""
        box, shelf = filled(ONE), Shelf()
        async with serving(box, tls=tls.context(), implicit=security is Security.IMPLICIT) as server:
            await account(server, security=security, tls=TlsSettings(ca_file=tls.ca_file)).fetch(shelf)
        assert ([ONE], ()) == (shelf.mails, box.messages)

    async def test_no_login_in_the_clear(self, tls: GatewayTls) -> None:
        """If TLS is required, neither name nor password is accepted before it."""
        async with serving(filled(ONE), tls=tls.context(), require_tls=True) as server, raw(server) as client:
            assert b"-ERR Log in over TLS only\r\n" == await client.ask(f"USER {USER}\r\n".encode())
            assert b"-ERR Send USER first\r\n" == await client.ask(f"PASS {PASSWORD}\r\n".encode())

    async def test_no_tls_where_there_is_none(self) -> None:
        """Without a certificate STLS is neither offered nor accepted."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            assert b"STLS" not in (await client.lines(b"CAPA") or b"STLS")
            assert b"-ERR TLS is not available\r\n" == await client.ask(b"STLS\r\n")

    async def test_no_second_tls(self, tls: GatewayTls) -> None:
        """Over TLS there is no STLS."""

        def again(port: int) -> str:
            client = poplib.POP3_SSL("127.0.0.1", port, timeout=60, context=trusting(tls))
            with pytest.raises(poplib.error_proto) as caught:
                client._shortcmd("STLS")  # type: ignore[attr-defined]
            client.close()
            return str(caught.value)

        async with serving(filled(ONE), tls=tls.context(), implicit=True) as server:
            assert "b'-ERR TLS is already active'" == await asyncio.to_thread(again, server.port)

    async def test_what_was_said_before_tls_is_forgotten(self, tls: GatewayTls) -> None:
        """A command that an attacker adds after STLS, in the clear, is never run."""

        def shaken(port: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port), 60) as plain:
                plain.recv(1000)
                plain.sendall(f"STLS\r\nUSER {USER}\r\nPASS {PASSWORD}\r\nDELE 1\r\n".encode())
                plain.recv(len(b"+OK Begin TLS\r\n"))
                with trusting(tls).wrap_socket(plain, server_hostname="localhost") as safe:
                    safe.sendall(b"NOOP\r\nQUIT\r\n")
                    return b"".join(iter(partial(safe.recv, 1000), b""))

        box = filled(ONE)
        async with serving(box, tls=tls.context()) as server:
            answers = await asyncio.to_thread(shaken, server.port)
        assert (b"-ERR NOOP is not allowed now\r\n+OK Goodbye\r\n", [ONE]) == (answers, raws(box))

    @pytest.mark.parametrize("implicit", [True, False])
    async def test_a_handshake_that_hangs(self, tls: GatewayTls, *, implicit: bool) -> None:
        """A server closes at once, although a client never completes the handshake."""
        async with asyncio.timeout(20):
            async with serving(filled(ONE), tls=tls.context(), implicit=implicit) as server:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                if not implicit:
                    await reader.readline()
                    writer.write(b"STLS\r\n")
                    assert b"+OK Begin TLS\r\n" == await reader.readline()
            assert b"" == await reader.read()
        writer.transport.abort()
        await asyncio.sleep(0)


class TestLimits:
    """Peers cannot use up the server's resources."""

    @pytest.mark.parametrize("end", [b"\r\n", b""])
    async def test_a_line_too_long(self, end: bytes) -> None:
        """A command of more than 255 octets, with its end or without, is the last one; one of 255 is a command."""
        async with serving(filled(ONE)) as server, raw(server) as client:
            assert b"-ERR Unknown command\r\n" == await client.ask(b"x" * 253 + b"\r\n")
            answer = await client.ask(b"x" * (256 - len(end)) + end)
            assert b"-ERR The line is longer than 255 octets\r\n" == answer
            assert b"" == await client.reader.read()

    async def test_silence(self) -> None:
        """A silent client is disconnected, and nothing is deleted."""
        box = filled(ONE)
        async with serving(box, timeout=0.5) as server, raw(server) as client:
            await client.log_in()
            await client.ask(b"DELE 1\r\n")
            assert b"" == await client.reader.read()
            assert box.lock()
        assert [ONE] == raws(box)

    async def test_closing_ends_sessions(self) -> None:
        """A server that closes ends its sessions, and they delete nothing."""
        box = filled(ONE)
        server = serving(box)
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            client = Raw(reader, writer)
            await reader.readline()
            await client.log_in()
            await client.ask(b"DELE 1\r\n")
        assert b"" == await reader.read()
        writer.transport.abort()
        await asyncio.sleep(0)
        assert ([ONE], True) == (raws(box), box.lock())


class TestFaults:
    """The faults of a script are shown at their command, as often as it says, and nothing is lost."""

    @pytest.mark.parametrize("command", ["GREETING", "USER", "PASS", "UIDL", "LIST", "RETR", "DELE", "QUIT"])
    @pytest.mark.parametrize("action", [FaultAction.DROP, FaultAction.STALL])
    async def test_lost_at_any_command(self, command: str, action: FaultAction) -> None:
        """Wherever the connection is lost, nothing is deleted, and the next session has everything."""
        box, shelf = filled(ONE, TWO), Shelf()
        async with serving(box, Pop3Fault(command=command, action=action)) as server:
            error = await failure(account(server, timeout=0.5 if action is FaultAction.STALL else 60))
            assert [ONE, TWO] == raws(box)
            await account(server).fetch(shelf)
        assert ([ONE, TWO], ()) == (shelf.mails, box.messages)
        assert error.retryable

    @pytest.mark.parametrize("action", [FaultAction.DROP, FaultAction.STALL])
    async def test_lost_after_the_deletions(self, action: FaultAction) -> None:
        """A connection that is lost after the deletions of QUIT looks the same to the client; the messages are gone."""
        box, shelf = filled(ONE), Shelf()
        fault = Pop3Fault(command="QUIT", action=action, deleted=True)
        async with serving(box, fault) as server:
            with pytest.raises(FetchError) as caught:
                await account(server, timeout=1 if action is FaultAction.STALL else 60).fetch(shelf)
        assert ([ONE], (), FetchFailure.LOST) == (shelf.mails, box.messages, caught.value.kind)

    @pytest.mark.parametrize("command", ["GREETING", "CAPA", "USER", "PASS", "UIDL", "LIST", "RETR", "DELE", "QUIT"])
    async def test_trickle(self, command: str) -> None:
        """A response that arrives octet by octet is the right one."""
        box, shelf = filled(ONE), Shelf()
        async with serving(box, Pop3Fault(command=command, action=FaultAction.TRICKLE, times=None)) as server:
            await account(server).fetch(shelf)
        assert ([ONE], ()) == (shelf.mails, box.messages)

    @pytest.mark.parametrize(
        ("command", "kind"),
        [
            ("GREETING", FetchFailure.CONNECT),
            ("USER", FetchFailure.LOGIN),
            ("PASS", FetchFailure.LOGIN),
            ("LIST", FetchFailure.PROTOCOL),
        ],
    )
    async def test_refused(self, command: str, kind: FetchFailure) -> None:
        """A refused step ends our client's session, with the step's kind of error."""
        async with serving(filled(ONE), Pop3Fault(command=command, action=FaultAction.REFUSE)) as server:
            error = await failure(account(server))
        assert (kind, "Refused by the script") == (error.kind, error.reply.removeprefix(f"{command}: "))

    async def test_uidl_refused(self) -> None:
        """Our client works without UIDL, which is optional in RFC 1939: it fetches by number."""
        box, shelf = filled(ONE, TWO), Shelf()
        async with serving(box, Pop3Fault(command="UIDL", action=FaultAction.REFUSE)) as server:
            await account(server).fetch(shelf)
        assert ([ONE, TWO], ()) == (shelf.mails, box.messages)

    @pytest.mark.parametrize(
        ("command", "stored", "left", "codes"),
        [
            ("RETR", [TWO], [ONE], ["pop3.unreadable"]),
            ("DELE", [ONE, TWO], [ONE], ["pop3.not-deleted"]),
            ("QUIT", [ONE, TWO], [ONE, TWO], ["pop3.quit"]),
        ],
    )
    async def test_refused_for_one_mail(
        self, command: str, stored: list[bytes], left: list[bytes], codes: list[str]
    ) -> None:
        """A message that is refused stays, and the others are fetched; a refused QUIT deletes nothing."""
        box, shelf = filled(ONE, TWO), Shelf()
        async with serving(box, Pop3Fault(command=command, action=FaultAction.REFUSE)) as server:
            done = await account(server).fetch(shelf)
        assert (stored, left) == (shelf.mails, raws(box))
        assert codes == [problem.code for problem in (*(one.problem for one in done.left), *done.problems)]

    @pytest.mark.parametrize("action", [FaultAction.REFUSE, FaultAction.DROP, FaultAction.STALL, FaultAction.TRICKLE])
    async def test_at_stls(self, tls: GatewayTls, action: FaultAction) -> None:
        """A fault at STLS is shown before the handshake; a trickling response is followed by it."""
        box, shelf = filled(ONE), Shelf()
        settings = {"security": Security.STARTTLS, "tls": TlsSettings(ca_file=tls.ca_file)}
        async with serving(box, Pop3Fault(command="STLS", action=action), tls=tls.context()) as server:
            if action is not FaultAction.TRICKLE:
                error = await failure(account(server, timeout=1 if action is FaultAction.STALL else 60, **settings))
                assert (FetchFailure.TLS if action is FaultAction.REFUSE else FetchFailure.LOST) is error.kind
            await account(server, **settings).fetch(shelf)
        assert [ONE] == shelf.mails

    async def test_a_stall_over_tls_ends_with_the_server(self, tls: GatewayTls) -> None:
        """A client that waits for a response is disconnected when the server closes."""

        def wait(port: int) -> None:
            client = poplib.POP3_SSL("127.0.0.1", port, timeout=60, context=trusting(tls))
            loop.call_soon_threadsafe(reached.set_result, None)
            with pytest.raises((OSError, poplib.error_proto)):
                client.user(USER)
            client.close()

        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()
        fault = Pop3Fault(command="USER", action=FaultAction.STALL)
        async with serving(filled(ONE), fault, tls=tls.context(), implicit=True) as server:
            waiting = asyncio.create_task(asyncio.to_thread(wait, server.port))
            await reached
        await waiting

    async def test_a_stall_hears_nothing(self) -> None:
        """A stalled server responds to nothing."""
        box = filled(ONE)
        async with serving(box, Pop3Fault(command="NOOP", action=FaultAction.STALL)) as server, raw(server) as client:
            await client.log_in()
            client.writer.write(b"NOOP\r\nDELE 1\r\nQUIT\r\n")
            client.writer.write_eof()
            assert b"" == await client.reader.read()
        assert [ONE] == raws(box)

    async def test_half_a_mail(self) -> None:
        """A connection that is lost at RETR breaks within the message, before its end."""
        async with (
            serving(filled(ONE), Pop3Fault(command="RETR", action=FaultAction.DROP)) as server,
            raw(server) as client,
        ):
            await client.log_in()
            assert b"+OK 90 octets\r\n" == await client.ask(b"RETR 1\r\n")
            with pytest.raises(ConnectionResetError):
                await client.reader.readuntil(b"\r\n.\r\n")

    async def test_as_often_as_ordered(self) -> None:
        """A fault is shown as often as its number of times, then the next one for the command, in any case."""
        faults = (
            Pop3Fault(command="noop", action=FaultAction.REFUSE, times=2),
            Pop3Fault(command="NOOP", action=FaultAction.TRICKLE, times=1),
            Pop3Fault(command="STAT", action=FaultAction.REFUSE, times=None),
        )
        async with serving(filled(ONE), *faults) as server, raw(server) as client:
            await client.log_in()
            said = [(await client.ask(b"noop\r\n"))[:4] for _ in range(4)]
            always = [(await client.ask(b"STAT\r\n"))[:4] for _ in range(4)]
        assert ([b"-ERR", b"-ERR", b"+OK ", b"+OK "], [b"-ERR"] * 4) == (said, always)


class TestMailbox:
    """The content of a mailbox."""

    def test_no_uidl_comes_twice(self) -> None:
        """Every message has a UIDL of its own, in every mailbox, also if it equals another or follows a deletion."""
        boxes = [filled(ONE, ONE), filled(ONE)]
        uidls = [mail.uidl for box in boxes for mail in box.messages]
        boxes[0].remove(uidls)
        uidls += [boxes[0].deliver(ONE)]
        assert 4 == len(set(uidls))
        assert all(len(uidl) == 32 and uidl.isalnum() for uidl in uidls)

    def test_tells_its_changes(self) -> None:
        """The callback is called for each message that is added or removed, and for nothing else."""
        heard: list[int] = []
        box = Mailbox(changed=lambda: heard.append(len(box.messages)))
        uidl = box.deliver(ONE)
        box.remove(["another"])
        box.remove([uidl])
        assert ([1, 0], [uidl]) == (heard, [mail.uidl for mail in box.fetched])

    def test_shows_no_payload(self) -> None:
        """The repr of a message has its size and not its text."""
        (mail,) = filled(ONE).messages
        assert f"MailboxMessage(uidl='{mail.uidl}', 90 octets)" == repr(mail)


def stored(mail: bytes) -> bytes:
    """Write a message as a mailbox stores it: every LF is part of a CRLF, and the last line has a line end."""
    *lines, rest = mail.split(b"\n")
    ended = b"".join((line if line.endswith(b"\r") else line + b"\r") + b"\n" for line in lines)
    return ended + rest + b"\r\n" if rest else ended


PIECES = st.sampled_from([b".", b"..", b"\r\n", b"\n", b"\r", b"a", b"\r\n.\r\n", b"\n.\n", b"\0", b"\xff", b"A: 1"])
MAILS = st.lists(st.lists(PIECES, max_size=12).map(b"".join), max_size=4)
NUMBER = st.integers(1, 4)
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["STAT", "LIST", "UIDL", "RSET", "NOOP"])),
        st.tuples(st.sampled_from(["LIST", "UIDL", "RETR", "DELE"]), NUMBER),
        st.tuples(st.just("TOP"), NUMBER, st.integers(0, 3)),
    ),
    max_size=12,
)


@attrs.define
class Model:
    """A model of what a session sees, by RFC 1939."""

    mails: list[bytes]
    uidls: list[str]
    marked: set[int] = attrs.field(factory=set[int])

    def answer(self, verb: str, *arguments: int) -> bytes | None:
        """Return the response that a command must get; None for a refusal."""
        there = [number for number in range(1, len(self.mails) + 1) if number not in self.marked]
        if arguments and arguments[0] not in there:
            return None
        named = arguments[:1] or there
        if verb == "DELE":
            self.marked.add(arguments[0])
        if verb == "RSET":
            self.marked.clear()
        if verb == "STAT":
            return f"{len(there)} {sum(len(self.mails[number - 1]) for number in there)}\r\n".encode()
        if verb in {"LIST", "UIDL"}:
            facts = self.uidls if verb == "UIDL" else [str(len(mail)) for mail in self.mails]
            return b"".join(f"{number} {facts[number - 1]}\r\n".encode() for number in named)
        if verb == "TOP":
            return self.top(self.mails[arguments[0] - 1].split(b"\r\n")[:-1], arguments[1])
        return self.mails[arguments[0] - 1] if verb == "RETR" else b""

    @staticmethod
    def top(lines: list[bytes], wanted: int) -> bytes:
        """Return the lines up to the first empty one, and a number of lines after it."""
        headers = lines.index(b"") + 1 if b"" in lines else len(lines)
        return whole(lines[: headers + wanted])


@given(mails=MAILS, commands=COMMANDS, ends=st.booleans())
def test_any_session_is_as_the_model_says(mails: list[bytes], commands: list[Any], *, ends: bool) -> None:
    """Any commands on any messages get the responses of RFC 1939, and only QUIT deletes, only what is marked."""

    async def session() -> None:
        box = filled(*mails)
        model = Model([stored(mail) for mail in mails], [mail.uidl for mail in box.messages])
        async with serving(box) as server, raw(server) as client:
            await client.log_in()
            for verb, *arguments in commands:
                line = " ".join(map(str, (verb, *arguments))).encode()
                expected = model.answer(verb, *arguments)
                if verb in {"RETR", "TOP"} or (verb in {"LIST", "UIDL"} and not arguments):
                    assert expected == await client.lines(line)
                elif verb in {"LIST", "UIDL", "STAT"} and expected is not None:
                    assert b"+OK " + expected == await client.ask(line + b"\r\n")
                else:
                    assert (b"-ERR" if expected is None else b"+OK ") == (await client.ask(line + b"\r\n"))[:4]
            if ends:
                await client.ask(b"QUIT\r\n")
        gone = model.marked if ends else set[int]()
        assert [mail for number, mail in enumerate(model.mails, 1) if number not in gone] == raws(box)

    asyncio.run(session())


@given(mails=MAILS)
def test_any_mails_reach_our_client(mails: list[bytes]) -> None:
    """Any messages pass through our own client octet for octet, each once."""

    async def session() -> None:
        shelf = Shelf()
        async with serving(filled(*mails)) as server:
            await account(server).fetch(shelf)
            await account(server).fetch(shelf)
        assert [stored(mail) for mail in mails] == shelf.mails

    asyncio.run(session())
