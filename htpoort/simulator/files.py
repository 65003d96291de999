"""
The users of a simulated file gateway, and the records of what happened to files.

Everything here is a value; `htpoort.simulator.file_gateway` makes it.
"""

from __future__ import annotations

import hashlib
import ssl
from datetime import datetime
from pathlib import Path
from typing import final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.files import FileService, GatewayUser

__all__ = ["DeletedFile", "FetchedFile", "FileUser", "OutFile", "RefusedFile", "UploadedFile", "fingerprint"]


def fingerprint(certificate: Path | str) -> str:
    """
    Compute what a certificate is known by.

    Args:
        certificate: PEM file; its first certificate counts.

    Returns:
        The SHA-256 of the certificate, in lower-case hexadecimal.

    Raises:
        OSError: The file cannot be read.
        InputError: There is no certificate in it.
    """
    text = Path(certificate).read_text(encoding="ascii", errors="replace")
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    try:
        octets = ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)] if begin >= 0 else "")
    except ValueError:
        message = f"certificate {str(certificate)!r} has no certificate in PEM form; name a file that has one."
        raise InputError("certificate", (Problem("simulator.certificate", message),)) from None
    return hashlib.sha256(octets).hexdigest()


@final
@attrs.frozen(kw_only=True)
class FileUser:
    """
    One user of the file gateway.

    Args:
        user: Who it is; its text is the name for the login.
        password: For the login. Not shown in the repr.
        certificates: The fingerprints of the certificates that were registered for the user, as `fingerprint` computes
            them. Empty if any certificate of the gateway's authority will do.
    """

    user: GatewayUser
    password: str = attrs.field(repr=False)
    certificates: tuple[str, ...] = ()

    @property
    def username(self) -> str:
        """The name for the login."""
        return str(self.user)


@final
@attrs.frozen(kw_only=True)
class UploadedFile:
    """
    A file that the gateway has taken.

    Args:
        number: Counted from 1, in the order in which files were taken.
        at: When, by the gateway's clock.
        user: Who uploaded it.
        service: The service whose folder it was uploaded to.
        name: Its name, as it was written.
        octets: The file.
        certificate: The fingerprint of the certificate that it was uploaded with.
        whole: Whether all of it arrived.
        repeated: Whether a file of this name had been taken before, so that this one is not processed.
        read: Whether the name is one that the gateway allows, and the file not empty; others are not processed.
        handed_on: Whether another gateway processes it.
    """

    number: int
    at: datetime
    user: GatewayUser
    service: FileService
    name: str
    octets: bytes = attrs.field(repr=False)
    certificate: str
    whole: bool = True
    repeated: bool = False
    read: bool = True
    handed_on: bool = False

    @property
    def validation_only(self) -> bool:
        """Whether the name asks for validation only, so that the file has no effect."""
        return self.name.startswith("val_")

    @property
    def processed(self) -> bool:
        """Whether the system behind the gateway gets it."""
        return self.whole and self.read and not self.repeated


@final
@attrs.frozen(kw_only=True)
class OutFile:
    """
    A file that the gateway put out.

    Args:
        name: Its name in ``out``.
        octets: The file.
        at: When it was put out.
        user: For whom.
        certificate: The fingerprint of the only certificate that may fetch it; None if any of the user's may.
        upload: The upload that it answers; None for a file that answers none.
    """

    name: str
    octets: bytes = attrs.field(repr=False)
    at: datetime
    user: GatewayUser
    certificate: str | None = None
    upload: UploadedFile | None = None


@final
@attrs.frozen(kw_only=True)
class FetchedFile:
    """
    A file that was fetched whole.

    Args:
        at: When.
        file: The file.
        certificate: The fingerprint of the certificate that it was fetched with.
    """

    at: datetime
    file: OutFile
    certificate: str


@final
@attrs.frozen(kw_only=True)
class DeletedFile:
    """
    A file that a client deleted from ``out``.

    Args:
        at: When.
        file: The file.
        certificate: The fingerprint of the certificate that it was deleted with.
        fetched: Whether exactly this file had been fetched whole before.
    """

    at: datetime
    file: OutFile
    certificate: str
    fetched: bool


@final
@attrs.frozen(kw_only=True)
class RefusedFile:
    """
    An upload that the gateway refused.

    Args:
        at: When.
        user: Who wanted to upload it.
        path: Where to.
        reason: The response that the client got.
    """

    at: datetime
    user: GatewayUser
    path: str
    reason: str
