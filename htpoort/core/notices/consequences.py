"""
What follows from notices for exchanges: hold them, pause the clock of an answer, presume them rejected, recover them.

Nothing here sends or orders anything. What may be ordered follows from the recovery that a notice states; a notice that
was not wholly understood allows nothing that sends a declaration again.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, final

import attrs

from htpoort.core.notices.availability import Advice, AdviceKind, Availability, PlacedWindow
from htpoort.core.notices.notice import Behaviour, Recovery

__all__ = [
    "HOLD_LEAD",
    "LONGEST_OPEN_PAUSE",
    "RecoveryAction",
    "RecoveryRule",
    "answer_age",
    "hold_advice",
    "outstanding_since",
    "presumed_rejected",
    "recovery_rule",
    "sent_in",
]

HOLD_LEAD: Final = timedelta(minutes=2)
"""How long before a window opens nothing more is sent: an attempt takes about so long, and must not end inside."""
LONGEST_OPEN_PAUSE: Final = timedelta(days=1)
"""
How long a window without a stated end pauses the clock of an answer.

Many notices are never closed. Without a limit, nothing would ever be too old after one of them.
"""
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_PAUSING: Final = frozenset({
    Behaviour.REJECTED,
    Behaviour.QUEUED,
    Behaviour.DELAYED,
    Behaviour.UNAVAILABLE,
    Behaviour.LIMITED,
    Behaviour.UNSTABLE,
})
"""What a window does that can keep an answer away: all but *normal* and *unstated*."""


# ── holding ──────────────────────────────────────────────────────────────────


def hold_advice(availability: Availability, system: str, *, at: datetime, lead: timedelta = HOLD_LEAD) -> Advice | None:
    """
    Decide whether nothing may be sent to a system now.

    Args:
        availability: What the notices state.
        system: The system of the directory.
        at: Now, aware.
        lead: How long an attempt may take: what a notice forbids by then is not begun.

    Returns:
        The advice to hold, or one that is unclear because of a notice; None if it may be sent. A system that no notice
        concerns may be, also if none of its names is known. Of what is unclear, *until* is when nothing holds
        any more; None if that is not known.
    """
    advice = _to_hold(availability, system, at=at, lead=lead)
    if advice is None or advice.advice is AdviceKind.HOLD:
        return advice
    until = advice.until
    # Where one of two notices that contradict each other ends, the other one may hold on.
    while until is not None:
        next_advice = _to_hold(availability, system, at=until, lead=lead)
        if next_advice is None:
            break
        until = next_advice.until
    return attrs.evolve(advice, until=until)


def _to_hold(availability: Availability, system: str, *, at: datetime, lead: timedelta) -> Advice | None:
    """Find the first advice not to send that holds from now on, or by the end of an attempt that is begun now."""
    # A window that opens at the very end of the attempt counts: the end is not known to the moment.
    windows = availability.windows(system, start=at, stop=at + lead + timedelta.resolution)
    if not windows:
        return None
    opening = (window.opens for window in windows)
    moments = {at, at + lead, *(moment for moment in opening if moment is not None and at < moment < at + lead)}
    for moment in sorted(moments):
        advice = availability.what_now(system, at=moment)
        if advice.advice is AdviceKind.HOLD or (advice.advice is AdviceKind.UNCLEAR and advice.windows):
            return advice
    return None


# ── the clock of an answer ───────────────────────────────────────────────────


def answer_age(availability: Availability, system: str, *, since: datetime, at: datetime) -> timedelta:
    """
    Calculate how long an answer is outstanding, less the time in which none could be expected.

    Args:
        availability: What the notices state.
        system: The system of the directory.
        since: When the declaration was sent, aware.
        at: Now, aware.

    Returns:
        The age; not below zero. A window pauses it from its start to its stated end, also if that was only expected,
        and for a day at most if no end is stated.
    """
    if at <= since:
        return timedelta(0)
    age, counted_from = timedelta(0), since
    for begin, end in _pauses(availability, system, since=since, at=at):
        age += begin - counted_from
        counted_from = end
    return age + (at - counted_from)


def outstanding_since(availability: Availability, system: str, *, age: timedelta, at: datetime) -> datetime:
    """
    Find when a declaration must have been sent for its answer to be outstanding for so long, as `answer_age` counts.

    Args:
        availability: What the notices state.
        system: The system of the directory.
        age: The age; not below zero.
        at: Now, aware.

    Returns:
        The latest such moment; what was sent by then is at least as old, and what was sent later is not.
    """
    left, counted_to = age, at
    for begin, end in reversed(_pauses(availability, system, since=_EARLIEST, at=at)):
        if counted_to - end >= left:
            break
        left -= counted_to - end
        counted_to = begin
    return counted_to - left


def _pauses(
    availability: Availability, system: str, *, since: datetime, at: datetime
) -> list[tuple[datetime, datetime]]:
    """List the periods in which the clock of an answer stands still, in order and none touching another."""
    periods = sorted(
        (max(opens, since), min(closes, at))
        for window in availability.windows(system, start=since, stop=at)
        if (opens := window.opens) is not None
        if (closes := _paused_until(window)) is not None
    )
    merged: list[tuple[datetime, datetime]] = []
    for begin, end in periods:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif begin < end:
            merged.append((begin, end))
    return merged


def _paused_until(window: PlacedWindow) -> datetime | None:
    """Find the end of a pause; None if the window pauses nothing."""
    if window.assumed or window.opens is None or window.window.behaviour not in _PAUSING:
        return None
    stated = window.closes or window.window.closes(window.zone or "UTC")
    return window.opens + LONGEST_OPEN_PAUSE if stated is None else stated


# ── recovering ───────────────────────────────────────────────────────────────


class RecoveryAction(enum.StrEnum):
    """What a person may order for an exchange that a notice concerns."""

    WAIT = "wait"
    """Nothing is sent; the answer is waited for."""
    SAME_REFERENCE = "same-reference"
    """The declaration is sent again with the same LRN, under a new K."""
    NEW_REFERENCE = "new-reference"
    """A declaration with a new LRN is sent in its place, under a new K."""
    REPORT = "report"
    """It was put on the list of unanswered declarations that Customs asks for; nothing is sent."""
    INVALIDATED = "invalidated"
    """Customs was asked to invalidate it; the exchange is closed, and nothing is sent."""

    @property
    def sends(self) -> bool:
        """Whether a declaration is sent because of it."""
        return self in {RecoveryAction.SAME_REFERENCE, RecoveryAction.NEW_REFERENCE}


_A: Final = RecoveryAction
_ALLOWED: Final = {
    Recovery.WAIT: frozenset[RecoveryAction]({_A.WAIT}),
    Recovery.RESUBMIT: frozenset({_A.SAME_REFERENCE, _A.NEW_REFERENCE}),
    Recovery.RESEND_SAME_REFERENCE_OPTIONAL: frozenset({_A.WAIT, _A.SAME_REFERENCE}),
    Recovery.SAME_REFERENCE: frozenset({_A.SAME_REFERENCE}),
    Recovery.NEW_REFERENCE: frozenset({_A.NEW_REFERENCE}),
    Recovery.REPORT_LIST: frozenset({_A.REPORT, _A.WAIT}),
    Recovery.INVALIDATE_AND_NEW: frozenset({_A.INVALIDATED, _A.NEW_REFERENCE}),
    Recovery.UNSTATED: frozenset({_A.WAIT}),
}
"""The actions that each recovery allows; what neither sends nor closes is always allowed besides."""
_HARMLESS: Final = frozenset({_A.WAIT, _A.REPORT})
_TO_DO: Final = {
    Recovery.WAIT: "wait: it is kept and processed after the window, so send nothing",
    Recovery.RESUBMIT: "submit it again; the notice does not say under which LRN",
    Recovery.RESEND_SAME_REFERENCE_OPTIONAL: "wait, or send it again with the same LRN",
    Recovery.SAME_REFERENCE: "send it again with the same LRN",
    Recovery.NEW_REFERENCE: "declare it again with another LRN",
    Recovery.REPORT_LIST: "send nothing again; put it on the list for Customs",
    Recovery.INVALIDATE_AND_NEW: "have it invalidated, and file a new declaration with another LRN",
}


@final
@attrs.frozen(kw_only=True)
class RecoveryRule:
    """
    What a notice says to do for an exchange, and what may be ordered.

    Args:
        recovery: The word of the notice.
        to_do: The same as a phrase for people; if the notices forbid it, it says which of them.
        against: Why each other action is refused, in sentences.
        forbidden_by: The notices that say so, by their keys.
    """

    recovery: Recovery
    to_do: str
    against: Mapping[RecoveryAction, str]
    forbidden_by: Mapping[RecoveryAction, tuple[str, ...]]

    @property
    def allowed(self) -> tuple[RecoveryAction, ...]:
        """What may be ordered without contradicting a notice."""
        return tuple(action for action in RecoveryAction if action not in self.against)

    def why_refused(self, action: RecoveryAction, despite: str | None, *, notice: str = "", hint: str = "") -> str:
        """
        Say why an order is refused: a notice forbids it, and no reason is given that is about this notice.

        A reason is about the notice of the order, and about those that it names: a reference, or ``notice 3`` if a
        notice has none. So what is said of one notice overrides no other.

        Args:
            action: The action.
            despite: Why it is ordered all the same; None if no reason is given.
            notice: The key of the notice that the order is about.
            hint: What else to say before the advice.

        Returns:
            All that the notices say against it, and how it can be ordered; empty if it may be.
        """
        forbidding = [key for key in self.forbidden_by.get(action, ()) if key != notice]
        names = [f"notice {key}" if key.isdigit() else key for key in forbidding]
        unnamed = [name for name in names if not _is_named(name, despite or "")]
        if action not in self.against or (despite is not None and not unnamed):
            return ""
        advice = f"name {' and '.join(unnamed)} in the reason, and give it" if unnamed else "give the reason"
        return " ".join(filter(None, (self.against[action], hint, f"To do it all the same, {advice} as despite.")))


def _is_named(name: str, reason: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", reason, re.IGNORECASE) is not None


def recovery_rule(
    windows: Iterable[PlacedWindow], *, incomplete: Iterable[str] = (), ordered: Iterable[RecoveryAction] = ()
) -> RecoveryRule:
    """
    Combine what all windows that concern an exchange say to do.

    Args:
        windows: The windows that it was sent in, the one that a person asked about first; at least one.
        incomplete: The notices among them that were not wholly understood.
        ordered: What was ordered for the exchange already.

    Returns:
        What the first window says, and all that any of them forbids. A further window that leaves the recovery open
        forbids nothing. Where one says to have it invalidated first, a new declaration is refused until that was
        ordered.
    """
    first, *others = tuple(windows)
    several = (first, *(window for window in others if window.window.recovery is not Recovery.UNSTATED))
    unsure = set(incomplete)
    # By action, the sentences in order, each with its notice.
    against: dict[RecoveryAction, dict[str, str]] = {}
    for window in several:
        for action in RecoveryAction:
            if action not in _allowed(window):
                why = f"Notice {window.notice} says: {_to_do(window)}."
                against.setdefault(action, {})[why] = window.notice
            elif action.sends and window.notice in unsure:
                why = "was not wholly understood, so nothing is sent again because of it; read it."
                against.setdefault(action, {})[f"Notice {window.notice} {why}"] = window.notice
    # Who reads only what one notice says would do what another forbids.
    forbidden = dict.fromkeys(
        next(iter(against[action])) for action in RecoveryAction if action in _allowed(first) & against.keys()
    )
    but = "".join(f"; but {why[:1].lower()}{why[1:].rstrip('.')}" for why in forbidden)
    if _A.INVALIDATED not in set(ordered):
        for window in several:
            if window.window.recovery is Recovery.INVALIDATE_AND_NEW:
                why = "says to have the old one invalidated first; ask Customs for it, and order invalidated."
                against.setdefault(_A.NEW_REFERENCE, {})[f"Notice {window.notice} {why}"] = window.notice
    return RecoveryRule(
        recovery=first.window.recovery,
        to_do=_to_do(first) + but,
        against={action: " ".join(sentences) for action, sentences in against.items()},
        forbidden_by={action: tuple(dict.fromkeys(sentences.values())) for action, sentences in against.items()},
    )


def _allowed(window: PlacedWindow) -> frozenset[RecoveryAction]:
    if window.window.recovery is Recovery.UNSTATED and window.window.behaviour is Behaviour.REJECTED:
        # It was refused, so nothing is sent twice; the notice leaves open how.
        return _ALLOWED[Recovery.RESUBMIT] | _HARMLESS
    return _ALLOWED[window.window.recovery] | _HARMLESS


def _to_do(window: PlacedWindow) -> str:
    stated = window.window.recovery
    if stated is not Recovery.UNSTATED:
        return _TO_DO[stated]
    if window.window.behaviour is Behaviour.REJECTED:
        return "it is presumed rejected; the notice does not say how to submit it again"
    return "the notice does not say; wait for the answer"


def sent_in(window: PlacedWindow, sent: datetime) -> bool:
    """
    Check whether a declaration was sent in a window.

    Args:
        window: The window.
        sent: When it was sent, aware.

    Returns:
        Whether the window concerns it.
    """
    return window.opens is not None and window.opens <= sent and (window.closes is None or sent < window.closes)


def presumed_rejected(windows: Iterable[PlacedWindow], *, sent: datetime) -> PlacedWindow | None:
    """
    Find the window that a declaration was sent into although everything was rejected then.

    Args:
        windows: The windows of its system, as `Availability.windows` lists them.
        sent: When it was sent, aware.

    Returns:
        The first such window; None if it was not sent into one. A period that only follows an expected end does not
        count.
    """
    for window in windows:
        if window.assumed or window.window.behaviour is not Behaviour.REJECTED:
            continue
        if sent_in(window, sent):
            return window
    return None
