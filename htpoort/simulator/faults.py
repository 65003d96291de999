"""Name the faults that the gateway can show, at which step of which dialogue, and count those that it has shown."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar, cast, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.simulator.clock import Clock

__all__ = ["FaultAction", "Pop3Fault", "ReplyFault", "SmtpFault", "SmtpStep"]

_GREYLISTED: Final = timedelta(minutes=5)
# RFC 5321, section 4.5.3.1.5: 512 octets with code, blank and line end. RFC 2449, section 4, has the same for POP3.
TEXT: Final = re.compile(r"[ -~]{0,500}")


class SmtpStep(enum.StrEnum):
    """The step of the SMTP dialogue at which a fault is shown."""

    GREETING = "greeting"
    """In place of the greeting."""
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    """While the content arrives, before its end."""
    DOT = "dot"
    """At the final dot."""
    QUIT = "quit"


class FaultAction(enum.StrEnum):
    """What a server does in place of the right thing."""

    REFUSE = "refuse"
    """Refuses permanently: 5xx, or -ERR."""
    DEFER = "defer"
    """Refuses for now: 4xx."""
    GREYLIST = "greylist"
    """Defers (451) until some time has passed since the first attempt of this sender and recipient."""
    DROP = "drop"
    """Resets the connection."""
    STALL = "stall"
    """Stays silent until the peer leaves or the gateway closes, which then closes without a word."""
    TRICKLE = "trickle"
    """Sends the right response, octet by octet."""


class ReplyFault(enum.StrEnum):
    """
    What is wrong with a reply.

    `htpoort.Router.route_message` decides as follows, if it has MAIL FROM and knows what was sent:

    - DUPLICATE, OUT_OF_ORDER: routed; the octets are those of a genuine reply, which the caller sends
      twice or after the next.
    - LOWER_CASE, FOLDED, ENCODED_WORDS, LARGE: routed; the reader tolerates them.
    - OTHER_K: routed, UNKNOWN_REFERENCE.
    - WRONG_MAILBOX: UNKNOWN_ADDRESSEE at the declarant that receives it, because A is not its party.
    - OTHER_SYSTEM: OTHER_SYSTEM. A router that does not know what was sent routes it to that system.
    - WRONG_PROCESS_ID: MAILBOX_PROCESS_DISAGREE.
    - OTHER_PARTY: UNKNOWN_ADDRESSEE; OTHER_PARTY if the router has that party too.
    - NO_K: BAD_ENVELOPE.
    - FORGED_FROM: AMBIGUOUS_FROM.
    - BOUNCE: NO_ENVELOPE.
    """

    DUPLICATE = "duplicate"
    """It is sent twice, with the same octets."""
    OUT_OF_ORDER = "out-of-order"
    """It is sent after the reply that should follow it."""
    WRONG_MAILBOX = "wrong-mailbox"
    """It is sent to another declarant's mailbox; the rest of it is right."""
    OTHER_SYSTEM = "other-system"
    """It comes from the other system, with the mailbox and process ID of that system."""
    WRONG_PROCESS_ID = "wrong-process-id"
    """The mailbox is right, V is the other system's."""
    OTHER_PARTY = "other-party"
    """A is another declarant's."""
    OTHER_K = "other-k"
    """K was never sent."""
    NO_K = "no-k"
    """K is missing."""
    LOWER_CASE = "lower-case"
    """The keys are in lower case."""
    FOLDED = "folded"
    """The Subject is folded, within the envelope."""
    ENCODED_WORDS = "encoded-words"
    """The Subject is in encoded words (RFC 2047)."""
    FORGED_FROM = "forged-from"
    """From has the system's mailbox as the display name of another mailbox."""
    BOUNCE = "bounce"
    """Not a reply: mailer-daemon reports, with an empty MAIL FROM, that the declaration was not delivered."""
    LARGE = "large"
    """The body has 20 MB."""


_CODED: Final = {
    FaultAction.REFUSE: range(500, 600),
    FaultAction.DEFER: range(400, 500),
    FaultAction.GREYLIST: range(400, 500),
}
"""The codes of each action that has a response of its own."""

# RFC 5321, section 4.3.2; RFC 3207, section 4; RFC 4954, section 4; RFC 6647, section 2.7.
_USUAL: Final = {
    (SmtpStep.GREETING, FaultAction.REFUSE): (554, "No SMTP service here"),
    (SmtpStep.GREETING, FaultAction.DEFER): (421, "Service not available, closing the connection"),
    (SmtpStep.EHLO, FaultAction.REFUSE): (550, "Not accepted from this host"),
    (SmtpStep.EHLO, FaultAction.DEFER): (421, "Service not available, closing the connection"),
    (SmtpStep.STARTTLS, FaultAction.REFUSE): (502, "No TLS here"),
    (SmtpStep.STARTTLS, FaultAction.DEFER): (454, "TLS not available due to temporary reason"),
    (SmtpStep.AUTH, FaultAction.REFUSE): (535, "Authentication credentials invalid"),
    (SmtpStep.AUTH, FaultAction.DEFER): (454, "Temporary authentication failure"),
    (SmtpStep.MAIL, FaultAction.REFUSE): (550, "Sender refused"),
    (SmtpStep.MAIL, FaultAction.DEFER): (451, "Try again later"),
    (SmtpStep.RCPT, FaultAction.REFUSE): (550, "Mailbox unavailable"),
    (SmtpStep.RCPT, FaultAction.DEFER): (450, "Mailbox busy"),
    (SmtpStep.RCPT, FaultAction.GREYLIST): (451, "Greylisted, try again later"),
    (SmtpStep.DATA, FaultAction.REFUSE): (554, "Transaction failed"),
    (SmtpStep.DATA, FaultAction.DEFER): (451, "Try again later"),
    (SmtpStep.DOT, FaultAction.REFUSE): (554, "Transaction failed"),
    (SmtpStep.DOT, FaultAction.DEFER): (451, "Try again later"),
    (SmtpStep.QUIT, FaultAction.REFUSE): (500, "Not understood"),
    (SmtpStep.QUIT, FaultAction.DEFER): (421, "Service not available, closing the connection"),
}


@final
@attrs.frozen(kw_only=True)
class SmtpFault:
    """
    One fault of the SMTP server.

    >>> SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER).reply
    (450, 'Mailbox busy')

    Args:
        at: The step at which it is shown.
        action: What the server does there.
        times: How often it is shown, at least 1; GREYLIST: for how many pairs of sender and recipient. None for always.
        code: In place of the usual code: 500 to 599 to refuse, 400 to 499 to defer.
        text: In place of the usual text; one line of ASCII.
        accepted: At the final dot: whether the gateway accepts the declaration, and replies to it, before it shows the
            fault. With REFUSE and DEFER it never does; with TRICKLE, which sends 250, it always does.
        after: How long GREYLIST defers.

    Raises:
        InputError: Values are invalid, or contradict each other. The error lists every problem.
    """

    at: SmtpStep
    action: FaultAction
    times: int | None = 1
    code: int | None = None
    text: str = ""
    accepted: bool = True
    after: timedelta = _GREYLISTED

    def __attrs_post_init__(self) -> None:
        if problems := _smtp_problems(self):
            raise InputError("", tuple(problems))

    @property
    def place(self) -> str:
        """The step or command, for `FaultCounter.take`."""
        return self.at

    @property
    def reply(self) -> tuple[int, str]:
        """Code and text of REFUSE, DEFER and GREYLIST; (0, "") for the other actions, which have none of their own."""
        code, text = _USUAL.get((self.at, self.action), (0, ""))
        return self.code or code, self.text or text

    @property
    def accepts_declaration(self) -> bool:
        """Whether the server accepts the declaration in spite of the fault."""
        return self.at is SmtpStep.DOT and self.accepted and self.action not in _CODED


def _smtp_problems(fault: SmtpFault) -> list[Problem]:
    """Find the problems of an SMTP fault."""
    found = times_problems(fault.times)
    if not TEXT.fullmatch(fault.text):
        found.append("text is not one line of at most 500 printable ASCII characters; shorten or change it.")
    if fault.after <= timedelta(0):
        found.append(f"after is {fault.after}; give a time above 0.")
    kinds = member_problems("simulator.smtp-fault", at=(fault.at, SmtpStep), action=(fault.action, FaultAction))
    if not kinds:
        found.extend(_smtp_clashes(fault))
    return [*kinds, *(Problem("simulator.smtp-fault", message) for message in found)]


def times_problems(times: int | None) -> list[str]:
    """Find the problems of the number of times; a script from a file has no None."""
    if times is None or times >= 1:
        return []
    return [f"times is {times}; give at least 1, or always = true in a file, None in Python."]


def _smtp_clashes(fault: SmtpFault) -> list[str]:
    """Find the values that contradict each other."""
    found: list[str] = []
    codes = _CODED.get(fault.action)
    if fault.action is FaultAction.GREYLIST and fault.at is not SmtpStep.RCPT:
        found.append(f"action is greylist at {fault.at}; greylist works at rcpt only, where both mailboxes are known.")
    elif fault.at is SmtpStep.CONTENT and (codes is not None or fault.action is FaultAction.TRICKLE):
        found.append(f"action is {fault.action} at content, where a server sends no response; give drop or stall.")
    if codes is None and (fault.code is not None or fault.text):
        found.append(f"code and text do not go with {fault.action}; leave them out.")
    elif codes is not None and fault.code is not None and fault.code not in codes:
        found.append(f"code is {fault.code}; to {fault.action}, give {codes.start} to {codes.stop - 1}.")
    if fault.at is not SmtpStep.DOT and not fault.accepted:
        found.append(f"accepted is set at {fault.at}; it applies at dot only, so leave it out.")
    elif fault.action is FaultAction.TRICKLE and not fault.accepted:
        found.append("accepted is false with trickle, which sends 250: the declaration would be lost; leave it out.")
    if fault.action is not FaultAction.GREYLIST and fault.after != _GREYLISTED:
        found.append(f"after is set for {fault.action}; it applies to greylist only, so leave it out.")
    return found


_COMMANDS: Final = (
    *("GREETING", "CAPA", "STLS", "USER", "PASS", "STAT", "LIST", "UIDL", "TOP", "RETR"),
    *("DELE", "NOOP", "RSET", "QUIT"),
)
_POP3_ACTIONS: Final = (FaultAction.REFUSE, FaultAction.DROP, FaultAction.STALL, FaultAction.TRICKLE)


def _upper(command: str) -> str:
    return command.upper()


@final
@attrs.frozen(kw_only=True)
class Pop3Fault:
    """
    One fault of the POP3 server.

    >>> Pop3Fault(command="quit", action=FaultAction.DROP).command
    'QUIT'

    Args:
        command: The command, or ``GREETING``, in any case; stored in upper case.
        action: What the server does in place of it: REFUSE, DROP, STALL or TRICKLE.
        times: How often it is shown, at least 1; None for always.
        deleted: At QUIT: whether messages are deleted before the fault is shown.

    Raises:
        InputError: Values are invalid, or contradict each other. The error lists every problem.
    """

    command: str = attrs.field(converter=_upper)
    action: FaultAction
    times: int | None = 1
    deleted: bool = False

    def __attrs_post_init__(self) -> None:
        problems = member_problems("simulator.pop3-fault", action=(self.action, FaultAction))
        if not problems and self.action not in _POP3_ACTIONS:
            message = f"action is {self.action}, which POP3 does not have; give one of {', '.join(_POP3_ACTIONS)}."
            problems.append(Problem("simulator.pop3-fault", message))
        if self.command not in _COMMANDS:
            message = f"command is {self.command!r}; give one of {', '.join(_COMMANDS)}."
            problems.append(Problem("simulator.pop3-fault", message))
        problems.extend(Problem("simulator.pop3-fault", message) for message in times_problems(self.times))
        if self.deleted and self.command != "QUIT":
            message = f"deleted is set at {self.command}; only QUIT deletes, so leave it out."
            problems.append(Problem("simulator.pop3-fault", message))
        if problems:
            raise InputError("", tuple(problems))

    @property
    def place(self) -> str:
        """The step or command, for `FaultCounter.take`."""
        return self.command


def member_problems(code: str, **fields: tuple[object, type[enum.StrEnum]]) -> list[Problem]:
    """
    Find the fields that are not members of their enum. A text is not turned into a member, as a typo would be silent.

    Args:
        code: Of the problems.
        fields: The value and the enum of each.

    Returns:
        A problem for each such field, with the values that it can have.
    """
    return [
        Problem(code, f"{field} is {value!r}; give one of {', '.join(kind)}.")
        for field, (value, kind) in fields.items()
        if not isinstance(value, kind)
    ]


class Fault(Protocol):
    """A fault of any protocol."""

    @property
    def place(self) -> str:
        """The step or command."""
        ...

    @property
    def action(self) -> FaultAction:
        """What the server does."""
        ...

    @property
    def times(self) -> int | None:
        """How often it is shown; None for always."""
        ...


F = TypeVar("F", bound=Fault)


@final
class FaultCounter(Generic[F]):
    """
    Count how often each fault of a script has been shown; the servers of one protocol share it.

    Args:
        faults: Of two at the same place, the first that is not used up is shown.
        clock: For the moments, and for how long greylisting lasts.

    Attributes:
        shown: The faults that were shown, with their moments, in order.
    """

    def __init__(self, faults: Iterable[F], clock: Clock) -> None:
        self.shown: list[tuple[datetime, F]] = []
        self._left: list[tuple[F, int | None]] = [(fault, fault.times) for fault in faults]
        self._greylisted: dict[tuple[int, str, str], datetime] = {}
        self._clock = clock

    def take(self, place: str, mail_from: str = "", rcpt_to: str = "") -> F | None:
        """
        Return the fault to show at a place, and count it.

        Args:
            place: The step of the SMTP dialogue, or the POP3 command in upper case.
            mail_from: The sender; only greylisting uses it.
            rcpt_to: The recipient; the same.

        Returns:
            The first fault for this place that is not used up; None if there is none.
        """
        for number, (fault, left) in enumerate(self._left):
            if fault.place != place:
                continue
            if fault.action is FaultAction.GREYLIST:
                if not self._is_greylisted(number, mail_from.lower(), rcpt_to.lower()):
                    continue
            elif left == 0:
                continue
            else:
                self._count(number)
            self.shown.append((self._clock(), fault))
            return fault
        return None

    def _is_greylisted(self, number: int, mail_from: str, rcpt_to: str) -> bool:
        """Check whether two mailboxes must still wait; a new pair starts to, unless the fault is used up."""
        pair = number, mail_from, rcpt_to
        if pair in self._greylisted:
            return self._clock() < self._greylisted[pair]
        if self._left[number][1] == 0:
            return False
        self._count(number)
        self._greylisted[pair] = (
            self._clock() + cast("SmtpFault", self._left[number][0]).after
        )  # no other protocol has greylist
        return True

    def _count(self, number: int) -> None:
        fault, left = self._left[number]
        self._left[number] = fault, left if left is None else left - 1
