"""Describe, as data, how the gateway replies to a declaration, and when a system behaves otherwise."""

from __future__ import annotations

import enum
import operator
from datetime import datetime, timedelta
from typing import Final, cast, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower
from htpoort.simulator.faults import ReplyFault, member_problems

__all__ = ["Behaviour", "ReplyForm", "ReplyKind", "Scenario", "ScriptedReply", "Window"]


class ReplyKind(enum.StrEnum):
    """What a reply says."""

    ACCEPTANCE = "acceptance"
    """The declaration is accepted; has an MRN."""
    RELEASE = "release"
    """The goods are released."""
    CONTROL = "control"
    """The goods will be inspected."""
    REJECTION = "rejection"
    """The declaration is rejected for its content."""
    TECHNICAL_ERROR = "technical-error"
    """The declaration could not be read."""


class ReplyForm(enum.StrEnum):
    """How a reply carries its body. What the real gateway does is unknown, so a program must read every form."""

    PLAIN = "plain"
    """The body as it is; in base64 if mail servers may change it."""
    BASE64 = "base64"
    """The body in base64."""
    QUOTED_PRINTABLE = "quoted-printable"
    """The body in quoted-printable."""
    ATTACHMENT = "attachment"
    """The only part of a multipart, as it is or in base64."""
    ATTACHMENT_BASE64 = "attachment-base64"
    """The only part of a multipart, in base64."""
    ATTACHMENT_QUOTED = "attachment-quoted-printable"
    """The only part of a multipart, in quoted-printable."""
    EVERY = "every"
    """Each reply in the next of the other forms, in this order."""

    def of_reply(self, earlier: int) -> ReplyForm:
        """
        Return the form of one reply.

        Args:
            earlier: The number of replies before it.

        Returns:
            This form; for EVERY the first of the others, then the second, and so on, again and again.
        """
        forms = [form for form in ReplyForm if form is not ReplyForm.EVERY]
        return forms[earlier % len(forms)] if self is ReplyForm.EVERY else self


@final
@attrs.frozen(kw_only=True)
class ScriptedReply:
    """
    One reply that a script gives to a declaration.

    Args:
        kind: What it says.
        after: How long after the acceptance of the declaration it is sent; 0 or more.
        body: Its body; by default a synthetic one of *kind*.
        fault: What is wrong with it.
        form: How it carries its body; None for the form of the script. A bounce has its own.

    Raises:
        InputError: Values are invalid. The error lists every problem.
    """

    kind: ReplyKind = ReplyKind.ACCEPTANCE
    after: timedelta = timedelta(0)
    body: bytes | None = attrs.field(default=None, repr=False)
    fault: ReplyFault | None = None
    form: ReplyForm | None = None

    def __attrs_post_init__(self) -> None:
        if problems := _reply_problems(self):
            raise InputError("", tuple(problems))


def _reply_problems(reply: ScriptedReply) -> list[Problem]:
    """Find the problems of a reply."""
    problems = member_problems("simulator.answer", kind=(reply.kind, ReplyKind))
    form = cast("object", reply.form)
    if form is not None and not isinstance(form, ReplyForm):
        message = f"form is {form!r}; give one of {', '.join(ReplyForm)}, or leave it out."
        problems.append(Problem("simulator.answer", message))
    fault = cast("object", reply.fault)
    if fault is not None and not isinstance(fault, ReplyFault):
        message = f"fault is {fault!r}; give one of {', '.join(ReplyFault)}, or leave it out."
        problems.append(Problem("simulator.answer", message))
    if reply.after < timedelta(0):
        problems.append(Problem("simulator.answer", f"after is {reply.after}; give 0 or more."))
    if reply.body is not None and not reply.body:
        problems.append(Problem("simulator.answer", "body is empty; give a body, or leave it out for a synthetic one."))
    if reply.body is not None and fault in {ReplyFault.BOUNCE, ReplyFault.LARGE}:
        problems.append(
            Problem("simulator.answer", f"body is given, but {fault} has its own body; leave one of them out.")
        )
    return problems


# A function, because the reference shows defaults, and a whole value is hard to read there.
def _accepted() -> tuple[ScriptedReply, ...]:
    return (ScriptedReply(),)


@final
@attrs.frozen(kw_only=True)
class Scenario:
    """
    The replies to the declarations that fit.

    >>> never = Scenario(name="no reply", reference="22096222734662", replies=())
    >>> never.fits(system="DMS", party="NL123456789.02.05", reference="22096222734662")
    True

    Args:
        name: For the reader.
        replies: By default one acceptance at once; empty for no reply.
        system: Only declarations to the system of this name, in any case.
        party: Only declarations of this party, as in V, in any case.
        reference: Only the declaration with this K.
        times: For how many declarations it applies, at least 1; None for any number.

    Raises:
        InputError: Values are invalid. The error lists every problem.
    """

    name: str = ""
    replies: tuple[ScriptedReply, ...] = attrs.field(factory=_accepted)
    system: str | None = None
    party: str | None = None
    reference: str | None = None
    times: int | None = None

    def __attrs_post_init__(self) -> None:
        if problems := _scenario_problems(self):
            raise InputError("", tuple(problems))

    def fits(self, *, system: str, party: str, reference: str) -> bool:
        """
        Return whether the scenario applies to a declaration.

        Args:
            system: The name of the system that accepted it.
            party: V of the declaration.
            reference: K of the declaration.

        Returns:
            Whether system, party and reference are those that the scenario names; what it does not name always fits.
        """
        return (
            (self.system is None or ascii_lower(self.system) == ascii_lower(system))
            and (self.party is None or ascii_lower(self.party) == ascii_lower(party))
            and self.reference in {None, reference}
        )

    @property
    def in_order(self) -> tuple[ScriptedReply, ...]:
        """
        The replies in the order in which they are sent.

        One that is OUT_OF_ORDER comes after the one that should follow it, at the later of both times.
        """
        left = sorted(self.replies, key=operator.attrgetter("after"))
        for at in reversed(range(len(left))):
            if left[at].fault is ReplyFault.OUT_OF_ORDER:
                left[at : at + 2] = [left[at + 1], attrs.evolve(left[at], after=left[at + 1].after)]
        return tuple(left)


def _scenario_problems(scenario: Scenario) -> list[Problem]:
    """Find the problems of a scenario."""
    fields = {"system": scenario.system, "party": scenario.party, "reference": scenario.reference}
    problems = [
        Problem("simulator.scenario", f"{field} is empty; give a value, or leave it out for any {field}.")
        for field, value in fields.items()
        if value is not None and not value
    ]
    if scenario.times is not None and scenario.times < 1:
        message = f"times is {scenario.times}; give at least 1, or leave it out for any number."
        problems.append(Problem("simulator.scenario", message))
    last = sorted(scenario.replies, key=operator.attrgetter("after"))[-1:]
    if last and last[0].fault is ReplyFault.OUT_OF_ORDER:
        message = "replies ends with one that is out of order; add a reply that it can follow."
        problems.append(Problem("simulator.scenario", message))
    return problems


_HOUR: Final = timedelta(hours=1)


class Behaviour(enum.StrEnum):
    """What a system does during a service window. Official notices announce one of these."""

    REJECT = "reject"
    """Its declarations are refused."""
    LOSE = "lose"
    """They are accepted, and never answered."""
    QUEUE = "queue"
    """They are accepted; their replies start when the window ends."""
    DELAY = "delay"
    """They are accepted; their replies come later."""


@final
@attrs.frozen(kw_only=True)
class Window:
    """
    One service window of one system.

    >>> from datetime import UTC
    >>> window = Window(
    ...     system="DMS",
    ...     behaviour=Behaviour.QUEUE,
    ...     begins=datetime(2026, 11, 2, 18, tzinfo=UTC),
    ...     ends=datetime(2026, 11, 2, 23, tzinfo=UTC),
    ... )
    >>> (
    ...     window.covers(datetime(2026, 11, 2, 22, 59, tzinfo=UTC)),
    ...     window.covers(window.ends),
    ... )
    (True, False)

    Args:
        system: The name of the system, in any case.
        behaviour: What the system does during the window.
        begins: The first moment, aware.
        ends: The first moment after it, aware.
        delay: How much later each reply comes, if the behaviour is DELAY.

    Raises:
        InputError: Values are invalid. The error lists every problem.
    """

    system: str
    behaviour: Behaviour
    begins: datetime
    ends: datetime
    delay: timedelta = _HOUR

    def __attrs_post_init__(self) -> None:
        if problems := _problems(self):
            raise InputError("", tuple(problems))

    def covers(self, moment: datetime) -> bool:
        """
        Return whether a moment is in the window.

        Args:
            moment: Aware.

        Returns:
            True from *begins*, False from *ends* on.
        """
        return self.begins <= moment < self.ends

    def is_of(self, system: str) -> bool:
        """
        Return whether the window is of a system.

        Args:
            system: Its name, in any case.

        Returns:
            Whether the names are equal, in any case.
        """
        return ascii_lower(self.system) == ascii_lower(system)


def _problems(window: Window) -> list[Problem]:
    """Find the problems of a window."""
    problems: list[Problem] = []
    if not window.system:
        problems.append(Problem("simulator.window", "system is empty; give the name of a system."))
    problems.extend(member_problems("simulator.window", behaviour=(window.behaviour, Behaviour)))
    naive = [(field, value) for field, value in (("begins", window.begins), ("ends", window.ends)) if _is_naive(value)]
    problems.extend(
        Problem("simulator.window", f"{field} is {value}; give a moment with a time zone.") for field, value in naive
    )
    if not naive and window.begins >= window.ends:
        message = f"ends is {window.ends.isoformat()}; give a moment after the beginning, {window.begins.isoformat()}."
        problems.append(Problem("simulator.window", message))
    if window.delay <= timedelta(0):
        problems.append(Problem("simulator.window", f"delay is {window.delay}; give a time above 0."))
    return problems


def _is_naive(value: object) -> bool:
    return not isinstance(value, datetime) or value.utcoffset() is None
