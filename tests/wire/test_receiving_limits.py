"""Receiving: what each peer and all peers together may use at once, and what remains when they leave."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given, strategies as st

from htpoort import InputError
from htpoort._log import event
from htpoort.transport import Incoming, Limits, Receiver, Refusal, TlsSettings, server_context
from htpoort.transport.content import ContentReader, HeldOctets, Unfit
from htpoort.transport.receiver_connections import LimitedLog

Context = Callable[..., Any]

END = b"\r\n.\r\n"


class Store:
    """Keep the octets of each message."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    async def __call__(self, incoming: Incoming) -> None:
        self.raws.append(incoming.raw)


def receiver(handler: Callable[[Incoming], Any], **settings: Any) -> Receiver:
    """Make a receiver for one mailbox."""
    return Receiver(handler, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], **settings)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that no event reports."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(port: int, source: str = "127.0.0.1") -> AsyncGenerator[asyncio.StreamReader]:
    """Connect from an address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield reader
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def greeted(port: int, source: str = "127.0.0.1") -> AsyncGenerator[str]:
    """Connect from an address of this machine, and return the first line."""
    async with connected(port, source) as reader:
        yield (await reader.readline()).decode().rstrip()


class TestConnections:
    """A connection too many is answered with 421, and affects none of the others."""

    async def test_of_all(self, caplog: pytest.LogCaptureFixture) -> None:
        """The third of two is answered with 421 and closed; when one has left, the next is accepted."""
        async with receiver(Store(), limits=Limits(connections=2)) as ours:
            async with greeted(ours.port) as first, greeted(ours.port) as second:
                async with greeted(ours.port) as third:
                    pass
                assert ["220", "220"] == [first[:3], second[:3]]
                assert third == "421 4.3.2 Too many connections, try again later"
            await until(lambda: not ours._tracker.connections)
            async with greeted(ours.port) as again:
                assert again[:3] == "220"
        assert caplog.messages == ["127.0.0.1: answered 421, because 2 connections are open"]

    async def test_of_one_peer(self, caplog: pytest.LogCaptureFixture) -> None:
        """A peer at its own limit keeps no other peer out."""
        async with (
            receiver(Store(), limits=Limits(connections_per_peer=1)) as ours,
            greeted(ours.port) as first,
            greeted(ours.port) as second,
            greeted(ours.port, "127.0.0.2") as other,
        ):
            pass
        assert ["220", "220"] == [first[:3], other[:3]]
        assert second == "421 4.7.0 Too many connections from your address, try again later"
        assert caplog.messages == ["127.0.0.1: answered 421, because it has 1 connections open"]

    async def test_as_many_as_a_gateway_opens(self) -> None:
        """The default limits allow one address the 20 connections that Postfix opens, and 30 more."""
        async with receiver(Store()) as ours, contextlib.AsyncExitStack() as stack:
            greetings = [await stack.enter_async_context(greeted(ours.port)) for _ in range(51)]
        assert [*["220"] * 50, "421"] == [greeting[:3] for greeting in greetings]

    async def test_strangers_take_no_place(self) -> None:
        """A peer outside of the networks is not counted."""
        settings = {"networks": ["127.0.0.2/32"], "limits": Limits(connections=1)}
        async with (
            receiver(Store(), **settings) as ours,
            greeted(ours.port) as stranger,
            greeted(ours.port, "127.0.0.2") as peer,
            greeted(ours.port) as another,
        ):
            assert ["554", "220", "554"] == [stranger[:3], peer[:3], another[:3]]

    async def test_a_peer_that_left_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A connection that was reset before it was accepted is forgotten, and logs nothing."""
        async with receiver(Store()) as ours:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", ours.port)) as peer:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            async with greeted(ours.port) as greeting:
                assert greeting[:3] == "220"
            await until(lambda: not ours._tracker.connections)
        assert [] == caplog.messages

    async def test_a_peer_that_reads_nothing(self) -> None:
        """A peer that reads no answer is disconnected after the timeout, and its place is free."""
        async with receiver(Store(), timeout=0.2) as ours:
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)  # noqa: FBT003 - the method has no name for it
            with peer:
                loop = asyncio.get_running_loop()
                await loop.sock_connect(peer, ("127.0.0.1", ours.port))
                with contextlib.suppress(OSError):
                    while True:
                        await loop.sock_sendall(peer, b"HELP\r\nNOOP\r\n" * 1000)
            await until(lambda: not ours._tracker.connections)

    async def test_when_the_handshake_fails(
        self, raw: Context, authority: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failed handshake logs one line with peer and reason, at most ten times a minute, and takes no place."""
        tls = server_context(TlsSettings(certificate=authority.host))
        async with receiver(Store(), tls=tls) as ours:
            for _ in range(12):
                async with raw(ours.port) as client:
                    await client.ask(b"EHLO dms.example\r\n")
                    await client.ask(b"STARTTLS\r\n")
                    client.writer.write(b"QUIT\r\n" * 10)
                    assert await client.reader.read() == b""
            await until(lambda: not ours._tracker.connections)
        line = "127.0.0.1: the TLS handshake failed: WRONG_VERSION_NUMBER"
        assert [*[line] * 10, f"Left out 2 more lines like this one: {line}"] == caplog.messages

    async def test_when_the_handshake_does_not_come(
        self, raw: Context, authority: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A handshake that does not arrive within the timeout, or whose peer leaves, is logged and takes no place."""
        tls = server_context(TlsSettings(certificate=authority.host))
        async with receiver(Store(), tls=tls, timeout=1.0) as ours:
            for leaves in (False, True):
                async with raw(ours.port) as client:
                    await client.ask(b"EHLO dms.example\r\n")
                    await client.ask(b"STARTTLS\r\n")
                    if leaves:
                        client.writer.write_eof()
                    assert await client.reader.read() == b""
            await until(lambda: not ours._tracker.connections)
        assert caplog.messages == [
            "127.0.0.1: the TLS handshake failed: timeout",
            "127.0.0.1: the TLS handshake failed: ConnectionResetError",
        ]

    async def test_a_client_that_does_not_trust_us(
        self, authority: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The reason is OpenSSL's: here the alert of a client that does not trust our authority."""
        tls = server_context(TlsSettings(certificate=authority.host))
        async with receiver(Store(), tls=tls) as ours:
            reader, writer = await asyncio.open_connection("localhost", ours.port)
            await reader.readline()
            writer.write(b"EHLO dms.example\r\n")
            while (await reader.readline())[3:4] == b"-":
                pass
            writer.write(b"STARTTLS\r\n")
            await reader.readline()
            with pytest.raises(ssl.SSLCertVerificationError):
                await writer.start_tls(ssl.create_default_context(cafile=authority.other_ca))
            writer.transport.abort()
            await until(lambda: not ours._tracker.connections)
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("127.0.0.1: the TLS handshake failed: ")


class TestDescriptors:
    """When the system has no descriptors left, a receiver waits, logs a line, and continues."""

    SCRIPT = """
import asyncio, resource
from htpoort.transport import Limits, Receiver

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    async def take(_): pass
    async with Receiver(
        take, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"],
        limits=Limits(connections=1000, connections_per_peer=1000),
    ) as receiver:
        print(receiver.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

    async def test_none_left(self) -> None:
        """80 connections to a process of 40 files cause a few log lines; the next message is accepted after them."""
        running = await asyncio.create_subprocess_exec(sys.executable, "-c", self.SCRIPT, stdout=PIPE, stderr=PIPE)
        assert running.stdout is not None
        assert running.stderr is not None
        port = int(await running.stdout.readline())
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(80):
                await stack.enter_async_context(connected(port))
            first = (await running.stderr.readline()).decode()
        async with greeted(port) as greeting:
            assert greeting[:3] == "220"
        running.send_signal(signal.SIGTERM)
        rest = (await running.stderr.read()).decode().splitlines()
        await running.wait()
        assert "Cannot accept connections; trying again in 1 s: Too many open files\n" == first
        assert set(rest) <= {first.rstrip()}
        assert len(rest) <= 10


class TestOctets:
    """All messages together hold no more octets than the limit; a peer without room is asked to try again."""

    LIMITS = Limits(held_limit=1000)

    async def test_unfinished_messages_count(self, raw: Context) -> None:
        """With 600 unfinished octets, 600 more are 452; when the first are accepted, the others are too."""
        store = Store()
        content = b"x" * 598 + b"\r\n"
        async with (
            receiver(store, size_limit=1000, limits=self.LIMITS) as ours,
            raw(ours.port) as one,
            raw(ours.port) as two,
        ):
            await one.ready()
            one.writer.write(content)
            # The last line end could belong to the end, which is not part of the content.
            await until(lambda: ours._tracker.held.left == 402)
            await two.ready()
            assert await two.ask(content + b".\r\n") == "452 4.3.1 No room for the message now, try again later"
            assert (402, "250 OK") == (ours._tracker.held.left, await one.ask(b".\r\n"))
            await two.ready()
            assert await two.ask(content + b".\r\n") == "250 OK"
            assert 1000 == ours._tracker.held.left
        assert [content] * 2 == store.raws

    async def test_a_message_that_is_handled_counts(self, raw: Context) -> None:
        """Octets are held until the handler has returned, even if its peer has disconnected."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: Incoming) -> None:
            begun.set()
            await go_on.wait()

        async with receiver(slow, size_limit=1000, limits=self.LIMITS) as ours:
            async with raw(ours.port) as client:
                await client.ready()
                client.writer.write(b"x" * 598 + END)
                await begun.wait()
            await until(lambda: not ours._tracker.connections)
            assert 400 == ours._tracker.held.left
            go_on.set()
            await until(lambda: ours._tracker.held.left == 1000)

    @pytest.mark.parametrize(
        ("content", "code"), [(b"x" * 2000 + END, "552"), (b"x\ny" + END, "550"), (b"", ""), (b"x" * 500, "")]
    )
    async def test_what_is_not_taken_holds_nothing(self, raw: Context, content: bytes, code: str) -> None:
        """A message that is too large, not clean, or unfinished when its peer leaves, frees its room."""
        store = Store()
        async with receiver(store, size_limit=1000, limits=self.LIMITS) as ours:
            async with raw(ours.port) as client:
                await client.ready()
                client.writer.write(content)
                if code:
                    assert (await client.reply())[:3] == code
            await until(lambda: not ours._tracker.connections)
            assert 1000 == ours._tracker.held.left
        assert [] == store.raws

    async def test_a_size_that_is_announced(self, raw: Context) -> None:
        """A SIZE for which there is no room is 452 at MAIL already (RFC 1870, section 6.1)."""
        async with (
            receiver(Store(), size_limit=1000, limits=self.LIMITS) as ours,
            raw(ours.port) as one,
            raw(ours.port) as two,
        ):
            await one.ready()
            one.writer.write(b"x" * 600)
            await until(lambda: ours._tracker.held.left <= 400)
            await two.ask(b"EHLO dms.example\r\n")
            replies = [await two.ask(b"MAIL FROM:<> SIZE=%d\r\n" % size) for size in (401, 400)]
        assert ["452 4.3.1 No room for the message now, try again later", "250 OK"] == replies

    @pytest.mark.parametrize("twice", [b"SIZE=x SIZE=1", b"SIZE=9999 SIZE=1", b"BODY=7BIT BODY=8BITMIME"])
    async def test_a_parameter_that_comes_twice(
        self, raw: Context, twice: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two values for one parameter are a syntax error, whatever the first one is, and are not logged."""
        async with receiver(Store(), size_limit=1000, limits=self.LIMITS) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert "501" == (await client.ask(b"MAIL FROM:<> " + twice + b"\r\n"))[:3]
        assert [] == [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    async def test_no_room_is_no_reason_for_what_would_never_fit(self, raw: Context) -> None:
        """If there is no room either, a message over the size limit is 552, so that its peer does not try again."""
        async with receiver(Store(), size_limit=1000, limits=self.LIMITS) as ours, raw(ours.port) as client:
            await client.ready()
            assert (await client.ask(b"x" * 700 + b"y" * 700 + END))[:3] == "552"

    async def test_what_is_refused_is_logged(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """A refused message logs one line: the peer, the answer and the setting; none of its words."""
        async with receiver(Store(), size_limit=1000, limits=self.LIMITS) as ours:
            for content in (b"x" * 1001 + END, b"secret\nword" + END):
                async with raw(ours.port) as client:
                    await client.ready()
                    await client.ask(content)
            async with raw(ours.port) as one, raw(ours.port) as two:
                await one.ready()
                one.writer.write(b"x" * 600)
                await until(lambda: ours._tracker.held.left <= 400)
                await two.ready()
                await two.ask(b"x" * 500 + END)
                for size in (1001, 401):
                    await two.ask(b"MAIL FROM:<> SIZE=%d\r\n" % size)
                await two.ask(b"MAIL FROM:<>\r\n")
                await two.ask(b"RCPT TO:<stranger@forwarder.example>\r\n")
        large = (
            "127.0.0.1: answered 552 to a message, because it has more octets than size_limit (1000); "
            "its sender will not try again"
        )
        room = (
            "127.0.0.1: answered 452 to a message, because all messages together would have more octets than "
            "held_limit (1000); its sender should try again"
        )
        unclean = (
            "127.0.0.1: answered 550 to a message and closed the connection, because the message has a bare CR, "
            "a bare LF or a NUL; its sender will not try again"
        )
        recipient = "127.0.0.1: answered 550 to a recipient that is not one of the mailboxes of this inbox"
        assert [large, unclean, room, large, room, recipient] == [
            record.message for record in caplog.records if record.name == "htpoort.transport"
        ]

    async def test_what_is_refused_is_logged_with_a_limit(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """A peer that tries repeatedly logs ten lines a minute, and the number of the others."""
        async with receiver(Store(), size_limit=1000, limits=self.LIMITS) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            for _ in range(13):
                await client.ask(b"MAIL FROM:<> SIZE=1001\r\n")
        lines = [record.message for record in caplog.records if record.name == "htpoort.transport"]
        assert (11, "Left out 3 more lines like this one") == (len(lines), lines[-1].partition(":")[0])

    async def test_a_peer_of_no_network_is_logged(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """A refused peer logs a line that names the setting: it may be the gateway at a new address."""
        async with receiver(Store(), networks=["192.0.2.0/24"]) as ours, raw(ours.port, greeting=False) as client:
            assert "554" == (await client.reply())[:3]
        assert ["127.0.0.1: answered 554, because it is in none of the networks of this inbox"] == caplog.messages

    async def test_words_of_a_peer_are_not_kept(self, raw: Context) -> None:
        """An unknown command leaves nothing in memory; aiosmtpd keeps each word for all connections."""
        before = dict(SMTP.command_size_limits)
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            for number in range(50):
                assert (await client.ask(b"%d" % number + b"X" * 1000 + b"\r\n"))[:3] == "500"
            (dialogue,) = ours._tracker.connections
            assert {"MAIL"} == set(dialogue.command_size_limits)  # type: ignore[attr-defined]
        assert before == SMTP.command_size_limits


class TestTurns:
    """Whatever one peer sends, the others are served."""

    async def test_commands_sent_together(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """20 commands, one after another, are answered while 5,000 sent at once are still being answered."""
        with caplog.at_level(logging.INFO, "mail.log"):
            async with receiver(Store()) as ours, raw(ours.port) as busy, raw(ours.port) as other:
                busy.writer.write(b"RSET\r\n" * 5000)
                for _ in range(20):
                    assert await other.ask(b"NOOP\r\n") == "250 OK"
                carried_out = sum("RSET" in message for message in caplog.messages)
        assert 0 < carried_out < 5000

    async def test_content_without_an_end(self, raw: Context) -> None:
        """A content that does not end after ten timeouts ends the connection, however quickly it arrives."""
        store = Store()
        async with receiver(store, timeout=0.5) as ours, raw(ours.port) as client:
            await client.ready()
            with contextlib.suppress(ConnectionError):
                while not client.reader.at_eof():
                    client.writer.write(b"x" * 70_000 + b"\r\n")
                    await client.writer.drain()
            await until(lambda: not ours._tracker.connections)
        assert [] == store.raws


class TestNothingBehind:
    """After an answer that ends the connection, no command that had arrived before is carried out."""

    AGAIN = b"MAIL FROM:<>\r\nRCPT TO:<edi@forwarder.example>\r\nDATA\r\nsecond" + END

    @pytest.mark.parametrize("first", [b"x\ny", b"x\0y", b"x\ry" * 1000])
    async def test_after_550(self, raw: Context, first: bytes) -> None:
        """A message after one that is not clean is not accepted; one too large as well is 550 and closed."""
        store = Store()
        async with receiver(store, size_limit=1000) as ours, raw(ours.port) as client:
            await client.ready()
            client.writer.write(first + END + self.AGAIN)
            with contextlib.suppress(ConnectionError):
                assert (await client.reply())[:3] == "550"
                assert await client.reader.read() == b""
            await until(lambda: not ours._tracker.connections)
        assert [] == store.raws

    async def test_after_421(self, raw: Context) -> None:
        """A message after one that the handler answered with 421 is not accepted."""
        seen: list[bytes] = []

        async def later(incoming: Incoming) -> None:
            seen.append(incoming.raw)
            await asyncio.sleep(0)
            raise Refusal(421, "4.3.2 Later")

        async with receiver(later) as ours, raw(ours.port) as client:
            await client.ready()
            client.writer.write(b"first" + END + self.AGAIN)
            with contextlib.suppress(ConnectionError):
                assert await client.reply() == "421 4.3.2 Later"
                assert await client.reader.read() == b""
            await until(lambda: not ours._tracker.connections)
        assert [b"first\r\n"] == seen


class TestReader:
    """A content is read the same however it is cut, and no more is kept than the content."""

    PARTS = (b"\r\n", b".", b"a", b"\r", b"\n", b"\0", b"..\r\n", b"\r\n.", b"x" * 50)

    @given(st.lists(st.sampled_from(PARTS)).map(b"".join), st.lists(st.integers(0, 200)), st.integers(1, 100))
    def test_as_in_one_piece(self, octets: bytes, cuts: list[int], limit: int) -> None:
        """Pieces give the same as the whole, here by plain means: find the end, undo dots, look for bare ones."""
        wire = octets + END + b"NOOP\r\n"
        content, _, rest = (b"\r\n" + wire).partition(END)
        content = (content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
        bare = set(content.replace(b"\r\n", b"")) & set(b"\r\n\0")
        unfit = Unfit.UNCLEAN if bare else Unfit.TOO_LARGE if len(content) > limit else None
        held = HeldOctets(1000)
        reader = ContentReader(limit, held)
        places = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
        behind: bytes | None = None
        for start, stop in itertools.pairwise(places):
            piece = wire[start:stop]
            behind = reader.feed(piece) if behind is None else behind + piece
        assert (rest, unfit) == (behind, reader.unfit)
        assert (1000 - len(content) if unfit is None else 1000) == held.left
        assert unfit is not None or content == reader.content()
        reader.drop()
        assert 1000 == held.left

    def test_only_one_copy(self) -> None:
        """The reader returns what it kept, not a copy of it."""
        reader = ContentReader(100_000, HeldOctets(100_000))
        reader.feed(b"x" * 50_000 + END)
        assert reader.content() is reader.content()


class TestLog:
    """What strangers cause is logged, with a limit."""

    async def test_ten_of_a_kind(self, caplog: pytest.LogCaptureFixture) -> None:
        """Ten lines of a kind are logged, those of another kind as well, and how many were left out."""
        log = LimitedLog(logging.getLogger("htpoort.transport"))
        for number in range(13):
            log.warning("one %d", number, extra=event("recipient.refused", peer=str(number)))
        log.warning("other", extra=event("connection.refused"))
        log.close()
        expected = [*(f"one {number}" for number in range(10)), "other", "Left out 3 more lines like this one: one 12"]
        assert expected == caplog.messages
        last: Any = caplog.records[-1]
        assert ("lines.left-out", {"number": 3, "like": "recipient.refused"}) == (last.event, last.facts)

    async def test_errors_too(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error keeps its level, and has the same limit."""
        log = LimitedLog(logging.getLogger("htpoort.transport"))
        for number in range(11):
            log.error("one %d", number, extra=event("login.not-checked"))
        assert [("ERROR", f"one {number}") for number in range(10)] == [
            (record.levelname, record.message) for record in caplog.records
        ]


class TestArguments:
    """Limits that nothing could keep are refused when they are made."""

    @pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "20"])
    def test_limits(self, value: Any) -> None:
        """Each limit is a whole number above 0; every other value is reported, all at once."""
        names = ("connections", "connections_per_peer", "held_limit", "commands_per_turn")
        with pytest.raises(InputError) as caught:
            Limits(**dict.fromkeys(names, value))
        assert [f"{name} is {value!r}; give a whole number above 0." for name in names] == [
            problem.message for problem in caught.value.problems
        ]

    def test_no_room_for_one_message(self) -> None:
        """A size limit above what all messages may hold together is refused: no message of it would fit."""
        with pytest.raises(InputError) as caught:
            receiver(Store(), size_limit=1001, limits=Limits(held_limit=1000))
        assert ["receiver.held"] == [problem.code for problem in caught.value.problems]
