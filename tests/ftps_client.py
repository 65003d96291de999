"""FTPS clients of the standard library, for the tests of the simulated file gateway and of what talks to one."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Iterable
from ftplib import FTP, FTP_TLS
from pathlib import Path
from typing import Self

ROOT = "/CVR_12345678/UI_12345678"
"""The folder of the user of the tests."""


def context_of(ca_file: Path | str | None, certificate: Path | str | None = None) -> ssl.SSLContext:
    """Make the TLS of a client."""
    context = ssl.create_default_context(cafile=ca_file)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


class FtpsClient(FTP_TLS):
    """
    A client that resumes its TLS session on data connections.

    Args:
        context: Its TLS.
        implicit: TLS from the first octet.
        resumes: Whether data connections resume the session, which the standard library alone does not.
    """

    def __init__(self, context: ssl.SSLContext, *, implicit: bool = False, resumes: bool = True) -> None:
        super().__init__(context=context, timeout=30)
        self._implicit = implicit
        self._resumes = resumes

    def connect(self, host: str = "", port: int = 0, *_: object) -> str:
        """Connect, and read the greeting."""
        self.host = host
        plain = socket.create_connection((host, port), timeout=30)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host) if self._implicit else plain
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    @classmethod
    def opened(  # noqa: PLR0913 - what a session needs
        cls,
        port: int,
        context: ssl.SSLContext,
        *,
        password: str = "geheim",  # noqa: S107 - of a server that lives for one test
        username: str = "CVR_12345678_UI_12345678",
        implicit: bool = False,
        resumes: bool = True,
    ) -> Self:
        """Connect to loopback, log in, and protect data connections."""
        client = cls(context, implicit=implicit, resumes=resumes)
        try:
            client.connect("127.0.0.1", port)
            client.login(username, password, secure=not implicit)
            client.prot_p()
        except BaseException:
            client.close()
            raise
        return client

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection for a command."""
        plain, size = FTP.ntransfercmd(self, cmd, rest)
        session = self.sock.session if self._resumes and isinstance(self.sock, ssl.SSLSocket) else None
        try:
            return self.context.wrap_socket(plain, server_hostname=self.host, session=session), size
        except BaseException:
            plain.close()
            raise

    def put(self, path: str, octets: bytes) -> str:
        """Upload a file; return the last response."""
        return self.storbinary(f"STOR {path}", io.BytesIO(octets))

    def get(self, path: str) -> bytes:
        """Fetch a file."""
        pieces: list[bytes] = []
        self.retrbinary(f"RETR {path}", pieces.append)
        return b"".join(pieces)

    def names(self, path: str) -> list[str]:
        """List a folder."""
        return sorted(self.nlst(path))

    def sizes(self, path: str) -> dict[str, int | None]:
        """List a folder with the sizes of its files."""
        found = {}
        for name in self.names(path):
            self.voidcmd("TYPE I")  # a listing is in ASCII mode, which has no SIZE
            found[name] = self.size(f"{path}/{name}")
        return found

    def get_all(self, path: str, names: Iterable[str]) -> dict[str, bytes]:
        """Fetch several files."""
        return {name: self.get(f"{path}/{name}") for name in names}
