"""The script of a simulated file gateway: what it puts out for an upload, and what it does with a name used before."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.simulator.faults import member_problems
from htpoort.simulator.file_faults import FtpsFault

__all__ = ["BackendAway", "FileScenario", "FileScript", "NameReuse", "OutKind", "PutOut"]


class OutKind(enum.StrEnum):
    """What the gateway puts out for an upload."""

    HANDED_OVER = "handed-over"
    """Status 1. The uploaded file is gone from its folder from then on."""
    TAKEN = "taken"
    """Status 2."""
    ANSWERED = "answered"
    """A response, and status 3, which names it. Each further one of the same upload has another name and content."""
    ERROR = "error"
    """Status 0: the file is wrong."""
    RESPONSE = "response"
    """A response without a status."""
    COPY = "copy"
    """The last response once more, with the same name and octets."""
    UNRELATED = "unrelated"
    """A file that answers no upload, and status 3 of this one, which names it."""
    FOREIGN = "foreign"
    """A response to a file that was never uploaded, with its status 3."""


class NameReuse(enum.StrEnum):
    """How the gateway refuses a name that was used before."""

    STATUS = "status"
    """It takes the file, does not process it, and puts out status 0 (field)."""
    STOR = "stor"
    """It answers 550 before the content (inferred)."""
    END = "end"
    """It answers 550 after the content (inferred)."""


@final
@attrs.frozen(kw_only=True)
class PutOut:
    """
    One thing that the gateway puts out for an upload.

    Args:
        kind: What it is.
        after: How long after the upload.
        body: The response in place of the usual one, for ANSWERED and RESPONSE; None for the usual one.

    Raises:
        InputError: *kind* is not a member of its enum, *after* is below 0, or *body* does not go with *kind*. The error
            lists every problem.
    """

    kind: OutKind
    after: timedelta = timedelta(0)
    body: bytes | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        problems = member_problems("simulator.put-out", kind=(self.kind, OutKind))
        if self.after < timedelta(0):
            problems.append(Problem("simulator.put-out", f"after is {self.after}; give a time of 0 or more."))
        if not problems and self.body is not None and self.kind not in {OutKind.ANSWERED, OutKind.RESPONSE}:
            message = f"body does not go with {self.kind}; give it for answered or response, or leave it out."
            problems.append(Problem("simulator.put-out", message))
        if problems:
            raise InputError("", tuple(problems))


USUAL: Final = (
    PutOut(kind=OutKind.HANDED_OVER, after=timedelta(seconds=10)),
    PutOut(kind=OutKind.TAKEN, after=timedelta(minutes=1)),
    PutOut(kind=OutKind.ANSWERED, after=timedelta(minutes=5)),
)
"""Status 1, 2, and 3 with a response. How long the real gateway takes is unknown."""


@final
@attrs.frozen(kw_only=True)
class FileScenario:
    """
    What the gateway puts out for the uploads that fit.

    Args:
        name: For people.
        service: The name or folder of a service, in any case; None for each.
        file_name: The whole name of the upload; None for each.
        times: How many uploads get it, at least 1; None for any number.
        out: What is put out, each at its moment; by default status 1, 2, and 3 with a response, within five minutes.

    Raises:
        InputError: *times* is below 1.
    """

    name: str = ""
    service: str | None = None
    file_name: str | None = None
    times: int | None = None
    out: tuple[PutOut, ...] = USUAL

    def __attrs_post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            message = f"times is {self.times}; give at least 1, or leave it out for any number."
            raise InputError("times", (Problem("simulator.file-scenario", message),))


@final
@attrs.frozen(kw_only=True)
class BackendAway:
    """
    The system behind the gateway is away: uploads are taken, but what belongs to them is put out later.

    No status 0 comes meanwhile, nor later for a file of this time (field).

    Args:
        begins: The first moment, aware.
        ends: The moment from which the waits of what is put out are counted, aware.

    Raises:
        InputError: A moment has no time zone, or *ends* is not after *begins*. The error lists every problem.
    """

    begins: datetime
    ends: datetime

    def __attrs_post_init__(self) -> None:
        problems = [
            Problem("simulator.backend-away", f"{name} is {moment.isoformat()}, without a time zone; give one.")
            for name, moment in (("begins", self.begins), ("ends", self.ends))
            if moment.utcoffset() is None
        ]
        if not problems and self.ends <= self.begins:
            message = f"ends is {self.ends.isoformat()}, not after {self.begins.isoformat()}; give a later moment."
            problems.append(Problem("simulator.backend-away", message))
        if problems:
            raise InputError("", tuple(problems))


def _usual() -> tuple[FileScenario, ...]:
    return (FileScenario(),)


@final
@attrs.frozen(kw_only=True)
class FileScript:
    """
    Everything that the file gateway plays.

    Args:
        scenarios: The first that fits an upload and is not used up applies; if there is none, nothing is put out.
        faults: Of the FTPS server.
        away: When the system behind the gateway is away.
        names: How a name that was used before is refused.
        lists_uploads: Whether a service folder lists the files that were not handed over yet. Unknown; without it,
            clients may upload there only.

    Raises:
        InputError: *names* is not a member of its enum.
    """

    scenarios: tuple[FileScenario, ...] = attrs.field(factory=_usual)
    faults: tuple[FtpsFault, ...] = ()
    away: tuple[BackendAway, ...] = ()
    names: NameReuse = NameReuse.STATUS
    lists_uploads: bool = True

    def __attrs_post_init__(self) -> None:
        if problems := member_problems("simulator.file-script", names=(self.names, NameReuse)):
            raise InputError("", tuple(problems))
