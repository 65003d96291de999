"""
A POP3 server for tests, written from RFC 1939: mails marked by DELE are deleted at QUIT and never before.

It survives whatever a client does, and fails where a test makes it fail.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Self

PASSWORD = "geheim"


class Endless(bytes):
    """Octets that are written repeatedly until the client has left."""

    __slots__ = ()


Step = bytes | str | Callable[[], object]
Fault = Step | tuple[Step, ...]


def stuffed(mail: bytes) -> bytes:
    """Return a mail as it is sent: dots doubled after each CRLF, ended by a dot."""
    whole = mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n"
    return b"+OK\r\n" + (b"\r\n" + whole).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


class Pop3Box:
    """
    Serve one mailbox on loopback.

    A fault applies to a command ("UIDL"), one of its uses ("RETR 2") or its use for a mail ("RETR u2") whatever its
    number; "greeting" is the first answer. It is octets to answer, "drop" (reset), "close", "stall" (until the client
    leaves), "tls" (upgrade), "go on" (the answer without a fault), a function that is called, or a tuple of these.

    With *mails_a_session* a connection ends at the first RETR beyond that number.
    """

    def __init__(
        self,
        *mails: bytes | tuple[str, bytes],
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        faults: dict[str, Fault] | None = None,
        sizes: dict[str, int] | None = None,
        mails_a_session: int | None = None,
    ) -> None:
        self.mails = [mail if isinstance(mail, tuple) else (f"u{n}", mail) for n, mail in enumerate(mails, 1)]
        self.faults = faults or {}
        self.commands: list[str] = []
        self.connections = 0
        self.reached: dict[str, asyncio.Event] = collections.defaultdict(asyncio.Event)
        self.left = asyncio.Event()
        self.mails_a_session = mails_a_session
        self.password = PASSWORD
        self._sizes = sizes or {}
        self._tls = tls
        self._implicit = implicit
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=self._tls if self._implicit else None
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed by the loop

    @property
    def uidls(self) -> list[str]:
        """The UIDLs in the mailbox."""
        return [uidl for uidl, _ in self.mails]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Session(self, reader, writer, self._tls, self._sizes).run()
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.left.set()
            writer.transport.abort()
            self._tasks.discard(task)


class _Session:
    """One connection: it sees the mailbox as it was at the login."""

    def __init__(
        self,
        box: Pop3Box,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
        sizes: dict[str, int],
    ) -> None:
        self._box = box
        self._reader = reader
        self._writer = writer
        self._tls = tls
        self._sizes = sizes
        self._mails = list(box.mails)
        self._marked: list[tuple[str, bytes]] = []
        self._given = 0

    async def run(self) -> None:
        await self._answer("greeting", b"+OK POP3 ready\r\n")
        while not self._writer.is_closing():
            line = (await self._reader.readuntil(b"\r\n")).decode().strip()
            self._box.commands.append(line)
            verb, _, rest = line.partition(" ")
            usual = getattr(self, f"_{verb.lower()}")(rest)
            names = (line, f"{verb} {self._uidl_of(rest)}", verb)
            await self._answer(next((name for name in names if name in self._box.faults), verb), usual, line)
            if verb == "QUIT":
                self._writer.close()

    def _uidl_of(self, arguments: str) -> str:
        """Return the UIDL of the mail that a command names, if it names one."""
        number = arguments.partition(" ")[0]
        return self._mails[int(number) - 1][0] if number.isdigit() and 0 < int(number) <= len(self._mails) else ""

    async def _answer(self, name: str, usual: bytes, line: str = "") -> None:
        fault = self._box.faults.get(name, "go on")
        self._box.reached[line or name].set()
        for step in fault if isinstance(fault, tuple) else (fault,):
            if callable(step):
                step()
            elif step == "drop":
                self._writer.transport.abort()
            elif step == "close":
                self._writer.close()
            elif step == "stall":
                await self._reader.read()
                self._writer.close()
            elif isinstance(step, Endless):
                while True:
                    await self._written(step)
            elif step == "tls":
                await self._writer.start_tls(self._tls)  # type: ignore[arg-type]
            else:
                await self._written(usual if isinstance(step, str) else step)

    async def _written(self, octets: bytes) -> None:
        """Write in pieces, so that a large mail is not held in memory twice."""
        for start in range(0, len(octets), 65_536):
            self._writer.write(octets[start : start + 65_536])
            await self._writer.drain()

    # ── commands ─────────────────────────────────────────────────────────────

    def _capa(self, _: str) -> bytes:
        offers = b"STLS\r\n" if self._tls else b""
        return b"+OK\r\nTOP\r\nUIDL\r\n" + offers + b".\r\n"

    def _stls(self, _: str) -> bytes:
        return b"+OK begin TLS\r\n"

    def _user(self, _: str) -> bytes:
        return b"+OK\r\n"

    def _pass(self, password: str) -> bytes:
        return b"+OK\r\n" if password == self._box.password else b"-ERR [AUTH] no\r\n"

    def _noop(self, _: str) -> bytes:
        return b"+OK\r\n"

    def _stat(self, _: str) -> bytes:
        return f"+OK {len(self._mails)} {sum(len(mail) for _, mail in self._mails)}\r\n".encode()

    def _listed(self, facts: list[str]) -> bytes:
        lines = "".join(f"{number} {fact}\r\n" for number, fact in enumerate(facts, 1))
        return f"+OK\r\n{lines}.\r\n".encode()

    def _uidl(self, _: str) -> bytes:
        return self._listed([uidl for uidl, _ in self._mails])

    def _list(self, _: str) -> bytes:
        return self._listed([str(self._sizes.get(uidl, len(mail))) for uidl, mail in self._mails])

    def _retr(self, number: str) -> bytes:
        self._given += 1
        if self._given > (self._box.mails_a_session or self._given):
            raise ConnectionAbortedError
        return stuffed(self._mails[int(number) - 1][1])

    def _top(self, arguments: str) -> bytes:
        mail = self._mails[int(arguments.partition(" ")[0]) - 1][1]
        return stuffed(mail[: mail.index(b"\r\n\r\n") + 4])

    def _dele(self, number: str) -> bytes:
        if not any(self._refuses(name) for name in ("DELE", f"DELE {number}", f"DELE {self._uidl_of(number)}")):
            self._marked.append(self._mails[int(number) - 1])
        return b"+OK\r\n"

    def _quit(self, _: str) -> bytes:
        if not self._refuses("QUIT"):
            for mail in self._marked:
                with contextlib.suppress(ValueError):
                    self._box.mails.remove(mail)
        return b"+OK\r\n"

    def _refuses(self, verb: str) -> bool:
        fault = self._box.faults.get(verb)
        return isinstance(fault, bytes) and fault.startswith(b"-ERR")


# ── Twisted's server, in a process of its own ────────────────────────────────

TWISTED = """
import base64, hashlib, io, json, sys

from twisted.cred.error import UnauthorizedLogin
from twisted.internet import endpoints, protocol, reactor
from twisted.mail import pop3

kept = [base64.b64decode(mail) for mail in json.loads(sys.stdin.readline())]


class Mailbox(pop3.Mailbox):
    def __init__(self):
        self.mails = list(kept)

    def listMessages(self, i=None):
        return [len(mail) for mail in self.mails] if i is None else len(self.mails[i])

    def getMessage(self, i):
        return io.BytesIO(self.mails[i])

    def getUidl(self, i):
        return hashlib.sha256(self.mails[i]).hexdigest().encode()

    def deleteMessage(self, i):
        self.mails[i] = b""

    def sync(self):
        kept[:] = filter(None, self.mails)


class Server(pop3.POP3):
    def authenticateUserPASS(self, user, password):
        if (user, password) != (b"edi", b"geheim"):
            raise UnauthorizedLogin()
        return pop3.IMailbox, Mailbox(), lambda: None


class Factory(protocol.ServerFactory):
    protocol = Server
    noisy = False


def listening(port):
    print(port.getHost().port, flush=True)


endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory()).addCallback(listening)
reactor.run()
"""
