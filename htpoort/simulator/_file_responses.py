"""Write what a simulated file gateway puts out: status files, and responses, whose form is not published."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final, final
from xml.sax.saxutils import escape

from htpoort.files import NAME_REUSED, FileName, FileStatus, StatusFile, StatusReport, render_report
from htpoort.simulator.file_script import OutKind, PutOut
from htpoort.simulator.files import OutFile, UploadedFile

_STATUSES: Final = {
    OutKind.HANDED_OVER: FileStatus.HANDED_OVER,
    OutKind.TAKEN: FileStatus.TAKEN,
    OutKind.ANSWERED: FileStatus.ANSWERED,
    OutKind.ERROR: FileStatus.ERROR,
}
_CODES: Final = {
    FileStatus.ERROR: "ERROR",
    FileStatus.HANDED_OVER: "HANDED_OVER",
    FileStatus.TAKEN: "TAKEN",
    FileStatus.ANSWERED: "ANSWERED",
}


@final
class FileResponses:
    """
    Write the files that are put out for uploads.

    Args:
        bound: Whether only the certificate that uploaded may fetch them.
    """

    def __init__(self, *, bound: bool) -> None:
        self._bound = bound
        self._written: defaultdict[int, list[OutFile]] = defaultdict(list)

    def files(self, upload: UploadedFile, out: PutOut, *, at: datetime) -> list[OutFile]:
        """
        Write what is put out at one moment for an upload.

        Args:
            upload: The upload.
            out: What is put out.
            at: The moment.

        Returns:
            The files, a response before the status that names it.
        """
        if out.kind is OutKind.COPY:
            return self._written[upload.number][-1:]
        if out.kind is OutKind.FOREIGN:
            name = FileName(f"NEVER_UPLOADED_{upload.number}")
            response = self._file(f"response_{upload.service.service}_{name}.xml", _body(upload, str(name)), at, upload)
            return [response, self._status(upload, FileStatus.ANSWERED, at, name=name, response=response.name)]
        if out.kind is OutKind.UNRELATED:
            message = self._file(f"message_{upload.service.service}_{upload.number}.xml", _body(upload, ""), at, upload)
            return [message, self._status(upload, FileStatus.ANSWERED, at, response=message.name)]
        if out.kind in {OutKind.ANSWERED, OutKind.RESPONSE}:
            response = self._response(upload, out.body, at)
            if out.kind is OutKind.RESPONSE:
                return [response]
            return [response, self._status(upload, FileStatus.ANSWERED, at, response=response.name)]
        return [self._status(upload, _STATUSES[out.kind], at)]

    def _response(self, upload: UploadedFile, body: bytes | None, at: datetime) -> OutFile:
        written = self._written[upload.number]
        number = len(written) + 1
        name = f"response_{upload.service.service}_{upload.name}{f'_{number}' if written else ''}.xml"
        octets = _body(upload, upload.name, number) if body is None else body
        written.append(self._file(name, octets, at, upload, answers=True))
        return written[-1]

    def _status(
        self,
        upload: UploadedFile,
        status: FileStatus,
        at: datetime,
        *,
        name: FileName | None = None,
        response: str = "",
    ) -> OutFile:
        about = name or FileName.parse(upload.name)
        file = StatusFile(service=upload.service.service, name=about, status=status)
        error = _error(upload) if status is FileStatus.ERROR else {}
        report = StatusReport(
            file_name=str(about),
            gateway_id=str(upload.number),
            time=at.isoformat(timespec="seconds"),
            status_code=_CODES[status],
            service=upload.service.service,
            response=response,
            **error,
        )
        return self._file(file.file_name, render_report(report), at, upload, answers=name is None)

    def _file(self, name: str, octets: bytes, at: datetime, upload: UploadedFile, *, answers: bool = False) -> OutFile:
        return OutFile(
            name=name,
            octets=octets,
            at=at,
            user=upload.user,
            certificate=upload.certificate if self._bound else None,
            upload=upload if answers else None,
        )


def _error(upload: UploadedFile) -> dict[str, str]:
    """Explain what is wrong with an upload, in the fields of a report."""
    if upload.repeated:
        text = "A file of this name was uploaded before."
        return {"error_code": NAME_REUSED, "error_message": text, "resolution": "Upload it under another name."}
    if not upload.whole:
        return {"error_code": "FILE_INCOMPLETE", "error_message": "The file is not whole."}
    if not upload.octets:
        return {"error_code": "FILE_EMPTY", "error_message": "The file is empty."}
    return {"error_code": "FILE_INVALID", "error_message": "The file cannot be processed."}


def _body(upload: UploadedFile, name: str, number: int = 1) -> bytes:
    """Write a response; its form is made up."""
    about = f"<File>{escape(name)}</File>" if name else ""
    only = "true" if upload.validation_only else "false"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        f"<Response><Service>{escape(upload.service.service)}</Service>{about}"
        f"<ValidationOnly>{only}</ValidationOnly><Number>{number}</Number></Response>\r\n"
    ).encode()
