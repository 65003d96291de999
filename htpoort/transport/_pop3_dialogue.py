"""Speak POP3 over one connection, by calls that block, and never read more from a server than was requested."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Final, final

LINE: Final = 2_048
"""Octets of a line outside of a mail; RFC 2449, section 4, sets 512."""
_PIECE: Final = 65_536  # octets of a mail that are read at a time; no line is limited by it
_MAX_DROPPED: Final = 16 * 1024 * 1024  # octets beyond the limit of a mail that are read and dropped
_MAX_CAPABILITIES: Final = 65_536  # octets of the list of capabilities; the usual ones take about 500
_CLOSED: Final = "the server closed the connection"


class RefusedError(Exception):
    """The server answered -ERR; the text is its answer."""


class NoPop3Error(Exception):
    """The server's answer is not POP3; the text is the answer, or explains what is wrong with it."""


class LimitError(Exception):
    """The server sent more octets, or took more time, than a limit allows."""


class OutOfStepError(Exception):
    """The server sent something without being asked, so the next answer may belong to another command."""


@final
class Pop3Dialogue:
    r"""
    Send commands and read their answers.

    poplib would do that, but it refuses lines of more than 2,048 octets, such as an XML document without line ends.
    It accepts LF alone as a line end, so a mail with ``\n.\n`` in it ends there and its rest is read as answers. It
    loses a CR at the start of a line, reports a closed connection as a refusal, holds a mail twice in memory, and
    reads a list for as long as the server sends one.

    Args:
        connection: Connected, with a timeout for each wait.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS on the connection."""
        self._file.close()
        self._connection = context.wrap_socket(self._connection, server_hostname=host)
        self._file = self._connection.makefile("rb")

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The connection, if it has TLS."""
        return self._connection if isinstance(self._connection, ssl.SSLSocket) else None

    def stls(self, context: ssl.SSLContext, host: str) -> None:
        """Request TLS if the server offers it, and start it (RFC 2595, section 4)."""
        # The set reads all of them, also those after STLS.
        if b"STLS" not in {line.split()[0].upper() for line in self._capabilities()}:
            message = "the server offers no STLS"
            raise RefusedError(message)
        self.ask("STLS")
        # Anything sent before TLS is from the server or from an attacker on the way.
        self.expect_silence()
        self.secure(context, host)

    def _capabilities(self) -> Iterator[bytes]:
        for line in self.listing("CAPA", _MAX_CAPABILITIES):
            if not line.strip() or not line.isascii():
                raise NoPop3Error(repr(line))
            yield line

    def ask(self, command: str) -> bytes:
        """Send a command, and return the first line of its answer."""
        self.expect_silence()
        self._connection.sendall(f"{command}\r\n".encode())
        return self.status()

    def status(self) -> bytes:
        """Read a status line, such as the greeting, and return it if it is positive."""
        line = self._file.readline(LINE)
        if not line.endswith(b"\r\n"):
            if not line.endswith(b"\n") and len(line) < LINE:
                raise ConnectionResetError(_CLOSED)
            message = f"an answer is not a line of at most {LINE} octets that ends with CRLF"
            raise NoPop3Error(message)
        line = line[:-2]
        if not line.startswith(b"+"):
            raise (RefusedError if line.startswith(b"-ERR") else NoPop3Error)(_text(line))
        return line

    def expect_silence(self) -> None:
        """Make sure that nothing is unread: it would be read as the answer to the next command."""
        wait = self._connection.gettimeout()
        self._connection.settimeout(0)
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                if stray := self._file.peek(1):
                    message = f"the server sent this without being asked: {_text(stray[:LINE])}"
                    raise OutOfStepError(message)
        finally:
            self._connection.settimeout(wait)

    def listing(self, command: str, limit: int) -> Iterator[bytes]:
        """Request a list, and yield its lines, each cut to *LINE* octets; raise LimitError beyond *limit* octets."""
        self.ask(command)
        line: bytes | None = None
        for begins, piece in self._pieces():
            limit -= len(piece)
            if limit < 0:
                message = "the server sent a list longer than listing_limit"
                raise LimitError(message)
            if begins and line is not None:
                yield line.removesuffix(b"\r\n")
            line = piece if begins or line is None else line
            line = line[:LINE]
        if line is not None:
            yield line.removesuffix(b"\r\n")

    def content(self, command: str, limit: int) -> bytes | None:
        """Request a mail and read it up to the final dot; return None if it has more than *limit* octets."""
        self.ask(command)
        kept, size = io.BytesIO(), 0
        for _, piece in self._pieces():
            size += len(piece)
            if size <= limit:
                kept.write(piece)
                continue
            kept = io.BytesIO()
            if size > limit + _MAX_DROPPED:
                message = f"the server sent more than {limit + _MAX_DROPPED} octets of one mail"
                raise LimitError(message)
        # If more follows, a dot that the server did not double ended the mail too early.
        self.expect_silence()
        # Shares its memory with the buffer.
        return kept.getvalue() if size <= limit else None

    def _pieces(self) -> Iterator[tuple[bool, bytes]]:
        """Yield a multi-line answer in pieces, without the final dot, and whether a line begins at each piece."""
        begins, half = True, False
        while True:
            piece = self._file.readline(_PIECE)
            if not piece:
                raise ConnectionResetError(_CLOSED)
            if begins and piece == b".\r\n":
                return
            # A line may arrive in pieces, its CR and LF in two of them.
            yield begins, piece[1:] if begins and piece.startswith(b"..") else piece
            begins = piece.endswith(b"\r\n") or (half and piece == b"\n")
            half = piece.endswith(b"\r")

    def close(self) -> None:
        """Close the connection."""
        # A broken connection cannot be shut down, only closed.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
