"""Speak FTP over TLS on one connection, by calls that block, and never read more from a server than was requested."""

from __future__ import annotations

import contextlib
import io
import re
import select
import socket
import ssl
from collections.abc import Iterator
from typing import Final, cast, final

import attrs

LINE: Final = 8_192
"""Octets of a line of an answer, or of a list; a name has 255 at most."""
_ANSWER: Final = 65_536  # octets of an answer; some servers greet with a page of text
_PIECE: Final = 65_536  # octets of a file that are read or sent at a time, each within the time for one wait
_PORTS: Final = range(1, 65_536)
_CLOSED: Final = "the server closed the connection"
CLOSING_CODE: Final = 421
_PASSWORD_CODE: Final = 331
_REFUSALS: Final = 400
_FOR_GOOD: Final = 500

_FIRST: Final = re.compile(r"([1-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_EXTENDED_PORT: Final = re.compile(r"\(([!-~])\1\1([0-9]{1,5})\1\)")  # RFC 2428, section 3
_PORT: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3}){3},([0-9]{1,3}),([0-9]{1,3})")  # RFC 959, section 4.1.2


@final
@attrs.frozen
class Answer:
    """
    An answer of a server.

    Args:
        code: 100 to 599.
        text: Its text, several lines joined by LF.
    """

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class RefusedError(Exception):
    """The server answered 4xx or 5xx."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


class NoFtpError(Exception):
    """The server's answer is not FTP, or not one to that command; the text is the answer, or what is wrong with it."""


class LimitError(Exception):
    """The server sent more octets, or took more time, than a limit allows."""


class OutOfStepError(Exception):
    """The server sent something without being asked, so the next answer may belong to another command."""


@final
class FtpsDialogue:
    """
    Send commands and read their answers.

    ftplib would do that, but it reads an answer and a list for as long as the server sends one, and fails on octets
    that are not UTF-8. It opens each connection for data with a TLS session of its own, which a server may refuse as
    that of another client. It waits for the server to end TLS, which some servers never do, and takes a file that
    someone on the way cut short for whole. What is left of it are the numbers of commands. asyncio has no way to use
    the session of one connection for another, so these calls block, and run in threads.

    Args:
        connection: Connected, with a timeout for each wait.
        context: The TLS of the connection and of those for data.
        host: The name that the certificate must have.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._context = context
        self._host = host
        self._file = connection.makefile("rb")
        self._data: ssl.SSLSocket | None = None
        self._extended = True  # until the server refuses EPSV

    # ── commands and answers ─────────────────────────────────────────────────

    def ask(self, command: str, *accepted: int) -> Answer:
        """Send a command and read its answer, which must be of the accepted hundreds; 2xx by default."""
        self.expect_silence()
        self._connection.sendall(f"{command}\r\n".encode())
        return self.answer(*accepted)

    def answer(self, *accepted: int) -> Answer:
        """Read an answer, of one line or several."""
        line = self._line()
        first = _FIRST.fullmatch(line)
        if first is None:
            raise NoFtpError(line)
        code, lines, left = first[1], [first[3] or ""], _ANSWER
        while first[2] == "-":
            line = self._line()
            left -= len(line)
            if left < 0:
                message = f"an answer has more than {_ANSWER} octets"
                raise NoFtpError(message)
            last = line == code or line.startswith(f"{code} ")
            lines.append(line[4:] if last or line.startswith(f"{code}-") else line)
            if last:
                break
        answer = Answer(int(code), "\n".join(lines))
        if answer.code >= _REFUSALS:
            raise RefusedError(answer)
        if answer.code // 100 not in (accepted or (2,)):
            raise NoFtpError(str(answer))
        return answer

    def _line(self) -> str:
        line = self._file.readline(LINE)
        if not line.endswith(b"\n"):
            if len(line) < LINE:
                raise ConnectionResetError(_CLOSED)
            message = f"an answer has a line of more than {LINE} octets"
            raise NoFtpError(message)
        return line.rstrip(b"\r\n").decode("utf-8", "replace")

    def expect_silence(self) -> None:
        """Make sure that nothing is unread: it would be read as the answer to the next command."""
        if not self._unread():
            return
        try:
            stray = self.answer(1, 2, 3)
        except RefusedError as error:
            # The one answer that a server may send by itself (RFC 959, section 4.2.2).
            if error.answer.code == CLOSING_CODE:
                raise
            stray = error.answer
        message = f"the server sent this without being asked: {stray}"
        raise OutOfStepError(message)

    def _unread(self) -> bool:
        wait = self._connection.gettimeout()
        self._connection.settimeout(0)
        try:
            return bool(self._file.peek(1))
        except ssl.SSLWantReadError:
            return False
        finally:
            self._connection.settimeout(wait)

    # ── opening ──────────────────────────────────────────────────────────────

    def secure(self) -> None:
        """Start TLS on the connection."""
        self._file.close()
        self._connection = self._wrap(self._connection)
        self._file = self._connection.makefile("rb")

    def auth(self) -> None:
        """Request TLS, and start it (RFC 4217, section 4)."""
        self.ask("AUTH TLS")
        # Anything sent before TLS is from the server or from an attacker on the way.
        self.expect_silence()
        self.secure()

    def protect(self) -> None:
        """Request TLS for the data too (RFC 4217, section 9)."""
        self.ask("PBSZ 0")
        self.ask("PROT P")

    def log_in(self, username: str, password: str | None) -> None:
        """Log in; a server may know the user by the certificate, and request no password."""
        answer = self.ask(f"USER {username}", 2, 3)
        if answer.code == _PASSWORD_CODE and password is not None:
            answer = self.ask(f"PASS {password}", 2, 3)
        if answer.code >= _PASSWORD_CODE:
            raise RefusedError(answer)

    def features(self) -> frozenset[str]:
        """List what the server supports beyond RFC 959 (RFC 2389), by the first word, in capitals."""
        try:
            lines = self.ask("FEAT").text.split("\n")[1:-1]
        except RefusedError as error:
            if error.answer.code == CLOSING_CODE:
                raise
            return frozenset()
        return frozenset(line.split()[0].upper() for line in lines if line.strip())

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The connection, if it has TLS."""
        return self._connection if isinstance(self._connection, ssl.SSLSocket) else None

    # ── transfers ────────────────────────────────────────────────────────────

    def passive(self) -> int:
        """Request a port to connect to for a transfer; the host is that of this connection, whatever PASV names."""
        if self._extended:
            try:
                return self._passive("EPSV")
            except RefusedError as error:
                if self._connection.family != socket.AF_INET or error.answer.code < _FOR_GOOD:
                    raise
                self._extended = False
        return self._passive("PASV")

    def _passive(self, command: str) -> int:
        answer = self.ask(command)
        if command == "EPSV":
            extended = _EXTENDED_PORT.search(answer.text)
            port = 0 if extended is None else int(extended[2])
        else:
            numbers = _PORT.search(answer.text)
            port = 0 if numbers is None else 256 * int(numbers[1]) + int(numbers[2])
        if port not in _PORTS:
            raise NoFtpError(str(answer))
        return port

    def secure_data(self, data: socket.socket) -> None:
        """Start TLS on a connection for data, with the session of this connection, which shows that it is ours."""
        session = cast("ssl.SSLSocket", self._connection).session
        # The end of a file is not certain without the end of TLS.
        self._data = self._wrap(data, session=session, suppress_ragged_eofs=False)

    def _wrap(
        self, plain: socket.socket, *, session: ssl.SSLSession | None = None, suppress_ragged_eofs: bool = True
    ) -> ssl.SSLSocket:
        # Python would leave a connection that was reset by now without TLS, or open.
        plain.getpeername()
        return self._context.wrap_socket(
            plain, server_hostname=self._host, session=session, suppress_ragged_eofs=suppress_ragged_eofs
        )

    def transmit(self, octets: bytes) -> None:
        """Send a file, and its end."""
        data, view = cast("ssl.SSLSocket", self._data), memoryview(octets)
        for place in range(0, len(view), _PIECE):
            data.sendall(view[place : place + _PIECE])
        _end_tls(data)
        # Not closed before the server's last answer: what the server sent, such as a session ticket, is unread, and
        # closing would reset the connection and destroy what is on the way.
        data.shutdown(socket.SHUT_WR)

    def receive(self, limit: int, setting: str) -> tuple[bytes, bool]:
        """Read a file or a list; return its octets, and whether the server ended TLS, so that none can be missing."""
        data, kept, left, whole = cast("ssl.SSLSocket", self._data), io.BytesIO(), limit, True
        try:
            while piece := data.recv(_PIECE):
                left -= kept.write(piece)
                if left < 0:
                    message = f"the server sent more than {limit} octets ({setting})"
                    raise LimitError(message)
        except ssl.SSLEOFError:
            whole = False
        with contextlib.suppress(OSError):
            _end_tls(data)
        self.close_data()
        return kept.getvalue(), whole

    def finish(self, seconds: float) -> Answer:
        """Wait for the last answer of a transfer."""
        wait = self._connection.gettimeout()
        self._connection.settimeout(seconds)
        answer = self.answer()
        self._connection.settimeout(wait)
        return answer

    def close_data(self) -> None:
        """Close the connection for data, if there is one."""
        if self._data is not None:
            self._data.close()
            self._data = None

    def close(self) -> None:
        """Close the connections."""
        self.close_data()
        # A broken connection cannot be shut down, only closed.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _end_tls(data: ssl.SSLSocket) -> None:
    """Send the end of TLS, without which a server may take the file for cut short; do not wait for the server's."""
    wait = data.gettimeout()
    data.settimeout(0)
    try:
        while not _has_ended(data):
            if not select.select([], [data], [], wait)[1]:
                raise TimeoutError
    finally:
        data.settimeout(wait)


def _has_ended(data: ssl.SSLSocket) -> bool:
    try:
        data.unwrap()
    except ssl.SSLWantWriteError:
        return False
    except ssl.SSLWantReadError:
        return True  # ours is sent, and the server's has not arrived
    return True


def lines_of(octets: bytes) -> Iterator[bytes]:
    """Split a list into its lines."""
    for line in octets.split(b"\n"):
        if stripped := line.rstrip(b"\r"):
            yield stripped
