"""
Release messages from quarantine: check what is known against the choice of a person, then store them as replies.

Never does: choose, or let a choice pass that contradicts what is known unless a person gives a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import attrs
import sqlalchemy as sa

from htpoort import _grammar
from htpoort.directory import Directory
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import InputError, Problem
from htpoort.ledger import _inbox, _reports
from htpoort.ledger.records import Held, HeldState, Stored
from htpoort.party import PartyId
from htpoort.routing import Correlation, Quarantined, Reason, Routed, correlate

_ADVICE: Final = (
    "Choose again; if it belongs there all the same, release it despite that, with your reason: "
    "--despite REASON on the command line, release_despite in Python."
)


def release(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    connection: sa.Connection, key: int, found: Routed, at: datetime, directory: Directory, why: str | None
) -> Stored:
    """
    Give a message in quarantine to the process that a person chose.

    Args:
        connection: In a transaction.
        key: Its number in quarantine.
        found: Where a person says that it belongs.
        at: Now.
        directory: Says of which system a mailbox or process ID is.
        why: The reason to do it despite what is known; None where nothing may contradict.

    Raises:
        UnknownError: There is none of that number.
        InputError: It was discarded or released before; what is known contradicts the choice; the reason is blank; or
            K is none that can have been sent, which no reason changes.
    """
    if why is not None and not why.strip():
        raise InputError("", (Problem("ledger.reason", "The reason is blank; say why, for the log."),))
    if not _grammar.WRITER_REFERENCE.fullmatch(found.reference):
        # No reason helps: the process that gets it takes its K for one that can have been sent, or for a file's name.
        message = f"K is {found.reference!r}, which cannot have been sent; give another reference, letters and digits."
        raise InputError("", (Problem("release.reference", message),))
    there = _inbox.still_held(connection, key)
    # Two things that are known may say the same.
    problems = tuple(dict.fromkeys(_contradictions(connection, there, found, directory)))
    if problems and why is None:
        raise InputError("", _with_advice(problems))
    known = correlate(found, _reports.sent(connection, found.reference))
    detail = f"message {key} of the quarantine, by a person, to {found.system.name} for {found.party}"
    detail += f" under {found.reference}"
    if why is not None:
        codes = ", ".join(dict.fromkeys(problem.code for problem in problems)) or "nothing"
        detail += f", despite {codes}: {why}"
    if isinstance(known, Quarantined):
        # It answers nothing: the K is another party's, or went to another system.
        known = attrs.evolve(found, correlation=Correlation.UNKNOWN_REFERENCE)
    stored = _inbox.take_in(connection, known, there.raw, at)
    _inbox.mark(connection, key, HeldState.RELEASED, at, detail, stored.key)
    return stored


def _contradictions(connection: sa.Connection, there: Held, found: Routed, directory: Directory) -> Iterator[Problem]:
    """Give each thing that is known to speak against a choice; what is only unknown speaks against none."""
    own = None if there.subject is None else RoutingEnvelope.parse(there.subject)
    references = dict.fromkeys((found.reference, *(() if own is None else (own.reference,))))
    for reference in references:
        known = correlate(attrs.evolve(found, reference=reference), _reports.sent(connection, reference))
        if isinstance(known, Quarantined):
            yield _problem(known.reason, known.problems[0].message)
    by_mailbox = None if there.mailbox is None else directory.answering_from(there.mailbox)
    if by_mailbox is not None and by_mailbox.name != found.system.name:
        message = (
            f"It came from {there.mailbox}, which is the mailbox of {by_mailbox.name}, not of {found.system.name}."
        )
        yield _problem(Reason.OTHER_SYSTEM, message)
    if own is None:
        return
    by_process = directory.answering_as(own.sender)
    if by_process is not None and by_process.name != found.system.name:
        message = f"Its process ID is {own.sender}, which is {by_process.name}'s, not {found.system.name}'s."
        yield _problem(Reason.OTHER_SYSTEM, message)
    if _names_another(own.addressee, found.party):
        yield _problem(Reason.OTHER_PARTY, f"It is addressed to {own.addressee}, not to {found.party}.")


def _names_another(addressee: str, party: PartyId) -> bool:
    """Say whether A is a party ID, and another party's; with fewer or more groups it may be the same one."""
    try:
        PartyId.parse(addressee)
    except InputError:
        return False
    return not party.covers(addressee)


def _problem(reason: Reason, message: str) -> Problem:
    if reason is Reason.OTHER_PARTY:
        return Problem("release.other-party", message)
    return Problem("release.other-system", message)


def _with_advice(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Say once, behind the last thing that is wrong, what to do."""
    *others, last = problems
    return (*others, attrs.evolve(last, message=f"{last.message} {_ADVICE}"))
