"""
The status files of a gateway: what became of an uploaded file.

This module never raises on what a gateway wrote, and never takes the absence of a file for an answer.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterable
from html import escape
from typing import Final, NoReturn, final
from xml.parsers import expat

import attrs

from htpoort.core.errors import InputError
from htpoort.core.files.names import FileName
from htpoort.core.files.service import FileService
from htpoort.core.text import ascii_lower, one_line

__all__ = ["NAME_REUSED", "FileStatus", "StatusFile", "StatusReport", "is_certain", "read_report", "render_report"]

NAME_REUSED: Final = "FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION"
"""The text by which a gateway refuses a name that was used before."""

_FORM: Final = re.compile(r"status_([A-Za-z0-9._-]{3,160})_([0-3])\.xml")
_REPORT_LIMIT: Final = 65_536


@final
class FileStatus(enum.IntEnum):
    """What a status file says about an uploaded file."""

    ERROR = 0
    """Something is wrong with it. None comes while the system behind the gateway is away."""
    HANDED_OVER = 1
    """The gateway has the file and has given it to the system behind it."""
    TAKEN = 2
    """The system has taken the file; at busy times days after `HANDED_OVER`."""
    ANSWERED = 3
    """A file from the system was put out for the user: a response, or one that answers nothing."""


def is_certain(statuses: Iterable[FileStatus]) -> bool:
    """
    Say whether a file has certainly been read in.

    >>> is_certain([FileStatus.HANDED_OVER, FileStatus.ANSWERED])
    False

    Args:
        statuses: The statuses that came for one file, in any order, without a 0 that only refuses a second upload of
            its name (`StatusReport.is_name_reused`).

    Returns:
        True only if 1, 2 and 3 are among them, and 0 is not.
    """
    return set(statuses) == {FileStatus.HANDED_OVER, FileStatus.TAKEN, FileStatus.ANSWERED}


@final
@attrs.frozen(kw_only=True)
class StatusFile:
    """
    The name of a status file, in its parts.

    >>> manifest = FileService(name="MANIFEST", service="Manifest")
    >>> read = StatusFile.parse("status_Manifest_MANIFEST_2026_0001_2.xml", [manifest])
    >>> str(read.name), read.status
    ('MANIFEST_2026_0001', <FileStatus.TAKEN: 2>)

    Args:
        service: The folder of the service.
        name: The uploaded file.
        status: What is said about it.
    """

    service: str
    name: FileName
    status: FileStatus

    @classmethod
    def parse(cls, text: str, services: Iterable[FileService]) -> StatusFile | None:
        """
        Read the name of a file in ``out``.

        Service and file name may both have underscores, so that the form alone does not part them: the known services
        do.

        Args:
            text: The name of the file.
            services: The services that may be in it; of two that `clashes` finds, the first one counts.

        Returns:
            The parts; None if it is not a status file of one of these services.
        """
        matched = _FORM.fullmatch(text)
        if matched is None:
            return None
        for service in services:
            start = f"{service.service}_"
            if ascii_lower(matched[1]).startswith(ascii_lower(start)):
                try:
                    name = FileName.parse(matched[1][len(start) :])
                except InputError:
                    continue
                return cls(service=service.service, name=name, status=FileStatus(int(matched[2])))
        return None

    @property
    def file_name(self) -> str:
        """The name as it stands in ``out``."""
        return f"status_{self.service}_{self.name}_{self.status:d}.xml"


@final
@attrs.frozen(kw_only=True)
class StatusReport:
    """
    What a status file says inside. Every field is empty if the file does not say it.

    Args:
        file_name: The uploaded file.
        gateway_id: The ID that the gateway gave it.
        time: When, as it is written.
        status_code: What happened, in words.
        service: The service.
        response: The file in ``out`` that a status 3 announces.
        error_code: What is wrong, as a code.
        error_message: What is wrong, in words.
        resolution: What to do about it, in words.
    """

    file_name: str = ""
    gateway_id: str = ""
    time: str = ""
    status_code: str = ""
    service: str = ""
    response: str = ""
    error_code: str = ""
    error_message: str = ""
    resolution: str = ""

    @property
    def is_name_reused(self) -> bool:
        """Whether the gateway refuses the name because a file of this name has arrived before."""
        return any(NAME_REUSED in text for text in (self.error_code, self.error_message, self.status_code))


_FIELDS: Final = {
    "ftptransaktionsid": "file_name",
    "ftptransactionid": "file_name",
    "skattransaktionsid": "gateway_id",
    "skattransactionid": "gateway_id",
    "timestamp": "time",
    "status.code": "status_code",
    "service": "service",
    "response.filename": "response",
    "error.code": "error_code",
    "error.message": "error_message",
    "error.resolution": "resolution",
}
"""Elements by their names in lower case; the published table spells two of them otherwise than its examples."""


class _Reader:
    """Collect the texts of a status file while it is parsed."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._path: list[str] = []
        self._responses = 0  # elements of this name that are open
        self._texts: list[str] = []

    def start(self, tag: str, _attributes: object) -> None:
        name = ascii_lower(tag.rpartition(":")[2])
        self._path.append(name)
        self._responses += name == "response"
        self._texts.clear()

    def text(self, text: str) -> None:
        self._texts.append(text)

    def end(self, _tag: str) -> None:
        name = self._path.pop()
        self._responses -= name == "response"
        if name == "filename" and self._responses:
            name = "response.filename"
        text = one_line("".join(self._texts).strip())
        self._texts.clear()
        if text and (field := _FIELDS.get(name)):
            self.fields.setdefault(field, text.rpartition("/")[2] if field in {"file_name", "response"} else text)


def _refuse(*_declaration: object) -> NoReturn:
    """End the reading at a declaration of an entity: no status file has one, and a few can fill the memory."""
    raise ValueError


def read_report(octets: bytes) -> StatusReport:
    """
    Read what a status file says.

    >>> octets = b"<status><file><service>Manifest</service></file></status>"
    >>> read_report(octets).service
    'Manifest'

    Args:
        octets: The file; any octets.

    Returns:
        What could be read up to the first error; nothing of a file over 64 KiB. Never raises, takes linear time, and
        reads no entity but the five that XML itself defines.
    """
    reader = _Reader()
    if len(octets) <= _REPORT_LIMIT:
        parser = expat.ParserCreate()
        parser.StartElementHandler = reader.start
        parser.EndElementHandler = reader.end
        parser.CharacterDataHandler = reader.text
        parser.EntityDeclHandler = _refuse
        with contextlib.suppress(expat.ExpatError, ValueError, LookupError):
            parser.Parse(octets, True)  # noqa: FBT003 - it takes no name
    return StatusReport(**reader.fields)


def render_report(report: StatusReport) -> bytes:
    """
    Write the XML of a status file, as a simulator puts it out.

    >>> report = StatusReport(service="Manifest", response="A1.xml")
    >>> read_report(render_report(report)).response
    'A1.xml'

    Args:
        report: What it says; empty fields are left out.

    Returns:
        The file, in UTF-8.

    Source:
        Examples in the manual of a sister service. Where the file of a response stands is inferred from its table.
    """
    elements = "".join(
        f"<{tag}>{escape(text)}</{tag}>\n"
        for tag, text in (
            ("FTPTransaktionsId", report.file_name),
            ("SKATTransactionId", report.gateway_id),
            ("timestamp", report.time),
            ("status.code", report.status_code),
            ("service", report.service),
        )
        if text
    )
    if report.response:
        elements += f"<response>\n<filename>{escape(report.response)}</filename>\n</response>\n"
    error = "".join(
        f"<{tag}>{escape(text)}</{tag}>\n"
        for tag, text in (
            ("error.code", report.error_code),
            ("error.message", report.error_message),
            ("error.resolution", report.resolution),
        )
        if text
    )
    if error:
        elements += f"<error>\n{error}</error>\n"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<status>\n<file>\n{elements}</file>\n</status>\n'
    return text.encode()
