"""
Try a mail server or a file gateway: look it up, connect, start TLS, log in, and ask for an answer.

Never does: send a message or a file, fetch or delete one, or log in a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol, cast, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core.errors import InputError, SendError, SendFailure
from htpoort.transport import hosts
from htpoort.transport._ftps_client import FtpsClient
from htpoort.transport._pop3_client import Pop3Client
from htpoort.transport._smtp_client import SmtpClient
from htpoort.transport.ftps_results import FtpsError, FtpsFailure
from htpoort.transport.pop3_results import FetchError, FetchFailure
from htpoort.transport.servers import FtpsAccount, Pop3Account, Security, SmtpServer
from htpoort.transport.tls import client_context, file_problem

__all__ = ["Certificate", "ProbeStep", "ProbedStep", "certificate_end", "probe", "served_certificate"]


class ProbeStep(enum.Enum):
    """The steps of a probe, in their order."""

    RESOLVE = "resolve"
    """The host name has an address."""
    CONNECT = "connect"
    """The server takes a connection and greets."""
    TLS = "tls"
    """TLS starts, and the certificate of the server is trusted and has its name."""
    LOGIN = "login"
    """The server accepts user name and password."""
    ANSWER = "answer"
    """
    The server answers NOOP; a POP3 server reports how many mails are in the mailbox, and a file gateway lists the
    folder that it begins in, over a connection for data.
    """


@final
@attrs.frozen(kw_only=True)
class Certificate:
    """
    The certificate of a server.

    Args:
        names: The names and addresses that it is for.
        end: When it ends, aware.
    """

    names: tuple[str, ...]
    end: datetime


@final
@attrs.frozen(kw_only=True)
class ProbedStep:
    """
    One step of a probe.

    Args:
        step: Which step.
        succeeded: Whether the server can be used, as far as this step shows.
        message: What was seen, or the error in the words of the server or the system; without a full stop.
        advice: What to do, in sentences; empty after success.
        passing: Whether the same step may succeed later without a change, such as a login to a mailbox in use.
        certificate: The certificate of the server, where TLS has started.
    """

    step: ProbeStep
    succeeded: bool
    message: str
    advice: str = ""
    passing: bool = False
    certificate: Certificate | None = None


async def probe(server: SmtpServer | Pop3Account | FtpsAccount, *, log_in: bool = True) -> tuple[ProbedStep, ...]:
    """
    Try a server step by step; nothing is sent or fetched.

    Args:
        server: How to reach it. Its time limits hold for each step.
        log_in: Whether to log in. A wrong password counts towards a lock-out, so it is tried once.

    Returns:
        The steps in their order, up to the first that failed. Without a user name, there is no login.
    """
    done: list[ProbedStep] = []
    try:
        await _probe(server, done, log_in=log_in)
    except _FailedError as error:
        failed = error.step
        if failed.step is ProbeStep.TLS and _OTHER_NAME in failed.message and (names := await _names(server)):
            advice = f"Its certificate is for {', '.join(names)}; give the server by one of these names."
            failed = attrs.evolve(failed, advice=advice)
        done.append(failed)
    return tuple(done)


async def _probe(server: SmtpServer | Pop3Account | FtpsAccount, done: list[ProbedStep], *, log_in: bool) -> None:
    """Take every step, and keep those that succeeded."""
    done.append(await _resolve(server))
    session = await _session(server)
    connected = ProbedStep(step=ProbeStep.CONNECT, succeeded=True, message=f"{server.host}:{server.port} answers")
    try:
        try:
            await session.begin()
        except _FailedError as error:
            if error.step.step is ProbeStep.TLS:
                done.append(connected)
            raise
        done += [connected, _tls(session)]
        if log_in and server.username is not None:
            await session.log_in()
            done.append(ProbedStep(step=ProbeStep.LOGIN, succeeded=True, message=f"logged in as {server.username}"))
        if log_in or isinstance(server, SmtpServer):
            done.append(ProbedStep(step=ProbeStep.ANSWER, succeeded=True, message=await session.answer()))
    finally:
        await session.close()


async def _resolve(server: SmtpServer | Pop3Account | FtpsAccount) -> ProbedStep:
    try:
        async with asyncio.timeout(server.timeout):
            found = await hosts.addresses(server.host, server.port)
    except OSError as error:
        why = hosts.error_reason(error) if str(error) else "no answer in time"
        _fail(ProbeStep.RESOLVE, f"{server.host}: {why}")
    addresses = ", ".join(dict.fromkeys(str(address[0]) for _, address in found))
    return ProbedStep(step=ProbeStep.RESOLVE, succeeded=True, message=f"{server.host} is {addresses}")


def _tls(session: _Session) -> ProbedStep:
    """Describe the TLS of a connection."""
    tls = session.tls
    if tls is None:
        return ProbedStep(step=ProbeStep.TLS, succeeded=True, message="no TLS, as security is plain")
    certificate = _certificate(tls)
    message = f"{tls.version()}, with a certificate for {', '.join(certificate.names) or 'no name'}"
    return ProbedStep(step=ProbeStep.TLS, succeeded=True, message=message, certificate=certificate)


async def _names(server: SmtpServer | Pop3Account | FtpsAccount) -> tuple[str, ...]:
    """Connect again, and read which names the certificate is for; nothing is sent, not even the login."""
    with contextlib.suppress(_FailedError):
        session = await _session(server, check_name=False)
        try:
            await session.begin()
            return () if session.tls is None else _certificate(session.tls).names
        finally:
            await session.close()
    return ()


# ── what goes wrong ──────────────────────────────────────────────────────────

_OTHER_NAME: Final = "is not valid for"  # OpenSSL's words for a certificate of another name
_ADVICE: Final = {
    ProbeStep.RESOLVE: "Check the name of the server, and the name servers of this machine.",
    ProbeStep.CONNECT: "Check server and port, and whether a firewall lets this machine connect.",
    ProbeStep.TLS: "Check port, security and ca_file.",
    ProbeStep.LOGIN: "Check user name and password. It was tried once, because a server may lock the account.",
    ProbeStep.ANSWER: "Try again later.",
}
_TLS_ADVICE: Final = {
    _OTHER_NAME: "Give the server by a name of its certificate.",
    "has expired": "Ask the operator of the server to renew it, and check the clock of this machine.",
    "not yet valid": "Check the clock of this machine.",
    "self-signed": "If this is the right server, name the authority of its certificate in ca_file.",
    "unable to get": "If this is the right server, name the authority of its certificate in ca_file.",
    "WRONG_VERSION_NUMBER": 'It does not begin with TLS on this port: give security = "starttls", or another port.',
    "offers no": 'Give another port, or security = "implicit".',
}
"""What to do, by a part of the error."""
_LOGIN_NEEDS_TLS: Final = (
    'It seems to take no login without TLS: give security = "starttls", or "implicit" with its port.'
)
_NO_REASON: Final = "the server gave no reason"
_IN_USE: Final = "Another program may be using it, such as a running agent; try again later."


class _FailedError(Exception):
    """A step failed."""

    def __init__(self, step: ProbedStep) -> None:
        super().__init__(step.message)
        self.step = step


def _fail(step: ProbeStep, message: str, *, passing: bool = False, is_plain: bool = False) -> NoReturn:
    advice = _IN_USE if passing else _ADVICE[step]
    if step is ProbeStep.TLS:
        advice = next((advice for part, advice in _TLS_ADVICE.items() if part in message), advice)
    if step is ProbeStep.LOGIN and not passing and is_plain and "TLS" in message:
        advice = _LOGIN_NEEDS_TLS
    if message.startswith("no connection for data"):
        advice = "Check whether a firewall lets this machine connect to the passive ports of the server too."
    text = message.rstrip(".") or _NO_REASON
    # Not from the error of the dialogue: it has no more to say.
    raise _FailedError(ProbedStep(step=step, succeeded=False, message=text, advice=advice, passing=passing)) from None


@contextlib.contextmanager
def _failing(step: ProbeStep, server: SmtpServer | Pop3Account | FtpsAccount) -> Generator[None]:
    """Make an error of a dialogue the failure of a step; or of TLS, if it is one of TLS."""
    is_plain = server.security is Security.PLAIN
    try:
        yield
    except SendError as error:
        found = ProbeStep.TLS if error.kind is SendFailure.TLS else step
        text = f"{error.code or ''} {error.reply}".strip()
        passing = error.kind is SendFailure.LOGIN and error.retryable
        _fail(found, _placed(found, server, text), passing=passing, is_plain=is_plain)
    except FetchError as error:
        found = ProbeStep.TLS if error.kind is FetchFailure.TLS else step
        text = _placed(found, server, error.reply)
        passing = error.kind is FetchFailure.LOGIN and error.retryable
        _fail(found, text, passing=passing, is_plain=is_plain)
    except FtpsError as error:
        found = ProbeStep.TLS if error.kind is FtpsFailure.TLS else step
        text = f"{error.code or ''} {error.reply}".strip()
        passing = error.kind is FtpsFailure.LOGIN and error.retryable
        _fail(found, _placed(found, server, text), passing=passing)


def _placed(step: ProbeStep, server: SmtpServer | Pop3Account | FtpsAccount, text: str) -> str:
    """Name host and port where these may be what is wrong: the port may be one that nothing names."""
    placed = step in {ProbeStep.CONNECT, ProbeStep.TLS}
    return f"{server.host}:{server.port}: {text or _NO_REASON}" if placed else text


# ── sessions ─────────────────────────────────────────────────────────────────


class _Session(Protocol):
    """One connection to a server."""

    @property
    def tls(self) -> ssl.SSLObject | ssl.SSLSocket | None: ...
    async def begin(self) -> None: ...
    async def log_in(self) -> None: ...
    async def answer(self) -> str: ...
    async def close(self) -> None: ...


async def _session(server: SmtpServer | Pop3Account | FtpsAccount, *, check_name: bool = True) -> _Session:
    """Read the files of the TLS settings, and make a session that is not connected yet."""
    context = None
    if server.security is not Security.PLAIN:
        try:
            context = await run_in_thread(client_context, server.tls)
        except InputError as error:
            _fail(ProbeStep.TLS, file_problem(error))
        context.check_hostname = check_name
    if isinstance(server, SmtpServer):
        return _SmtpSession(server, context)
    return _Pop3Session(server, context) if isinstance(server, Pop3Account) else _FtpsSession(server, context)


@final
class _SmtpSession:
    """A connection to an SMTP server."""

    def __init__(self, server: SmtpServer, context: ssl.SSLContext | None) -> None:
        own = socket.gethostname()
        self._server = server
        self._client = SmtpClient(
            server, context, server.local_hostname or (own if hosts.is_host(own) else "localhost")
        )

    @property
    def tls(self) -> ssl.SSLObject | None:
        return self._client.tls

    async def begin(self) -> None:
        with _failing(ProbeStep.CONNECT, self._server):
            await self._client.connect("")
        with _failing(ProbeStep.TLS, self._server):
            await self._client.secure("")

    async def log_in(self) -> None:
        with _failing(ProbeStep.LOGIN, self._server):
            await self._client.log_in("")

    async def answer(self) -> str:
        with _failing(ProbeStep.ANSWER, self._server):
            return f"NOOP: {await self._client.noop('')}"

    async def close(self) -> None:
        await self._client.close()


@final
class _Pop3Session:
    """A connection to a POP3 server."""

    def __init__(self, server: Pop3Account, context: ssl.SSLContext | None) -> None:
        self._server = server
        self._context = context
        self._client: Pop3Client | None = None

    @property
    def _connected(self) -> Pop3Client:
        return cast("Pop3Client", self._client)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        return self._connected.tls

    async def begin(self) -> None:
        with _failing(ProbeStep.CONNECT, self._server):
            self._client = await Pop3Client.connect(self._server)
        try:
            await self._client.secure(self._context)
        except FetchError as error:
            # A connection that is lost after the greeting was lost on the way to TLS.
            with _failing(ProbeStep.TLS if error.kind is FetchFailure.LOST else ProbeStep.CONNECT, self._server):
                raise

    async def log_in(self) -> None:
        with _failing(ProbeStep.LOGIN, self._server):
            await self._connected.log_in()

    async def answer(self) -> str:
        with _failing(ProbeStep.ANSWER, self._server):
            return f"STAT: {await self._connected.stat()}"

    async def close(self) -> None:
        if self._client is not None:
            try:
                with contextlib.suppress(FetchError):
                    await self._client.quit()
            finally:
                self._client.close()


@final
class _FtpsSession:
    """A connection to a file gateway."""

    def __init__(self, server: FtpsAccount, context: ssl.SSLContext | None) -> None:
        self._server = server
        self._context = cast("ssl.SSLContext", context)  # it is never without TLS
        self._client: FtpsClient | None = None

    @property
    def _connected(self) -> FtpsClient:
        return cast("FtpsClient", self._client)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        return self._connected.tls

    async def begin(self) -> None:
        with _failing(ProbeStep.CONNECT, self._server):
            self._client = await FtpsClient.connect(self._server, self._context)
        try:
            await self._client.secure()
        except FtpsError as error:
            # A connection that is lost after the greeting was lost on the way to TLS.
            with _failing(ProbeStep.TLS if error.kind is FtpsFailure.LOST else ProbeStep.CONNECT, self._server):
                raise

    async def log_in(self) -> None:
        with _failing(ProbeStep.LOGIN, self._server):
            await self._connected.log_in()

    async def answer(self) -> str:
        with _failing(ProbeStep.ANSWER, self._server):
            await self._connected.set_up()
            answer = await self._connected.noop()
            try:
                # The list is of no use, but it needs a connection for data, which is where firewalls are in the way.
                await self._connected.listing()
            except FtpsError as error:
                if error.is_server_trouble or error.code is None:
                    raise
        return f"NOOP: {answer}"

    async def close(self) -> None:
        if self._client is not None:
            try:
                with contextlib.suppress(FtpsError):
                    await self._client.quit()
            finally:
                self._client.close()


# ── certificates ─────────────────────────────────────────────────────────────

_EXPLICIT_VERSION: Final = 0xA0
_GENERALIZED_TIME: Final = 0x18
_LONG: Final = 0x80
_PIVOT: Final = 50  # RFC 5280, section 4.1.2.5.1: a year of two digits is from 1950 to 2049


def _certificate(tls: ssl.SSLObject | ssl.SSLSocket) -> Certificate:
    """Describe the certificate of the peer, which was checked."""
    facts = cast("dict[str, Any]", tls.getpeercert() or {})
    # OpenSSL writes an address of IPv6 in full.
    names = tuple(str(hosts.address_of(name) or name) for _, name in facts.get("subjectAltName", ()))
    return Certificate(names=names, end=datetime.fromtimestamp(ssl.cert_time_to_seconds(facts["notAfter"]), UTC))


def served_certificate(context: ssl.SSLContext) -> bytes | None:
    """
    Find the certificate that a server with a context presents, by a handshake in memory.

    Args:
        context: The context of a server.

    Returns:
        The certificate in DER; None if the handshake fails.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for end in (ours, theirs, ours):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        return ours.getpeercert(binary_form=True)
    except (ssl.SSLError, ValueError):
        return None


def certificate_end(certificate: bytes | Path | str) -> datetime | None:
    """
    Read when a certificate ends.

    Args:
        certificate: In DER, or a PEM file whose first certificate counts.

    Returns:
        The moment, aware; None if this is no certificate.

    Source:
        RFC 5280, section 4.1.
    """
    try:
        return _end(certificate if isinstance(certificate, bytes) else _first_of(Path(certificate)))
    except (OSError, ValueError, IndexError):
        return None


def _end(der: bytes) -> datetime:
    (_, signed), *_ = _parts(_parts(der)[0][1])
    fields = [part for part in _parts(signed) if part[0] != _EXPLICIT_VERSION]
    # Serial number, algorithm, issuer, validity.
    kind, end = _parts(fields[3][1])[1]
    text = end.decode("ascii")
    if kind != _GENERALIZED_TIME:
        text = f"{'19' if int(text[:2]) >= _PIVOT else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _first_of(file: Path) -> bytes:
    text = file.read_text(encoding="ascii", errors="replace")
    begin = text.index("-----BEGIN CERTIFICATE-----")
    mark = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[begin : text.index(mark, begin) + len(mark)])


def _parts(octets: bytes) -> list[tuple[int, bytes]]:
    """Split DER into its values, each with its tag (X.690)."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(octets):
        tag, size = octets[at], octets[at + 1]
        at += 2
        if size >= _LONG:
            more = size - _LONG
            size = int.from_bytes(octets[at : at + more])
            at += more
        found.append((tag, octets[at : at + size]))
        at += size
    return found
