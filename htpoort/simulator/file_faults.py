"""Name the faults that a simulated file gateway can show, and at which step of the dialogue."""

from __future__ import annotations

import enum
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.simulator.faults import TEXT, FaultAction, member_problems, times_problems

__all__ = ["FtpsFault", "FtpsStep", "Kept"]


class FtpsStep(enum.StrEnum):
    """The step of the FTPS dialogue at which a fault is shown."""

    GREETING = "greeting"
    """In place of the greeting; with implicit TLS after the handshake."""
    AUTH = "auth"
    USER = "user"
    PASS = "pass"  # noqa: S105 - a command
    CWD = "cwd"
    PASV = "pasv"
    """At PASV and EPSV."""
    LIST = "list"
    """At LIST, NLST and MLSD."""
    SIZE = "size"
    STOR = "stor"
    STOR_CONTENT = "stor-content"
    """While a file arrives, after its first octets."""
    STOR_END = "stor-end"
    """When a file has arrived, in place of 226."""
    RETR = "retr"
    RETR_CONTENT = "retr-content"
    """While a file is sent, after its first half."""
    DELE = "dele"
    QUIT = "quit"


class Kept(enum.StrEnum):
    """What the gateway keeps of an upload at which a fault is shown. What the real one keeps is unknown."""

    NOTHING = "nothing"
    """Nothing; the name is as free as before."""
    PART = "part"
    """What arrived is in the folder until the next upload of the name; the name is as free as before."""
    TAKEN_PART = "taken-part"
    """What arrived is taken as the whole file: the name is used, and status 0 reports that the file is broken."""
    ALL = "all"
    """The whole file, as if it had been answered with 226; only at the end of an upload."""


_CODED: Final = {FaultAction.REFUSE: range(500, 600), FaultAction.DEFER: range(400, 500)}
"""The codes of each action that has a response of its own."""
_CONTENTS: Final = (FtpsStep.STOR_CONTENT, FtpsStep.RETR_CONTENT)
_CLOSING: Final = "Service not available, closing the control connection"

# RFC 959, section 5.4; RFC 4217, section 5; RFC 3659 names no reply codes for SIZE beside those of RFC 959.
_USUAL: Final = {
    (FtpsStep.GREETING, FaultAction.REFUSE): (530, "Not accepted from this host"),
    (FtpsStep.GREETING, FaultAction.DEFER): (421, _CLOSING),
    (FtpsStep.AUTH, FaultAction.REFUSE): (502, "No TLS here"),
    (FtpsStep.AUTH, FaultAction.DEFER): (431, "TLS not available now"),
    (FtpsStep.USER, FaultAction.REFUSE): (530, "Not logged in"),
    (FtpsStep.USER, FaultAction.DEFER): (421, _CLOSING),
    (FtpsStep.PASS, FaultAction.REFUSE): (530, "Not logged in"),
    (FtpsStep.PASS, FaultAction.DEFER): (421, _CLOSING),
    (FtpsStep.CWD, FaultAction.REFUSE): (550, "Folder unavailable"),
    (FtpsStep.CWD, FaultAction.DEFER): (421, _CLOSING),
    (FtpsStep.PASV, FaultAction.REFUSE): (502, "No data connections here"),
    (FtpsStep.PASV, FaultAction.DEFER): (425, "Can't open a data connection"),
    (FtpsStep.LIST, FaultAction.REFUSE): (550, "Folder unavailable"),
    (FtpsStep.LIST, FaultAction.DEFER): (450, "Folder busy"),
    (FtpsStep.SIZE, FaultAction.REFUSE): (550, "File unavailable"),
    (FtpsStep.SIZE, FaultAction.DEFER): (450, "File busy"),
    (FtpsStep.STOR, FaultAction.REFUSE): (553, "File name not allowed"),
    (FtpsStep.STOR, FaultAction.DEFER): (452, "Insufficient storage space"),
    (FtpsStep.STOR_END, FaultAction.REFUSE): (552, "Exceeded storage allocation"),
    (FtpsStep.STOR_END, FaultAction.DEFER): (451, "Local error in processing"),
    (FtpsStep.RETR, FaultAction.REFUSE): (550, "File unavailable"),
    (FtpsStep.RETR, FaultAction.DEFER): (450, "File busy"),
    (FtpsStep.DELE, FaultAction.REFUSE): (550, "File unavailable"),
    (FtpsStep.DELE, FaultAction.DEFER): (450, "File busy"),
    (FtpsStep.QUIT, FaultAction.REFUSE): (500, "Not understood"),
    (FtpsStep.QUIT, FaultAction.DEFER): (421, _CLOSING),
}


@final
@attrs.frozen(kw_only=True)
class FtpsFault:
    """
    One fault of a file gateway.

    >>> FtpsFault(at=FtpsStep.STOR, action=FaultAction.DEFER).reply
    (452, 'Insufficient storage space')

    Args:
        at: The step at which it is shown.
        action: What the gateway does there: any but GREYLIST. TRICKLE sends the response octet by octet; during a
            content, the content flows slowly.
        times: How often it is shown, at least 1; None for always.
        code: In place of the usual code: 500 to 599 to refuse, 400 to 499 to defer. 421 closes the connection.
        text: In place of the usual text; one line of ASCII.
        kept: What is kept of an upload, at STOR_CONTENT and STOR_END; elsewhere nothing.
        deleted: At DELE: whether the file is deleted before the fault is shown.

    Raises:
        InputError: Values are invalid, or contradict each other. The error lists every problem.
    """

    at: FtpsStep
    action: FaultAction
    times: int | None = 1
    code: int | None = None
    text: str = ""
    kept: Kept = Kept.NOTHING
    deleted: bool = False

    def __attrs_post_init__(self) -> None:
        problems = member_problems(
            "simulator.ftps-fault",
            at=(self.at, FtpsStep),
            action=(self.action, FaultAction),
            kept=(self.kept, Kept),
        )
        found = times_problems(self.times)
        if not TEXT.fullmatch(self.text):
            found.append("text is not one line of at most 500 printable ASCII characters; shorten or change it.")
        if not problems:
            found.extend(_clashes(self))
        problems.extend(Problem("simulator.ftps-fault", message) for message in found)
        if problems:
            raise InputError("", tuple(problems))

    @property
    def place(self) -> str:
        """The step, for `FaultCounter.take`."""
        return self.at

    @property
    def reply(self) -> tuple[int, str]:
        """Code and text of REFUSE and DEFER; (0, "") for the other actions, which have none of their own."""
        code, text = _USUAL.get((self.at, self.action), (0, ""))
        return self.code or code, self.text or text


def _clashes(fault: FtpsFault) -> list[str]:
    """Find the values that contradict each other."""
    found: list[str] = []
    codes = _CODED.get(fault.action)
    if fault.action is FaultAction.GREYLIST:
        found.append("action is greylist, which FTPS does not have; give refuse, defer, drop, stall or trickle.")
    elif fault.at in _CONTENTS and codes is not None:
        found.append(f"action is {fault.action} at {fault.at}; during a content, give drop, stall or trickle.")
    if codes is None and (fault.code is not None or fault.text):
        found.append(f"code and text do not go with {fault.action}; leave them out.")
    elif codes is not None and fault.code is not None and fault.code not in codes:
        found.append(f"code is {fault.code}; to {fault.action}, give {codes.start} to {codes.stop - 1}.")
    if fault.kept is not Kept.NOTHING:
        if fault.at not in {FtpsStep.STOR_CONTENT, FtpsStep.STOR_END}:
            found.append(f"kept is set at {fault.at}; it applies at stor-content and stor-end only, so leave it out.")
        elif fault.action is FaultAction.TRICKLE:
            found.append("kept does not go with trickle, after which the upload goes on; leave it out.")
        elif fault.kept is Kept.ALL and fault.at is FtpsStep.STOR_CONTENT:
            found.append("kept is all at stor-content, where the file has not arrived; give it at stor-end.")
    if fault.deleted and fault.at is not FtpsStep.DELE:
        found.append(f"deleted is set at {fault.at}; it applies at dele only, so leave it out.")
    return found
