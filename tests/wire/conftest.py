"""Foreign servers, foreign clients and certificates for the tests of the wire; everything on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import trustme
from aiosmtpd.smtp import SMTP
from tidy import check_tidy

from htpoort import DMS, Submission, build

END = b"\r\n.\r\n"


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or an exception that was never retrieved."""
    yield
    await check_tidy(caplog)


# ── messages ─────────────────────────────────────────────────────────────────


@pytest.fixture
def submission() -> Callable[..., Submission]:
    """Build a request to DMS."""

    def build_request(payload: bytes = b"<MetaData/>\r\n", reference: str = "22096222734662") -> Submission:
        return build(
            system=DMS,
            party="NL123456789.02.05",
            mailbox="edi@forwarder.example",
            reference=reference,
            payload=payload,
            date=dt.datetime(2026, 1, 5, 9, 30, tzinfo=dt.UTC),
            message_id=f"<{reference}@forwarder.example>",
        )

    return build_request


# ── certificates ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Write the files of two authorities and of certificates that they issued."""
    place = tmp_path_factory.mktemp("tls")

    def written(name: str, blob: trustme.Blob) -> str:
        path = place / name
        blob.write_to_path(path)
        return str(path)

    ours, theirs = trustme.CA(), trustme.CA()
    host = ours.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
    other = ours.issue_cert("elsewhere.example")
    client = ours.issue_cert("edi@forwarder.example")
    return SimpleNamespace(
        ca=written("ca.pem", ours.cert_pem),
        other_ca=written("other-ca.pem", theirs.cert_pem),
        host=written("host.pem", host.private_key_and_cert_chain_pem),
        host_key=written("host.key", host.private_key_pem),
        host_chain=written("host.crt", host.cert_chain_pems[0]),
        elsewhere=written("elsewhere.pem", other.private_key_and_cert_chain_pem),
        client=written("client.pem", client.private_key_and_cert_chain_pem),
        client_key=written("client.key", client.private_key_pem),
        place=Path(place),
    )


@pytest.fixture
def foreign_tls(authority: SimpleNamespace) -> ssl.SSLContext:
    """Make a server's context that does not use our policy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.host)
    return context


# ── a server that plays a fixed dialogue ─────────────────────────────────────


class FixedServer:
    """
    Play one dialogue to each client.

    Each answer is octets, or "drop" (reset), "close", "stall" (until the client leaves), "deaf" (read nothing
    more), "tls" (upgrade), or a tuple of these; a list has one for each time the command is sent.
    """

    GO_ON = b"354 go on\r\n"

    def __init__(self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, **answers: Any) -> None:
        usual = {
            "connect": b"220 customs.example\r\n",
            "EHLO": b"250 customs.example\r\n",
            "STARTTLS": (b"220 go on\r\n", "tls"),
            "AUTH": b"235 welcome\r\n",
            "MAIL": b"250 sender\r\n",
            "RCPT": b"250 recipient\r\n",
            "DATA": self.GO_ON,
            "content": None,
            "dot": b"250 queued as 4711\r\n",
            "RSET": b"250 reset\r\n",
            "QUIT": (b"221 bye\r\n", "close"),
            "other": b"500 no command\r\n",
        }
        self._answers = {**usual, **answers}
        self._tls = tls
        self._implicit = implicit
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.commands: list[str] = []
        self.contents: list[bytes] = []
        self.ciphers: list[tuple[str, str]] = []
        self.shown: list[Any] = []
        self.connections = 0
        self.reached: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._answers}
        self.left = asyncio.Event()

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(
            self._connected, sock=listener, limit=2**26, ssl=self._tls if self._implicit else None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._closing.set()
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.left.set()
            writer.transport.abort()
            self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer("connect", reader, writer)
        if self._implicit:
            self._note_cipher(writer)
        while not writer.is_closing():
            # A client that takes this for TLS sends any octets, and a line end may be among them.
            line = (await reader.readuntil(b"\r\n")).decode("latin-1").strip()
            self.commands.append(line)
            verb = line.partition(" ")[0].upper()
            if await self._answer(verb if verb in self._answers else "other", reader, writer) == self.GO_ON:
                await self._content(reader, writer)

    async def _content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answers["content"] is not None:
            await reader.readexactly(10_000)
            await self._answer("content", reader, writer)
            return
        self.contents.append(await reader.readuntil(END))
        await self._answer("dot", reader, writer)

    async def _answer(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
        self.reached[name].set()
        answer = self._answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        for step in answer if isinstance(answer, tuple) else (answer,):
            await self._step(step, reader, writer)
        return answer

    async def _step(self, step: bytes | str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case "drop":
                writer.transport.abort()
            case "close":
                writer.close()
            case "stall":
                await reader.read()
                writer.close()
            case "deaf":
                writer.transport.pause_reading()
                await self._closing.wait()
            case "tls":
                await writer.start_tls(self._tls)
                self._note_cipher(writer)
            case bytes():
                writer.write(step)

    def _note_cipher(self, writer: asyncio.StreamWriter) -> None:
        name, version, _ = writer.get_extra_info("cipher")
        self.ciphers.append((version, name))
        self.shown.append(writer.get_extra_info("peercert"))


@pytest.fixture
def fixed() -> type[FixedServer]:
    """Return the class of a server that plays a fixed dialogue."""
    return FixedServer


# ── a server whose TLS is OpenSSL's own ──────────────────────────────────────


@pytest.fixture
def alerting() -> Callable[..., Any]:
    """
    Run a server that does one handshake, with a blocking socket in a thread.

    asyncio's server resets the connection where OpenSSL sends an alert with the reason.
    """

    def shaken(listener: socket.socket, context: ssl.SSLContext, *, implicit: bool) -> None:
        plain, _ = listener.accept()
        with plain, contextlib.suppress(OSError):
            plain.settimeout(60)
            if not implicit:
                plain.sendall(b"220 customs.example\r\n")
                plain.recv(1000)
                plain.sendall(b"250-customs.example\r\n250 STARTTLS\r\n")
                plain.recv(1000)
                plain.sendall(b"220 go on\r\n")
            # An alert that arrived together with the 220 would be dropped as plain text.
            plain.recv(1, socket.MSG_PEEK)
            with (
                contextlib.suppress(ssl.SSLError),
                context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
                ) as safe,
            ):
                try:
                    safe.do_handshake()
                finally:
                    # Closing at once would reset the connection and overtake the alert.
                    safe.shutdown(socket.SHUT_WR)
                    while socket.socket.recv(safe, 1000):
                        pass

    @asynccontextmanager
    async def running(context: ssl.SSLContext, *, implicit: bool = False) -> AsyncGenerator[SimpleNamespace]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(60)
            task = asyncio.create_task(asyncio.to_thread(shaken, listener, context, implicit=implicit))
            try:
                yield SimpleNamespace(port=listener.getsockname()[1])
            finally:
                await task

    return running


# ── aiosmtpd as it is ────────────────────────────────────────────────────────


class Sink:
    """Accept every message."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        self.contents.append(envelope.content)
        return "250 queued"


@pytest.fixture
def stock() -> Callable[..., Any]:
    """Run an SMTP server of stock aiosmtpd; yields its port and the messages it accepted."""

    @asynccontextmanager
    async def running(handler: object = None, **settings: Any) -> AsyncGenerator[SimpleNamespace]:
        sink = handler or Sink()
        transports: list[asyncio.BaseTransport] = []

        class Seen(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transports.append(transport)
                super().connection_made(transport)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Seen(sink, hostname="customs.example", **settings), "127.0.0.1", 0)
        try:
            yield SimpleNamespace(port=server.sockets[0].getsockname()[1], sink=sink)
        finally:
            server.close()
            for transport in transports:
                transport.abort()
            await asyncio.sleep(0)

    return running


# ── a client that sends any octets ───────────────────────────────────────────


class RawClient:
    """Send any octets, and read answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeted = False

    async def reply(self) -> str:
        """Read one answer with all of its lines; empty at the end of the connection."""
        lines: list[str] = []
        while True:
            line = (await self.reader.readline()).decode()
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines).rstrip("\r\n")

    async def ask(self, octets: bytes) -> str:
        """Send octets and read one answer."""
        self.writer.write(octets)
        await self.writer.drain()
        return await self.reply()

    async def ready(self, rcpt: bytes = b"edi@forwarder.example") -> None:
        """Run the dialogue until the server waits for content."""
        if not self.greeted:
            self.greeted = (await self.ask(b"EHLO dms.example\r\n"))[:3] == "250"
        await self.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n")
        await self.ask(b"RCPT TO:<" + rcpt + b">\r\n")
        assert (await self.ask(b"DATA\r\n"))[:3] == "354"


@pytest.fixture
def raw() -> Callable[..., Any]:
    """Connect a client that sends any octets, and read the greeting."""

    @asynccontextmanager
    async def connected(port: int, *, greeting: bool = True) -> AsyncGenerator[RawClient]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
        client = RawClient(reader, writer)
        try:
            if greeting:
                assert (await client.reply())[:3] == "220"
            yield client
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    return connected
