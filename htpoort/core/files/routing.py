"""
Find the uploaded file that a fetched file belongs to, or quarantine the fetched one with a reason.

Two pure steps, as for messages: a `FileRouter` reads the name of a status file, or lists the uploads that a response
may answer; `correlate_file` compares that with what was uploaded. A ledger does the second in its transaction.

This module never guesses: a response that may answer two uploads is quarantined.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.files.names import FileName, GatewayUser
from htpoort.core.files.service import FileService, clashes
from htpoort.core.files.status import FileStatus, StatusFile, StatusReport, read_report
from htpoort.core.files.submission import name_of, octets_of
from htpoort.core.payload import Payload, read_payload
from htpoort.core.routing import Correlation, Quarantined, Reason, SentRecord
from htpoort.core.text import ascii_lower

__all__ = ["FileRouter", "RoutedFile", "UnmatchedFile", "correlate_file"]

_RUN: Final = re.compile(r"[A-Za-z0-9_]+")
_ENDING: Final = re.compile(r"\.[A-Za-z0-9_]*\Z")
_PART_LIMIT: Final = 24  # parts of a name between underscores: 300 candidates, few enough for one look-up


@final
@attrs.frozen(kw_only=True)
class RoutedFile:
    """
    A fetched file, with the upload that it belongs to. Names mean the same as in `Routed`.

    Args:
        system: The service that it comes from.
        party: The user of the gateway who uploaded.
        reference: The name of the uploaded file.
        correlation: Whether a file of that name is known to have been uploaded.
        file_name: The name of the fetched file.
        status: What a status file says; None for a response.
        report: What a status file says inside; None for a response.
        body_start: Offset of the file's first octet in *raw*. Not compared by ``==``.
        raw: The entity of the fetched file. Not compared by ``==``.
    """

    system: FileService
    party: GatewayUser
    reference: str
    correlation: Correlation
    file_name: str
    status: FileStatus | None = None
    report: StatusReport | None = None
    body_start: int = attrs.field(default=0, eq=False)
    raw: bytes = attrs.field(default=b"", eq=False, repr=False)

    @property
    def mailbox(self) -> str:
        """The folder that it was fetched from: what the sender's mailbox is for a message."""
        return self.party.out

    @property
    def process_id(self) -> str:
        """The folder of the service: what the process ID is for a message."""
        return self.system.service

    @property
    def references(self) -> tuple[str, ...]:
        """The names to look up before `correlate_file`."""
        return (self.reference,)

    @property
    def payload(self) -> Payload:
        """The file as a payload; it is read anew each time."""
        return read_payload(self.raw)


@final
@attrs.frozen(kw_only=True)
class UnmatchedFile:
    """
    A fetched file that is no status file; only what was uploaded says whether it is a response.

    Args:
        services: The services of the router.
        party: The user of the gateway.
        file_name: The name of the fetched file.
        candidates: The names of uploads that the name may carry, the longest first.
        body_start: Offset of the file's first octet in *raw*. Not compared by ``==``.
        raw: The entity of the fetched file. Not compared by ``==``.
    """

    services: tuple[FileService, ...]
    party: GatewayUser
    file_name: str
    candidates: tuple[str, ...]
    body_start: int = attrs.field(default=0, eq=False)
    raw: bytes = attrs.field(default=b"", eq=False, repr=False)

    @property
    def mailbox(self) -> str:
        """The folder that it was fetched from."""
        return self.party.out

    @property
    def references(self) -> tuple[str, ...]:
        """The names to look up before `correlate_file`: the candidates."""
        return self.candidates

    @property
    def payload(self) -> Payload:
        """The file as a payload; it is read anew each time."""
        return read_payload(self.raw)


def correlate_file(
    found: RoutedFile | UnmatchedFile, records: Iterable[SentRecord], *, announced: Iterable[str] = ()
) -> RoutedFile | Quarantined:
    """
    Compare a fetched file with what was uploaded.

    Args:
        found: The result of a router.
        records: What was uploaded under the names in ``found.references`` or in *announced*. Records of other names,
            users and services are ignored.
        announced: The uploads whose status 3 names this file as theirs. They count more than what the file's own name
            looks like; for a status file, its name alone counts.

    Returns:
        The file with the one upload that it belongs to; or its quarantine, if there is none or several.
    """
    services = found.services if isinstance(found, UnmatchedFile) else (found.system,)
    known = {ascii_lower(service.name): service for service in services}
    uploads = {
        record.reference: known[ascii_lower(record.system)]
        for record in records
        if ascii_lower(record.system) in known and ascii_lower(record.party) == ascii_lower(str(found.party))
    }
    named: dict[str, FileService] = {}
    if isinstance(found, UnmatchedFile):
        named = {name: uploads[name] for name in announced if name in uploads}
    fitting = named or {name: uploads[name] for name in found.references if name in uploads}
    if len(fitting) != 1:
        return _foreign(found, sorted(fitting))
    ((reference, system),) = fitting.items()
    if isinstance(found, RoutedFile):
        return attrs.evolve(found, correlation=Correlation.MATCHED)
    return RoutedFile(
        system=system,
        party=found.party,
        reference=reference,
        correlation=Correlation.MATCHED,
        file_name=found.file_name,
        body_start=found.body_start,
        raw=found.raw,
    )


def _foreign(found: RoutedFile | UnmatchedFile, uploads: list[str]) -> Quarantined:
    """Explain why a file belongs to no upload, or not to one alone."""
    message = f"The file {found.file_name} belongs to no uploaded file of {found.party}."
    if uploads:
        message = (
            f"The file {found.file_name} may belong to each of {', '.join(uploads)}; no status file says to which."
        )
    problem = Problem("route.foreign-file", message)
    return Quarantined(
        reason=Reason.FOREIGN_FILE, problems=(problem,), mailbox=found.mailbox, body_start=found.body_start
    )


def _services(values: Iterable[FileService]) -> tuple[FileService, ...]:
    return tuple(values)


@final
@attrs.frozen(kw_only=True)
class FileRouter:
    """
    A router of the files that one user fetches from ``out``.

    Args:
        services: The services that the user uploads to; at least one.
        user: The user of the gateway.

    Raises:
        InputError: There is no service, or two clash.
    """

    services: tuple[FileService, ...] = attrs.field(converter=_services)
    user: GatewayUser

    def __attrs_post_init__(self) -> None:
        problems = clashes((), self.services)
        if not self.services:
            problems = (Problem("input.service", "services is empty; give at least one service."),)
        if problems:
            raise InputError("", problems)

    @staticmethod
    def candidates(file_name: str) -> tuple[str, ...]:
        """
        List the uploads that the name of a response may carry: how responses are named is not published.

        >>> FileRouter.candidates("response_Manifest_A1.xml")[:2]
        ('response_Manifest_A1', 'response_Manifest')

        Args:
            file_name: The name of the fetched file.

        Returns:
            Runs of the parts between its underscores that can be names of uploads, the longest first, without the
            file's ending; none of more than 24 parts in a row. What stands behind ``val_`` is never one without it.
        """
        names: set[str] = set()
        for run in _RUN.findall(_ENDING.sub("", file_name)):
            parts = run.split("_")
            if len(parts) > _PART_LIMIT:
                continue
            for start, stop in itertools.combinations(range(len(parts) + 1), 2):
                if start and parts[start - 1] == "val":
                    continue  # with its prefix, this is another file: one for validation only
                with contextlib.suppress(InputError):
                    names.add(str(FileName.parse("_".join(parts[start:stop]))))
        return tuple(sorted(names, key=lambda name: (-len(name), name)))

    def route_file(self, raw: bytes) -> RoutedFile | UnmatchedFile:
        """
        Read what a fetched file may be, from its name and, for a status file, its content.

        Args:
            raw: What `entity` wrote of the fetched file.

        Returns:
            A status file with its upload, not yet compared with what was uploaded; or a file that may be a response.

        Raises:
            InputError: `entity` has not written *raw*.
        """
        name, octets = name_of(raw), octets_of(raw)
        start = len(raw) - len(octets)
        status = StatusFile.parse(name, self.services)
        if status is None:
            return UnmatchedFile(
                services=self.services,
                party=self.user,
                file_name=name,
                candidates=self.candidates(name),
                body_start=start,
                raw=raw,
            )
        return RoutedFile(
            system=next(service for service in self.services if service.service == status.service),
            party=self.user,
            reference=str(status.name),
            correlation=Correlation.NOT_CHECKED,
            file_name=name,
            status=status.status,
            report=read_report(octets),
            body_start=start,
            raw=raw,
        )
