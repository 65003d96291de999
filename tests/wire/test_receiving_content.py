"""Receiving content: one end of a message, one size, and no octet lost or added."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from htpoort.transport import Incoming, Receiver
from htpoort.transport.content import ContentReader, HeldOctets, fits, is_clean, stuffed

Context = Callable[..., Any]

HIDDEN = b"MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<edi@forwarder.example>\r\nDATA\r\nSubject: hidden\r\n"


class Store:
    """Keep the octets of each message."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    async def __call__(self, incoming: Incoming) -> None:
        self.raws.append(incoming.raw)


class Resetting:
    """A peer that resets its connection while the receiver calls its own handler or authenticator."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003 - the method has no name for it
        self.gone = asyncio.Event()

    async def send(self, port: int, *commands: bytes) -> None:
        """Send each command after the answer to the previous one."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # it is connected
            await loop.sock_connect(self.socket, ("127.0.0.1", port))
        for command in commands:
            assert await loop.sock_recv(self.socket, 1000) != b""
            await loop.sock_sendall(self.socket, command)

    def reset(self, *_: object) -> bool:
        """Disconnect without QUIT: the kernel sends a reset at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.gone.set()
        return True

    async def __call__(self, _: Incoming) -> None:
        self.reset()


@contextlib.asynccontextmanager
async def connected(raw: Context, **settings: Any) -> AsyncGenerator[tuple[Any, list[bytes]]]:
    """Yield a client of a receiver, and the messages that the receiver's handler got."""
    store = Store()
    ours = Receiver(store, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], **settings)
    async with ours, raw(ours.port) as client:
        yield client, store.raws


class TestOneEnd:
    """Only CRLF.CRLF ends a message; what another program could read as an end is refused as a whole."""

    @pytest.mark.parametrize(
        "false_end",
        [
            b"\n.\n",
            b"\n.\r\n",
            b"\r.\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\r.\r",
            b"\n.\r",
            b"\r.\n",
            b"\r\r\n.\r\r\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\n\n.\r\n",
            b"\r\n.\r\r\n",
        ],
    )
    async def test_smuggling(self, raw: Context, false_end: bytes) -> None:
        """A second message hidden after a false end is neither split off nor delivered; one 550 answers all."""
        async with connected(raw) as (client, seen):
            await client.ready()
            reply = await client.ask(b"Subject: x\r\n\r\na" + false_end + HIDDEN + b"\r\n.\r\n")
            assert reply == "550 5.6.0 Bare CR, bare LF or NUL in the message"
            assert await client.reader.read() == b""
        assert seen == []

    @pytest.mark.parametrize(
        ("wire", "content"),
        [
            (b".\r\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b".a\r\n...\r\n.\r\n", b"a\r\n..\r\n"),
            (b"a.\r\nb.\r\n..\r\n\r\n.\r\n", b"a.\r\nb.\r\n.\r\n\r\n"),
            (b"\xe9\x80\xff\r\n.\r\n", b"\xe9\x80\xff\r\n"),
        ],
    )
    @pytest.mark.parametrize("piece", [1, 2, 3, 1000])
    async def test_dots_however_the_octets_come(self, raw: Context, wire: bytes, content: bytes, piece: int) -> None:
        """The same octets give the same content, whether they arrive singly or at once (RFC 5321, section 4.5.2)."""
        async with connected(raw) as (client, seen):
            await client.ready()
            for start in range(0, len(wire), piece):
                client.writer.write(wire[start : start + piece])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert await client.reply() == "250 OK"
        assert seen == [content]

    async def test_large_contents_cut_anywhere(self, raw: Context) -> None:
        """Contents of many shapes and sizes arrive octet for octet, cut into pieces of any size."""
        chance = random.Random(20260105)  # noqa: S311 - the same shapes in each run
        parts = [b"\r\n", b".", b"..", b".\r\n", b"a.\r\n", b"\r\n.", b"x" * 70_000, b"\r\n\r\n"]
        contents = [b"".join(chance.choices(parts, k=chance.randint(1, 12))) + b"\r\n" for _ in range(40)]
        async with connected(raw) as (client, seen):
            for content in contents:
                await client.ready()
                wire, start = stuffed(content) + b".\r\n", 0
                while start < len(wire):
                    step = chance.choice([1, 2, 3, 65_535, 65_536, 65_537, 200_000])
                    client.writer.write(wire[start : start + step])
                    await client.writer.drain()
                    start += step
                assert await client.reply() == "250 OK"
        assert contents == seen

    async def test_the_next_command_behind_the_end_is_a_command(self, raw: Context) -> None:
        """What follows the end in the same packet is read as a command, never as content."""
        async with connected(raw) as (client, seen):
            await client.ready()
            assert await client.ask(b"a\r\n.\r\nRSET\r\n") == "250 OK"
            assert await client.reply() == "250 OK"
        assert seen == [b"a\r\n"]


class TestSize:
    """The limit counts the octets of the message with line ends, without doubled dots and the end (RFC 1870)."""

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"a" * 98 + b"\r\n", "250"),
            (b"a" * 99 + b"\r\n", "552"),
            (b".\r\n" * 32 + b"..\r\n", "250"),
            (b".\r\n" * 34, "552"),
            (b"a" * 300 + b"\r\n", "552"),
            (b"a\r\n" * 1_000_000, "552"),
            (b"a" * 3_000_000 + b"\r\n", "552"),
            (b"a.\r\n" * 100, "552"),
        ],
    )
    async def test_octets(self, raw: Context, content: bytes, code: str) -> None:
        """A message of the limit is accepted, a larger one is 552, and the next message is accepted again."""
        async with connected(raw, size_limit=100) as (client, seen):
            await client.ready()
            assert (await client.ask(stuffed(content) + b".\r\n"))[:3] == code
            await client.ready()
            assert (await client.ask(b"next\r\n.\r\n"))[:3] == "250"
        assert [*([content] if code == "250" else []), b"next\r\n"] == seen

    async def test_announced(self, raw: Context) -> None:
        """SIZE is offered, and a size above it is 552 at MAIL already."""
        async with connected(raw, size_limit=100) as (client, _):
            assert "250-SIZE 100" in await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"MAIL FROM:<dms@htpoort.nl> SIZE=101\r\n"))[:3] == "552"
            assert (await client.ask(b"MAIL FROM:<dms@htpoort.nl> SIZE=100\r\n"))[:3] == "250"

    async def test_a_line_without_an_end_is_bounded(self, raw: Context) -> None:
        """2 MB without a line end are accepted if the limit allows it."""
        content = b"x" * 2_000_000 + b"\r\n"
        async with connected(raw) as (client, seen):
            await client.ready()
            assert await client.ask(content + b".\r\n") == "250 OK"
        assert seen == [content]


class TestLeaving:
    """A peer that leaves in the middle delivers nothing; one that leaves after the end delivers a message."""

    @pytest.mark.parametrize("how", ["close", "abort", "write_eof"])
    @pytest.mark.parametrize("sent", [b"", b"Subject: x\r\n\r\nhalf", b"half\r\n.", b"half\r\n.\r", b"x" * 300_000])
    async def test_in_the_middle(self, raw: Context, how: str, sent: bytes) -> None:
        """Half a message never reaches the handler."""
        store = Store()
        ours = Receiver(store, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"])
        async with ours:
            async with raw(ours.port) as client:
                await client.ready()
                client.writer.write(sent)
                await client.writer.drain()
                getattr(client.writer.transport, how)()
                with contextlib.suppress(ConnectionError):
                    await client.reader.read()
            async with raw(ours.port) as other:
                assert await other.ask(b"NOOP\r\n") == "250 OK"
        assert store.raws == []

    @pytest.mark.parametrize("how", ["close", "abort"])
    async def test_while_the_handler_runs(self, raw: Context, how: str, caplog: pytest.LogCaptureFixture) -> None:
        """A handler goes on when its peer has disconnected; the log reports that the answer was not received."""
        begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(_: Incoming) -> None:
            begun.set()
            await go_on.wait()
            ended.set()

        ours = Receiver(slow, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"])
        async with ours:
            async with raw(ours.port) as client:
                await client.ready()
                client.writer.write(b"a\r\n.\r\n")
                await begun.wait()
                getattr(client.writer.transport, how)()
            async with raw(ours.port) as other:
                # The receiver has seen the end of the first connection when it answers the second.
                await other.ask(b"NOOP\r\n")
                go_on.set()
                await ended.wait()
        assert "127.0.0.1 disconnected before the answer 250 OK" in caplog.text

    async def test_in_the_moment_of_the_answer(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """A peer that resets the connection while the handler returns is logged, and affects no other."""
        peer = Resetting()
        ours = Receiver(peer, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"])
        async with ours:
            await peer.send(
                ours.port, b"EHLO a\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<edi@forwarder.example>\r\n", b"DATA\r\n"
            )
            await peer.send(ours.port, b"a\r\n.\r\n")
            await peer.gone.wait()
            async with raw(ours.port) as other:
                assert await other.ask(b"NOOP\r\n") == "250 OK"
        assert "127.0.0.1 disconnected during the answer 250 OK" in caplog.text

    async def test_in_the_moment_of_another_answer(self, raw: Context) -> None:
        """A peer that resets the connection during an answer ends its own connection only."""
        peer = Resetting()
        settings = {"mailboxes": ["edi@forwarder.example"], "authenticator": peer.reset}
        async with Receiver(Store(), hostname="mx.forwarder.example", **settings) as ours:
            await peer.send(ours.port, b"EHLO a\r\n", b"AUTH PLAIN AGVkaQBnZWhlaW0=\r\n")
            await peer.gone.wait()
            async with raw(ours.port) as other:
                assert await other.ask(b"NOOP\r\n") == "250 OK"

    async def test_a_trickle_ends(self, raw: Context) -> None:
        """A peer that sends content too slowly is disconnected after the timeout."""
        async with connected(raw, timeout=0.5) as (client, seen):
            await client.ready()
            client.writer.write(b"Subject: x\r\n")
            assert await client.reader.read() == b""
        assert seen == []


class TestClean:
    """Doubling dots and undoing it changes nothing; clean content is read alike by all software."""

    @given(st.lists(st.sampled_from([b".", b"..", b"a", b"\xff", b"\r\n", b" "])).map(b"".join))
    def test_there_and_back(self, content: bytes) -> None:
        """What stuffed returns is read as it was before, and contains no end of a message."""
        wire = stuffed(content + b"\r\n")
        reader = ContentReader(10_000, HeldOctets(10_000))
        assert (b"", content + b"\r\n") == (reader.feed(wire + b".\r\n"), reader.content())
        assert b"\r\n.\r\n" not in b"\r\n" + wire

    @given(st.lists(st.sampled_from([b".", b"a", b"\r", b"\n", b"\r\n", b"\0"])).map(b"".join))
    def test_clean(self, content: bytes) -> None:
        """A content is clean if no CR, LF or NUL is left without its CRLFs."""
        rest = content.replace(b"\r\n", b"")
        assert (not set(rest) & set(b"\r\n\0")) == is_clean(content)

    @given(st.lists(st.sampled_from([b"a", b"bbb", b"\r\n", b"\r", b"\n"])).map(b"".join), st.integers(0, 5))
    def test_fits(self, content: bytes, limit: int) -> None:
        """A content fits if no line, its CRLF not counted, has more octets than the limit."""
        assert all(len(line) <= limit for line in content.split(b"\r\n")) == fits(content, limit)


class TestAnswers:
    """A peer decides by no octet of a command where an answer ends, or what a terminal shows of it."""

    @pytest.mark.parametrize(
        "command", [b"A\r250 ok\r\n", b"A\0B\r\n", b"A\x1b[2J\r\n", b"A\r.\rMAIL FROM:<a@b.example>\r\n"]
    )
    async def test_have_no_control_characters(self, raw: Context, command: bytes) -> None:
        """An answer that repeats a command is one line of printable characters."""
        async with connected(raw) as (client, _):
            answer = await client.ask(command)
            assert answer.startswith("500 ")
            assert answer.isprintable()
