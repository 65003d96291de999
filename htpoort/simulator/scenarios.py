"""
Say how the gateway answers: scenarios, faults, windows and rates as data.

Never does: answer; the gateway plays what stands here.
"""

from __future__ import annotations

import enum
import operator
from datetime import timedelta
from pathlib import Path
from typing import cast, final

import attrs

from htpoort._words import ascii_lower
from htpoort.errors import InputError, Problem
from htpoort.simulator._kinds import kind_problems
from htpoort.simulator.faults import AnswerFault, Pop3Fault, SmtpFault
from htpoort.simulator.windows import Window

__all__ = ["Answer", "Kind", "RepeatedK", "Scenario", "Script"]


class Kind(enum.StrEnum):
    """Tell what an answer says."""

    ACCEPTANCE = "acceptance"
    """The declaration is accepted; with an MRN."""
    RELEASE = "release"
    """The goods may go."""
    CONTROL = "control"
    """The goods will be looked at."""
    REJECTION = "rejection"
    """The declaration is rejected, by its content."""
    TECHNICAL_ERROR = "technical-error"
    """The declaration could not be read."""


@final
@attrs.frozen(kw_only=True)
class Answer:
    """
    Hold one answer to a declaration.

    Args:
        kind: What it says.
        after: How long after the declaration was taken; 0 or more.
        body: Its body as it is; a synthetic one of *kind* where not given.
        fault: What is wrong with it.

    Raises:
        InputError: Values cannot be taken; tells every one.
    """

    kind: Kind = Kind.ACCEPTANCE
    after: timedelta = timedelta(0)
    body: bytes | None = attrs.field(default=None, repr=False)
    fault: AnswerFault | None = None

    def __attrs_post_init__(self) -> None:
        if problems := _answer_problems(self):
            raise InputError("", tuple(problems))


def _answer_problems(answer: Answer) -> list[Problem]:
    """Find what is wrong with an answer."""
    problems = kind_problems("simulator.answer", kind=(answer.kind, Kind))
    fault = cast("object", answer.fault)
    if fault is not None and not isinstance(fault, AnswerFault):
        known = ", ".join(f"AnswerFault.{one.name}" for one in AnswerFault)
        problems.append(Problem("simulator.answer", f"fault is {fault!r}; give one of {known}, or None."))
    if answer.after < timedelta(0):
        problems.append(Problem("simulator.answer", f"after is {answer.after}; give 0 or more."))
    if answer.body is not None and not answer.body:
        problems.append(Problem("simulator.answer", "body is empty; give octets, or leave it out for a synthetic one."))
    if answer.body is not None and fault in {AnswerFault.BOUNCE, AnswerFault.LARGE}:
        problems.append(Problem("simulator.answer", f"body is given, and the fault {fault} has its own; leave it out."))
    return problems


# Functions, because a default is shown in the reference, where a whole value is hard to read.
def _accepted() -> tuple[Answer, ...]:
    return (Answer(),)


@final
@attrs.frozen(kw_only=True)
class Scenario:
    """
    Hold the answers to declarations that fit.

    >>> never = Scenario(name="never answered", reference="22096222734662", answers=())
    >>> never.fits(system="DMS", party="NL123456789.02.05", reference="22096222734662")
    True

    Args:
        name: For a person.
        answers: One acceptance at once where not given; none at all where empty.
        system: Only declarations to the system of this name, in any case.
        party: Only declarations of this party, as in V, in any case.
        reference: Only the declaration with this K.
        times: For how many declarations it holds, at least 1; None for any number.

    Raises:
        InputError: Values cannot be taken; tells every one.
    """

    name: str = ""
    answers: tuple[Answer, ...] = attrs.field(factory=_accepted)
    system: str | None = None
    party: str | None = None
    reference: str | None = None
    times: int | None = None

    def __attrs_post_init__(self) -> None:
        if problems := _scenario_problems(self):
            raise InputError("", tuple(problems))

    def fits(self, *, system: str, party: str, reference: str) -> bool:
        """
        Tell whether a declaration is one that the scenario is for.

        Args:
            system: The name of the system that took it.
            party: V of the declaration.
            reference: K of the declaration.

        Returns:
            Whether system, party and reference are those of the scenario, where it names them.
        """
        return (
            (self.system is None or ascii_lower(self.system) == ascii_lower(system))
            and (self.party is None or ascii_lower(self.party) == ascii_lower(party))
            and self.reference in {None, reference}
        )

    @property
    def in_order(self) -> tuple[Answer, ...]:
        """
        The answers in the order in which they leave.

        One that is OUT_OF_ORDER stands behind the one that should follow it, with the later of both times.
        """
        left = sorted(self.answers, key=operator.attrgetter("after"))
        for at in reversed(range(len(left))):
            if left[at].fault is AnswerFault.OUT_OF_ORDER:
                left[at : at + 2] = [left[at + 1], attrs.evolve(left[at], after=left[at + 1].after)]
        return tuple(left)


def _scenario_problems(scenario: Scenario) -> list[Problem]:
    """Find what is wrong with a scenario."""
    fields = {"system": scenario.system, "party": scenario.party, "reference": scenario.reference}
    problems = [
        Problem("simulator.scenario", f"{field} is empty; give it, or leave it out for any.")
        for field, value in fields.items()
        if value is not None and not value
    ]
    if scenario.times is not None and scenario.times < 1:
        message = f"times is {scenario.times}; give at least 1, or leave it out for any number."
        problems.append(Problem("simulator.scenario", message))
    last = sorted(scenario.answers, key=operator.attrgetter("after"))[-1:]
    if last and last[0].fault is AnswerFault.OUT_OF_ORDER:
        message = "answers end with one that is out of order; give one that it can come behind."
        problems.append(Problem("simulator.scenario", message))
    return problems


class RepeatedK(enum.StrEnum):
    """Tell what the gateway does with a K that it has taken before. What the real one does is unknown."""

    ACCEPT = "accept"
    """It is taken and answered like any other."""
    REFUSE = "refuse"
    """It is refused."""
    IGNORE = "ignore"
    """It is taken, and not answered."""


def _usual() -> tuple[Scenario, ...]:
    return (Scenario(),)


@final
@attrs.frozen(kw_only=True)
class Script:
    """
    Hold everything that the gateway is told to do.

    Args:
        scenarios: A declaration gets the first that fits it and is not used up; without one it is taken
            and not answered. One acceptance at once where nothing is given.
        faults: Of the server that takes declarations.
        pop3_faults: Of the server of the declarants' mailboxes.
        windows: Of the systems; the first that covers a moment counts.
        per_hour: How many declarations it takes in an hour, counted for each declarant's mailbox by itself;
            None for any number.
        repeated: What it does with a K that it has taken before from the same party.

    Raises:
        InputError: *per_hour* is below 1, or *repeated* is none of its enum; tells both.

    Source:
        100 messages an hour have been seen in the business test environment (field).
    """

    scenarios: tuple[Scenario, ...] = attrs.field(factory=_usual)
    faults: tuple[SmtpFault, ...] = ()
    pop3_faults: tuple[Pop3Fault, ...] = ()
    windows: tuple[Window, ...] = ()
    per_hour: int | None = None
    repeated: RepeatedK = RepeatedK.ACCEPT

    def __attrs_post_init__(self) -> None:
        problems = kind_problems("simulator.script", repeated=(self.repeated, RepeatedK))
        if self.per_hour is not None and self.per_hour < 1:
            message = f"per_hour is {self.per_hour}; give at least 1, or leave it out for any number."
            problems.append(Problem("simulator.script", message))
        if problems:
            raise InputError("", tuple(problems))

    @classmethod
    def read(cls, path: Path | str) -> Script:
        """
        Read a script from a TOML file.

        Args:
            path: The file; relative paths in it start from its folder.

        Returns:
            The script.

        Raises:
            InputError: The file cannot be read, or something in it cannot be taken; tells everything, each
                with its path and line.
        """
        # Here, because a script that is written in Python needs neither the readers of files nor what they import.
        from htpoort.simulator import _script  # noqa: PLC0415

        return _script.read(Path(path))
