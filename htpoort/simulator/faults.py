"""
Name the faults that the gateway can show, at which place of which dialogue.

Never does: show one; the servers of the simulator do.
"""

from __future__ import annotations

import enum
import re
from datetime import timedelta
from typing import Final, final

import attrs

from htpoort.errors import InputError, Problem
from htpoort.simulator._kinds import kind_problems

__all__ = ["Action", "AnswerFault", "At", "Pop3Fault", "SmtpFault"]

_GREYLISTED: Final = timedelta(minutes=5)
# RFC 5321, section 4.5.3.1.5: 512 octets with code, blank and line end. RFC 2449, section 4, has the same for POP3.
_TEXT: Final = re.compile(r"[ -~]{0,500}")


class At(enum.StrEnum):
    """Tell where in the SMTP dialogue a fault shows."""

    GREETING = "greeting"
    """Instead of the greeting."""
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    """While the content comes, before its end."""
    DOT = "dot"
    """At the final dot."""
    QUIT = "quit"


class Action(enum.StrEnum):
    """Tell what a server does instead of what it should."""

    REFUSE = "refuse"
    """Says no for good: 5xx, or -ERR."""
    DEFER = "defer"
    """Says not now: 4xx."""
    GREYLIST = "greylist"
    """Says not now (451) until some time has passed since the first try of these two mailboxes."""
    DROP = "drop"
    """Resets the connection."""
    STALL = "stall"
    """Says nothing more until the peer leaves or the gateway closes, which it then does without a word."""
    TRICKLE = "trickle"
    """Gives the right answer, octet by octet."""


class AnswerFault(enum.StrEnum):
    """Tell what is wrong with an answer. What the router makes of each: `htpoort.simulator.answers.answer`."""

    DUPLICATE = "duplicate"
    """The same octets come twice."""
    OUT_OF_ORDER = "out-of-order"
    """It comes behind the answer that should follow it."""
    WRONG_MAILBOX = "wrong-mailbox"
    """It goes to another declarant's mailbox, and is else as it should be."""
    OTHER_SYSTEM = "other-system"
    """It comes from the other system: mailbox and process ID are of that one."""
    WRONG_PROCESS_ID = "wrong-process-id"
    """The mailbox is right, V is the other system's."""
    OTHER_PARTY = "other-party"
    """A is another declarant's."""
    OTHER_K = "other-k"
    """K is one that nobody sent."""
    NO_K = "no-k"
    """K is missing."""
    LOWER_CASE = "lower-case"
    """The keys are in lower case."""
    FOLDED = "folded"
    """The Subject is folded, within the envelope."""
    ENCODED_WORDS = "encoded-words"
    """The Subject is in encoded words (RFC 2047)."""
    FORGED_FROM = "forged-from"
    """From shows the system's mailbox as a name before somebody else's."""
    BOUNCE = "bounce"
    """It is no answer: mailer-daemon tells, with an empty MAIL FROM, that the declaration was not delivered."""
    LARGE = "large"
    """The body has 20 MB."""


_CODED: Final = {Action.REFUSE: range(500, 600), Action.DEFER: range(400, 500), Action.GREYLIST: range(400, 500)}
"""The codes of each action that says something of its own."""

# RFC 5321, section 4.3.2; RFC 3207, section 4; RFC 4954, section 4; RFC 6647, section 2.7.
_USUAL: Final = {
    (At.GREETING, Action.REFUSE): (554, "No SMTP service here"),
    (At.GREETING, Action.DEFER): (421, "Service not available, closing the connection"),
    (At.EHLO, Action.REFUSE): (550, "Not for you"),
    (At.EHLO, Action.DEFER): (421, "Service not available, closing the connection"),
    (At.STARTTLS, Action.REFUSE): (502, "No TLS here"),
    (At.STARTTLS, Action.DEFER): (454, "TLS not available due to temporary reason"),
    (At.AUTH, Action.REFUSE): (535, "Authentication credentials invalid"),
    (At.AUTH, Action.DEFER): (454, "Temporary authentication failure"),
    (At.MAIL, Action.REFUSE): (550, "Sender refused"),
    (At.MAIL, Action.DEFER): (451, "Try again later"),
    (At.RCPT, Action.REFUSE): (550, "Mailbox unavailable"),
    (At.RCPT, Action.DEFER): (450, "Mailbox busy"),
    (At.RCPT, Action.GREYLIST): (451, "Greylisted, try again later"),
    (At.DATA, Action.REFUSE): (554, "Transaction failed"),
    (At.DATA, Action.DEFER): (451, "Try again later"),
    (At.DOT, Action.REFUSE): (554, "Transaction failed"),
    (At.DOT, Action.DEFER): (451, "Try again later"),
    (At.QUIT, Action.REFUSE): (500, "Not understood"),
    (At.QUIT, Action.DEFER): (421, "Service not available, closing the connection"),
}


@final
@attrs.frozen(kw_only=True)
class SmtpFault:
    """
    Hold one fault of the server that takes declarations.

    >>> SmtpFault(at=At.RCPT, action=Action.DEFER).reply
    (450, 'Mailbox busy')

    Args:
        at: Where it shows.
        action: What the server does there.
        times: How often it shows, at least 1, GREYLIST for how many pairs of mailboxes; None for always.
        code: What it says instead of the usual code: 500 to 599 to refuse, 400 to 499 to defer.
        text: What it says instead of the usual text; one line of ASCII.
        taken: At the final dot: whether the declaration was taken, and will be answered, before the
            fault shows. One that is refused or deferred never is; one that TRICKLE says 250 to always is.
        after: How long GREYLIST says not now.

    Raises:
        InputError: Values cannot be taken, or mean nothing together; tells every problem.
    """

    at: At
    action: Action
    times: int | None = 1
    code: int | None = None
    text: str = ""
    taken: bool = True
    after: timedelta = _GREYLISTED

    def __attrs_post_init__(self) -> None:
        if problems := _smtp_problems(self):
            raise InputError("", tuple(problems))

    @property
    def reply(self) -> tuple[int, str]:
        """Code and text of REFUSE, DEFER and GREYLIST. The other actions say the right thing, or nothing: (0, "")."""
        code, text = _USUAL.get((self.at, self.action), (0, ""))
        return self.code or code, self.text or text

    @property
    def is_taken(self) -> bool:
        """Whether the server has taken the declaration all the same."""
        return self.at is At.DOT and self.taken and self.action not in _CODED


def _smtp_problems(fault: SmtpFault) -> list[Problem]:
    """Find what is wrong with a fault of SMTP."""
    found = _times_problems(fault.times)
    if not _TEXT.fullmatch(fault.text):
        found.append("text cannot be said; give one line of at most 500 printable ASCII characters.")
    if fault.after <= timedelta(0):
        found.append(f"after is {fault.after}; give a time above 0.")
    kinds = kind_problems("simulator.smtp-fault", at=(fault.at, At), action=(fault.action, Action))
    if not kinds:
        found.extend(_smtp_clashes(fault))
    return [*kinds, *(Problem("simulator.smtp-fault", message) for message in found)]


def _times_problems(times: int | None) -> list[str]:
    """Find what is wrong with how often a fault shows; a script from a file has no None."""
    if times is None or times >= 1:
        return []
    return [f"times is {times}; give at least 1, or None (in TOML always = true) for ever."]


def _smtp_clashes(fault: SmtpFault) -> list[str]:
    """Find what means nothing together."""
    found: list[str] = []
    codes = _CODED.get(fault.action)
    if fault.action is Action.GREYLIST and fault.at is not At.RCPT:
        found.append(f"action is greylist at {fault.at}; it is at rcpt, where both mailboxes are known.")
    elif fault.at is At.CONTENT and (codes is not None or fault.action is Action.TRICKLE):
        found.append(f"action is {fault.action} at content, where a server says nothing; give drop or stall.")
    if codes is None and (fault.code is not None or fault.text):
        found.append(f"code and text are not said by {fault.action}; leave them out.")
    elif codes is not None and fault.code is not None and fault.code not in codes:
        found.append(f"code is {fault.code}; to {fault.action}, give {codes.start} to {codes.stop - 1}.")
    if fault.at is not At.DOT and not fault.taken:
        found.append(f"taken is said at {fault.at}; only at dot there is something to take.")
    elif fault.action is Action.TRICKLE and not fault.taken:
        found.append("taken is False with trickle, which says 250 to a declaration that is lost then; leave it out.")
    if fault.action is not Action.GREYLIST and fault.after != _GREYLISTED:
        found.append(f"after is said of {fault.action}; only greylist has it.")
    return found


_COMMANDS: Final = (
    *("GREETING", "CAPA", "STLS", "USER", "PASS", "STAT", "LIST", "UIDL", "TOP", "RETR"),
    *("DELE", "NOOP", "RSET", "QUIT"),
)
_POP3_ACTIONS: Final = (Action.REFUSE, Action.DROP, Action.STALL, Action.TRICKLE)


def _upper(command: str) -> str:
    return command.upper()


@final
@attrs.frozen(kw_only=True)
class Pop3Fault:
    """
    Hold one fault of the POP3 server.

    >>> Pop3Fault(command="quit", action=Action.DROP).command
    'QUIT'

    Args:
        command: The command, or ``GREETING``, in any case; it is kept in upper case.
        action: What the server does instead: REFUSE, DROP, STALL or TRICKLE.
        times: How often it shows, at least 1; None for always.
        done: At QUIT: whether the deletions were made before the fault shows.

    Raises:
        InputError: Values cannot be taken, or mean nothing together; tells every problem.
    """

    command: str = attrs.field(converter=_upper)
    action: Action
    times: int | None = 1
    done: bool = False

    def __attrs_post_init__(self) -> None:
        problems = kind_problems("simulator.pop3-fault", action=(self.action, Action))
        if not problems and self.action not in _POP3_ACTIONS:
            message = f"action is {self.action}, which POP3 has not; give one of {', '.join(_POP3_ACTIONS)}."
            problems.append(Problem("simulator.pop3-fault", message))
        if self.command not in _COMMANDS:
            message = f"command is {self.command!r}; give one of {', '.join(_COMMANDS)}."
            problems.append(Problem("simulator.pop3-fault", message))
        problems.extend(Problem("simulator.pop3-fault", message) for message in _times_problems(self.times))
        if self.done and self.command != "QUIT":
            message = f"done is said at {self.command}; only QUIT deletes."
            problems.append(Problem("simulator.pop3-fault", message))
        if problems:
            raise InputError("", tuple(problems))
