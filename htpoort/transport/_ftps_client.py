"""One connection to a file gateway: what each command is for, how long it may take, and what its failure means."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from itertools import starmap
from typing import Final, Self, TypeVar, TypeVarTuple, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core.errors import Problem
from htpoort.core.files.status import NAME_REUSED
from htpoort.core.text import Redaction, one_line
from htpoort.transport._ftps_dialogue import (
    CLOSING_CODE,
    Answer,
    FtpsDialogue,
    LimitError,
    NoFtpError,
    OutOfStepError,
    RefusedError,
    lines_of,
)
from htpoort.transport.ftps_results import FtpsError, FtpsFailure, RemoteFile, RemoteListing
from htpoort.transport.hosts import addresses, connect, error_reason
from htpoort.transport.servers import FtpsAccount, Security
from htpoort.transport.tls import is_of_tls

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MAX_SHOWN: Final = 500  # characters of an answer that are shown
_MAX_FILES: Final = 100_000  # files of a folder that one list holds
_MAX_REPORTED: Final = 10  # unusable names of a list that are reported one by one
_NAME_OCTETS: Final = 255
_AT_LEAST: Final = 0.001  # seconds of a wait; 0 would not wait
_LOGIN_CODES: Final = frozenset({430, 530, 532})
"""The login is wrong, missing, or needs an account (RFC 959, section 4.2.1)."""
_FOR_NOW: Final = range(400, 500)
_NO_DATA_CODES: Final = frozenset({425, 522})
"""No connection for data, or none with the TLS that the server requires."""
_SIZE: Final = re.compile(r"([0-9]{1,18}) *")
_EMPTY: Final = re.compile(r"(?:450|550) .*(?:no (?:such )?files?\b|not found|empty)", re.IGNORECASE | re.DOTALL)
"""How servers answer NLST in a folder without files, which was entered before."""


def is_name(text: object) -> bool:
    """
    Check whether a text can name a file in a folder on a server.

    Args:
        text: A name, from a caller or from a server.

    Returns:
        True for 1 to 255 octets of printable characters without a slash of either kind or blanks at an end.
    """
    return (
        isinstance(text, str)
        and text.isprintable()
        and text == text.strip()
        and text not in {"", ".", ".."}
        and not {"/", "\\"} & set(text)
        and len(text.encode()) <= _NAME_OCTETS
    )


@final
class FtpsClient:
    """One connection. Each step runs in its own thread; cancelling it from the event loop ends the connection."""

    def __init__(self, account: FtpsAccount, connected: socket.socket, context: ssl.SSLContext) -> None:
        self._account = account
        # A second handle of the same connection: TLS takes the first one over.
        self._handles = [connected.dup()]
        self._dialogue = FtpsDialogue(connected, context, account.host)
        self._features: frozenset[str] = frozenset()
        self._folder = ""

    @classmethod
    async def open(cls, account: FtpsAccount, context: ssl.SSLContext) -> Self:
        """Connect, start TLS, log in."""
        client = await cls.connect(account, context)
        try:
            await client.secure()
            await client.log_in()
            await client.set_up()
        except BaseException:
            client.close()
            raise
        return client

    @classmethod
    async def connect(cls, account: FtpsAccount, context: ssl.SSLContext) -> Self:
        """Connect; nothing is read yet."""
        with _errors(account, FtpsFailure.CONNECT, opening=True):
            loop = asyncio.get_running_loop()
            end = loop.time() + account.timeout
            async with asyncio.timeout(account.timeout):
                candidates = await addresses(account.host, account.port)
            connected, _ = await connect(candidates, end - loop.time())
            connected.settimeout(account.timeout)
            return cls(account, connected, context)

    async def secure(self) -> None:
        """Read the greeting and start TLS, in the order that is configured."""
        account, dialogue = self._account, self._dialogue
        with _errors(account, FtpsFailure.CONNECT, FtpsFailure.CONNECT, opening=True):
            if account.security is Security.IMPLICIT:
                await self._run(dialogue.secure)
            await self._run(dialogue.answer)
        if account.security is not Security.IMPLICIT:
            with _errors(account, FtpsFailure.LOST, FtpsFailure.TLS, opening=True):
                await self._run(dialogue.auth)

    async def log_in(self) -> None:
        """Log in."""
        # With TLS 1.3 a server reports only now that it rejects our certificate.
        with _errors(self._account, FtpsFailure.LOST, FtpsFailure.LOGIN, opening=True):
            await self._run(self._dialogue.log_in, self._account.username, self._account.password)

    async def set_up(self) -> None:
        """Request TLS for the data, and files octet for octet."""
        with _errors(self._account, FtpsFailure.LOST, FtpsFailure.TLS, opening=True):
            await self._run(self._dialogue.protect)
        with _errors(self._account, FtpsFailure.LOST, FtpsFailure.PROTOCOL, opening=True):
            self._features = await self._run(self._dialogue.features)
            if "UTF8" in self._features:
                await self._run(_accept_refusal, self._dialogue, "OPTS UTF8 ON")
            await self._run(self._dialogue.ask, "TYPE I")

    async def noop(self) -> str:
        """Ask for an answer; this changes nothing."""
        with _errors(self._account, FtpsFailure.LOST):
            answer = await self._run(self._dialogue.ask, "NOOP")
        return self._printable(answer.text)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS session; None before it."""
        return self._dialogue.tls

    async def enter(self, folder: str) -> None:
        """Change to a folder; if the connection is there, ask whether it still answers."""
        if folder == self._folder:
            await self.noop()
            return
        self._folder = ""  # a failure leaves it open
        with _errors(self._account, FtpsFailure.LOST):
            await self._run(self._dialogue.ask, f"CWD {folder}")
        self._folder = folder

    async def size(self, name: str) -> int | None:
        """Ask for the octets of a file; None if the server does not give them."""
        with _errors(self._account, FtpsFailure.LOST):
            answer = await self._run(_accept_refusal, self._dialogue, f"SIZE {name}")
        size = None if answer is None else _SIZE.fullmatch(answer.text)
        return None if size is None else int(size[1])

    async def stored_size(self, name: str) -> int | None:
        """Ask for the octets of a file by SIZE, or of a server without it by a list."""
        size = await self.size(name)
        if size is not None or "SIZE" in self._features or not self._lists_sizes:
            return size
        return {file.name: file.size for file in (await self.listing()).files}.get(name)

    @property
    def _lists_sizes(self) -> bool:
        return bool(self._features & {"MLSD", "MLST"})

    async def store(
        self, name: str, octets: bytes, checkpoint: Callable[[], Awaitable[None]], begin: Callable[[], None]
    ) -> tuple[int, str]:
        """Upload a file; call *begin* before its first octet, and return the last answer."""
        end, dialogue = self._end(), self._dialogue
        async with self._data() as data:
            await checkpoint()
            with _errors(self._account, FtpsFailure.LOST):
                await self._run(dialogue.ask, f"STOR {name}", 1, end=end)
            await self._secure_data(data, end)
            with _errors(self._account, FtpsFailure.LOST):
                begin()  # and nothing is awaited before the first octet
                broken = await self._run(_caught, dialogue.transmit, octets, end=end)
                answer = await self._finish(end, broken)
        return answer.code, self._printable(answer.text)

    async def _secure_data(self, data: socket.socket, end: float) -> None:
        """Start TLS on a connection for data; a server that closes it may say why."""
        with _errors(self._account, FtpsFailure.LOST, opening=True):
            broken = await self._run(_caught, self._dialogue.secure_data, data, end=end)
            if broken is not None and is_of_tls(broken) and not isinstance(broken, ssl.SSLEOFError):
                raise broken
            if broken is not None:
                await self._finish(end, broken)

    async def _finish(self, end: float, broken: OSError | None) -> Answer:
        """Wait for the last answer of a transfer; after an error of the data, it has the reason, or there is none."""
        seconds = self._account.timeout if broken else end - asyncio.get_running_loop().time()
        try:
            answer = await self._run(self._dialogue.finish, max(seconds, _AT_LEAST), end=end)
        except OSError as error:
            raise broken or error from None
        if broken is not None:
            raise broken
        return answer

    async def retrieve(self, name: str, limit: int) -> bytes:
        """Fetch a file; it is whole, as the server's size or the end of TLS shows."""
        size = await self.size(name)
        if size is not None and size > limit:
            raise self._error(FtpsFailure.LIMIT, f"{name} has {size} octets; the limit is {limit} (file_limit)")
        octets, whole = await self._receive(f"RETR {name}", limit, "file_limit")
        if size is not None and size != len(octets):
            raise self._error(FtpsFailure.INCOMPLETE, f"{name} has {size} octets, and {len(octets)} arrived")
        if size is None and not whole:
            raise self._error(FtpsFailure.LOST, f"the data of {name} ended without the end of TLS")
        return octets

    async def listing(self) -> RemoteListing:
        """List the folder, with sizes if the server supports MLSD."""
        command = "MLSD" if self._lists_sizes else "NLST"
        try:
            octets, ended = await self._receive(command, self._account.listing_limit, "listing_limit")
        except FtpsError as error:
            if command == "NLST" and _EMPTY.match(f"{error.code} {error.reply}"):
                return RemoteListing(files=())
            raise
        if ended:
            return self._listing(octets, facts=command == "MLSD")
        # Some servers never end TLS. The last line may be cut, unless it has an end.
        listing = self._listing(octets[: octets.rfind(b"\n") + 1], facts=command == "MLSD")
        return attrs.evolve(listing, whole=False)

    def _listing(self, octets: bytes, *, facts: bool) -> RemoteListing:
        files: dict[str, int | None] = {}
        odd, problems = 0, list[Problem]()
        for line in lines_of(octets):
            name, size = _listed(line) if facts else (line, None)
            text = name.decode("utf-8", "surrogateescape")
            if is_name(text):
                files.setdefault(text, size)
            elif name:
                odd += 1
                if odd <= _MAX_REPORTED:
                    shown = self._printable(repr(name[:_NAME_OCTETS]))
                    message = f"The server lists {shown}, which is not the name of a file; it is left there."
                    problems.append(Problem("ftps.listing", message))
        if odd > _MAX_REPORTED:
            message = f"The server lists {odd - _MAX_REPORTED} more names that are not names of files."
            problems.append(Problem("ftps.listing", message))
        kept = tuple(starmap(RemoteFile, files.items()))[:_MAX_FILES]
        return RemoteListing(files=kept, problems=tuple(problems), whole=not odd and len(kept) == len(files))

    async def delete(self, name: str) -> None:
        """Delete a file."""
        with _errors(self._account, FtpsFailure.LOST):
            await self._run(self._dialogue.ask, f"DELE {name}")

    async def quit(self) -> None:
        """Send QUIT; what it is answered is irrelevant."""
        with _errors(self._account, FtpsFailure.LOST):
            await self._run(_accept_refusal, self._dialogue, "QUIT")

    # ── data ─────────────────────────────────────────────────────────────────

    async def _receive(self, command: str, limit: int, setting: str) -> tuple[bytes, bool]:
        end, dialogue = self._end(), self._dialogue
        async with self._data() as data:
            with _errors(self._account, FtpsFailure.LOST):
                await self._run(dialogue.ask, command, 1, end=end)
            await self._secure_data(data, end)
            with _errors(self._account, FtpsFailure.LOST):
                octets, whole = await self._run(dialogue.receive, limit, setting, end=end)
                await self._finish(end, None)
        return octets, whole

    @contextlib.asynccontextmanager
    async def _data(self) -> AsyncGenerator[socket.socket]:
        """Connect to the port that the server gives for a transfer."""
        account, control = self._account, self._handles[0]
        with _errors(account, FtpsFailure.LOST):
            port = await self._run(self._dialogue.passive)
        with _errors(account, FtpsFailure.CONNECT, opening=True, command=f"no connection for data to port {port}: "):
            host, _, *more = control.getpeername()
            data, _ = await connect([(control.family, (host, port, *more))], account.timeout)
        data.settimeout(account.timeout)
        # TLS takes the first handle over.
        handle = data.dup()
        self._handles.append(handle)
        try:
            yield data
        finally:
            self._handles.remove(handle)
            handle.close()
            data.close()
            self._dialogue.close_data()

    # ── steps ────────────────────────────────────────────────────────────────

    def _end(self) -> float:
        return asyncio.get_running_loop().time() + self._account.transfer_timeout

    async def _run(self, step: Callable[[*Ts], T], *args: *Ts, end: float | None = None) -> T:
        """Run a step in a thread, up to the end of its time; return only when the step has ended."""
        time = asyncio.timeout_at(self._end() if end is None else end)
        try:
            async with time:
                return await self._wait_for(run_in_thread(step, *args))
        except TimeoutError:
            if not time.expired():
                raise
            message = f"the server took more than {self._account.transfer_timeout:g} seconds (transfer_timeout)"
            raise LimitError(message) from None

    async def _wait_for(self, work: asyncio.Future[T]) -> T:
        """Wait until a thread has ended, even if cancelled: what the thread opens must be closed."""
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The thread waits for the server; it sees the end of the connections at once.
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)
            while not work.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            work.exception()  # irrelevant, but asyncio logs one that is never retrieved
            raise

    def close(self) -> None:
        """Close the connection."""
        self._dialogue.close()
        self._handles[0].close()

    def _printable(self, text: str) -> str:
        return _printable(self._account, text)

    def _error(self, kind: FtpsFailure, text: str) -> FtpsError:
        return FtpsError(self._account.ledger_name, kind, None, self._printable(text))


def _accept_refusal(dialogue: FtpsDialogue, command: str) -> Answer | None:
    """Send a command that a server may refuse without harm; None if it does."""
    try:
        return dialogue.ask(command)
    except RefusedError as error:
        if error.answer.code == CLOSING_CODE:
            raise
        return None


def _caught(step: Callable[[*Ts], object], *args: *Ts) -> OSError | None:
    """Run a step, and return the error of the network, if there is one."""
    try:
        step(*args)
    except OSError as error:
        return error
    return None


def _listed(line: bytes) -> tuple[bytes, int | None]:
    """Split a line of MLSD into name and size (RFC 3659, section 7); the name is empty for what is not a file."""
    facts, _, name = line.partition(b" ")
    found: dict[bytes, bytes] = {}
    for fact in facts.lower().split(b";"):
        key, _, value = fact.partition(b"=")
        found[key] = value
    if found.get(b"type", b"file") != b"file":
        return b"", None
    size = found.get(b"size", b"")
    return name, int(size) if re.fullmatch(rb"[0-9]{1,18}", size) else None


@contextlib.contextmanager
def _errors(
    account: FtpsAccount,
    lost: FtpsFailure,
    refused: FtpsFailure = FtpsFailure.REFUSED,
    *,
    opening: bool = False,
    command: str = "",
) -> Generator[None]:
    """Raise what goes wrong in one step as an FtpsError with its meaning at that step."""
    try:
        yield
    except RefusedError as error:
        code, text = error.answer.code, error.answer.text
        kind = _refusal(code, text, refused)
        trouble = opening or code == CLOSING_CODE or code in _LOGIN_CODES or code in _NO_DATA_CODES
        # Some servers repeat the password, which would then be in every traceback.
        raise FtpsError(account.ledger_name, kind, code, _printable(account, text), trouble) from None
    except (NoFtpError, OutOfStepError, LimitError) as error:
        kinds: dict[type[Exception], FtpsFailure] = {
            # Before TLS, what is out of step may be from an attacker on the way.
            OutOfStepError: FtpsFailure.TLS if refused is FtpsFailure.TLS else lost,
            LimitError: FtpsFailure.LIMIT,
        }
        kind = kinds.get(type(error), FtpsFailure.PROTOCOL)
        text = _printable(account, f"{command}{error}")
        raise FtpsError(account.ledger_name, kind, None, text, opening) from None
    except OSError as error:
        closed = isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        kind = FtpsFailure.TLS if opening and isinstance(error, ssl.SSLError) and not closed else lost
        text = _printable(account, f"{command}{error_reason(error)}")
        raise FtpsError(account.ledger_name, kind, None, text, opening) from error


def _refusal(code: int, text: str, refused: FtpsFailure) -> FtpsFailure:
    """Choose the meaning of a 4xx or 5xx at a step."""
    if NAME_REUSED in text:
        return FtpsFailure.NAME_USED
    if code == CLOSING_CODE or code in _NO_DATA_CODES:
        return FtpsFailure.DEFERRED
    if code in _LOGIN_CODES:
        return FtpsFailure.LOGIN
    if refused in {FtpsFailure.LOGIN, FtpsFailure.TLS}:
        return refused
    return FtpsFailure.DEFERRED if code in _FOR_NOW else refused


def _printable(account: FtpsAccount, text: str) -> str:
    """Put an answer or an error on one line of printable characters, without our password."""
    return Redaction.of_login(account.username, account.password)(one_line(text[: 4 * _MAX_SHOWN]))[:_MAX_SHOWN]
