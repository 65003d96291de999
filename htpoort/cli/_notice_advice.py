"""Say what a notice that was just stored does not do; and what an agent does, whatever the notices alone advise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from htpoort.cli import _show
from htpoort.core.errors import InputError, Problem, UnknownError, did_you_mean, near_names
from htpoort.core.notices import Advice, AdviceKind, Availability, Notice, NoticeName, NoticeState, hold_advice

if TYPE_CHECKING:
    from htpoort.ledger import Ledger, StoredNotice

__all__ = ["as_sent", "check_played", "holds_nothing", "mapping_of", "warnings"]

_SAID: Final = {NoticeState.ENDED: "over", NoticeState.CANCELLED: "cancelled"}
_NAMED: Final = 5


def warnings(ledger: Ledger, stored: StoredNotice, systems: Iterable[str]) -> list[str]:
    """
    List what a stored notice does not do, for standard error.

    Args:
        ledger: The open ledger, which has it.
        stored: The notice.
        systems: The systems of the configuration.

    Returns:
        The lines; none if it does what it says.
    """
    elsewhere = ledger.notices.of_another_authority(stored.key)
    nothing = [f"htpoort: {elsewhere}."] if elsewhere else _ends_nothing(ledger, stored)
    return [*_without_system(ledger, stored, tuple(systems)), *nothing]


def as_sent(
    advice: Advice, obeyed: Availability, orders: Mapping[str, tuple[datetime, str]], *, system: str, at: datetime
) -> Advice:
    """
    Give what an agent does: it stops before a window begins, and obeys no notice that a person ordered it not to.

    Args:
        advice: What all notices advise.
        obeyed: The notices that an agent goes by.
        orders: The last order for each event, with its reason.
        system: The system.
        at: When it would be sent.

    Returns:
        The advice. A system that is unclear only because none of its names is known stays so, although an agent sends.
    """
    held = hold_advice(obeyed, system, at=at)
    stops = advice.advice is AdviceKind.HOLD or (advice.advice is AdviceKind.UNCLEAR and bool(advice.windows))
    if held is not None:
        why = "" if stops else "Nothing more is sent from two minutes before a window begins. "
        return attrs.evolve(held, reason=f"{why}{held.reason}")
    if not stops:
        return advice
    sent = obeyed.what_now(system, at=at)
    ordered = [
        f"Notice {notice} is not obeyed, by an order of {_show.local(orders[notice][0].isoformat())}: "
        f"{orders[notice][1].removesuffix('.')}."
        for notice in dict.fromkeys(window.notice for window in advice.windows)
        if notice in orders
    ]
    return attrs.evolve(sent, reason=" ".join([*ordered, sent.reason]))


def check_played(notices: Sequence[Notice], notice_names: Sequence[NoticeName], systems: Sequence[str]) -> None:
    """
    Check that a rehearsal plays its notices.

    Args:
        notices: The values of --notices.
        notice_names: The values of --notice-name.
        systems: The systems that are played.

    Raises:
        UnknownError: A name is mapped to a system that is not played.
        InputError: None of the names in the notices means a system that is played.
    """
    for name in notice_names:
        if name.system.casefold() not in {system.casefold() for system in systems}:
            raise UnknownError("--notice-name", name.system, "the systems that are played", tuple(systems))
    known = Availability(notices, notice_names)
    listed = [(notice, {row.system for row in notice.windows} - {None}) for notice in notices]
    missing = [each for notice, _ in listed for each in known.names_without_system(notice, systems)]
    if missing and len(missing) == sum(len(printed) for _, printed in listed):
        message = f"--notices: nothing would be played, since no name in them means {' or '.join(systems)}; "
        message += f"give for example --notice-name '{missing[0]}={systems[0]}'."
        raise InputError("", (Problem("input.value", message),))


def holds_nothing(notice: str, names: Sequence[str], systems: Iterable[str]) -> str:
    """
    Say that a notice has no effect on what is sent.

    Args:
        notice: Its number or reference.
        names: The names in it that mean none of the systems.
        systems: The systems of the configuration.

    Returns:
        The sentence without its full stop.
    """
    listed = ", ".join(map(repr, names[:_NAMED])) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"Notice {notice} holds nothing until [[notices.name]] maps {listed} to {' or '.join(systems)}"


def mapping_of(name: str, authority: str | None, systems: Sequence[str]) -> Iterator[str]:
    """
    Write the lines that map a name.

    Args:
        name: The name, as the notice prints it.
        authority: Whose notice it is; None if that is not known.
        systems: The systems of the configuration; the one that the name contains, or is a slip of, is proposed.

    Yields:
        The lines.
    """
    system = _likely(name, systems)
    others = [each for each in systems if each != system]
    yield "[[notices.name]]"
    yield f"name = {json.dumps(name, ensure_ascii=False)}"
    if system is None:
        yield f'system = "..."  # one of {", ".join(others)}, or "" if it is none of yours'
    else:
        yield f"system = {json.dumps(system, ensure_ascii=False)}" + (f"  # or {', '.join(others)}" if others else "")
    if authority is not None:
        yield f"authority = {json.dumps(authority)}"


def _likely(name: str, systems: Sequence[str]) -> str | None:
    """Find the system that a name is a slip of, or that it contains as a word; None if that is not one."""
    words = name.casefold().split()
    found = [system for system in systems if system.casefold() in words] or near_names(name, systems)
    return found[0] if len(found) == 1 else None


def _without_system(ledger: Ledger, stored: StoredNotice, systems: Sequence[str]) -> Iterator[str]:
    """Name what is mapped to no system, with the lines to write."""
    names = ledger.notices.availability().names_without_system(stored.notice, systems)
    if not names:
        return
    near = near_names(names[0], systems)
    yield f"htpoort: {holds_nothing(str(stored.key), names, systems)}{did_you_mean(near)}"
    yield "If it is a system that you send to, write into the configuration, for example:"
    yield from mapping_of(names[0], stored.notice.authority, systems)


def _ends_nothing(ledger: Ledger, stored: StoredNotice) -> Iterator[str]:
    """Say that a notice ends a reference that no other one has; a text that has its older texts in it ends those."""
    notice = stored.notice
    if notice.state not in _SAID or len(notice.revisions) > 1 or len(ledger.notices.find(str(stored.key))) > 1:
        return
    known = [each for known in ledger.notices.known() for each in known.notice.references]
    others = [each for each in dict.fromkeys(reversed(known)) if each not in notice.references]
    ended = notice.references[0] if notice.references else "a notice without a reference"
    listed = f" Stored: {', '.join(others[:_NAMED])}." if others else ""
    yield (
        f"htpoort: Notice {stored.key} says that {ended} is {_SAID[notice.state]}, but no other stored notice has that "
        f"reference, so nothing ends because of it{did_you_mean(near_names(ended, others))}{listed}"
    )
