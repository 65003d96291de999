"""
The life of one exchange as a table: what each event means in each state.

This module never stores, sends, waits, or knows the time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, final, overload

import attrs

from htpoort.core.errors import InputError, Problem

__all__ = ["RETRY_SCHEDULE", "TABLE", "Decision", "Event", "NextStep", "Outcome", "State", "decide", "retry_delay"]


class State(enum.Enum):
    """What is known of an exchange."""

    QUEUED = "queued"
    """Committed, waiting to be sent."""
    HELD = "held"
    """Not sent while a service window is open."""
    SENDING = "sending"
    """An attempt is under way."""
    DEFERRED = "deferred"
    """Not accepted this time; it is sent again with the same K when it is due."""
    ACCEPTED = "accepted"
    """The mail server or file gateway accepted it. That is transport, never acceptance by Customs."""
    REFUSED = "refused"
    """The mail server or file gateway refused it permanently."""
    FAILED = "failed"
    """Every attempt of the retry schedule failed, or the file gateway has the file and reported an error."""
    UNKNOWN = "unknown"
    """
    The connection was lost after the final dot, so the gateway may have it: a reply or a person decides.

    So may a file gateway, if an upload broke off; there, asking for the name again may decide it.
    """
    ANSWERED = "answered"
    """A reply came."""
    CLOSED = "closed"
    """A person closed it; later replies are still stored and delivered."""

    @property
    def is_open(self) -> bool:
        """Whether it is neither answered nor closed."""
        return self not in {State.ANSWERED, State.CLOSED}

    @property
    def is_waiting(self) -> bool:
        """Whether it waits to be sent: an agent sends it when it is due."""
        return self in {State.QUEUED, State.DEFERRED}

    @property
    def needs_attention(self) -> bool:
        """Whether a person must decide what happens next."""
        return self in {State.UNKNOWN, State.REFUSED, State.FAILED}


class Event(enum.Enum):
    """What happened to an exchange."""

    QUEUED = "queued"
    """A declaration was queued."""
    ATTEMPT_STARTED = "attempt-started"
    """A worker began to send it."""
    ACCEPTED = "accepted"
    """The mail server answered 250; or a file gateway has the file, as an upload or a status file showed."""
    DEFERRED = "deferred"
    """It was certainly not accepted, but may be later: 4xx, no connection, connection lost before the final dot."""
    REFUSED = "refused"
    """It was certainly not accepted, and never will be: 5xx."""
    OUTCOME_UNKNOWN = "outcome-unknown"
    """The connection or the worker was lost when the final dot may have been sent."""
    RETURNED_TO_QUEUE = "returned-to-queue"
    """The server failed before it accepted anything. A queued declaration waits as before."""
    RETURNED_TO_RETRY = "returned-to-retry"
    """The same for a deferred declaration. Neither counts as an attempt of the retry schedule."""
    GIVEN_UP = "given-up"
    """The retry schedule is used up."""
    NAME_ASKED = "name-asked"
    """
    A file that may have arrived is uploaded again under the same name, to a gateway that refuses a name that was used.

    Never by mail: no mail server refuses a K.
    """
    GATEWAY_ERROR = "gateway-error"
    """The file gateway reported an error for the file, and content of an attempt may have been sent."""
    REPLY_RECEIVED = "reply-received"
    """A reply with its K, from its system, for its party was stored, and content of an attempt may have been sent."""
    EARLY_REPLY_RECEIVED = "early-reply-received"
    """Such a reply was stored, but no known attempt got as far as sending the content."""
    NEVER_SENT = "never-sent"
    """A worker that was thought dead reports that no attempt got as far as sending the content."""
    ANSWER_WITHDRAWN = "answer-withdrawn"
    """A person took back the release of the reply that was taken for its only answer."""
    WINDOW_OPENED = "window-opened"
    """A service window of its system began; nothing is sent during it."""
    WINDOW_CLOSED = "window-closed"
    """That service window ended."""
    RESOLVED_AS_SENT = "resolved-as-sent"
    """A person knows that the gateway has it."""
    RESEND_ORDERED = "resend-ordered"
    """A person ordered it to be sent again with the same K."""
    CLOSED = "closed"
    """A person closed it."""


class Outcome(enum.Enum):
    """How one attempt to send ended."""

    ACCEPTED = "accepted"
    """The mail server answered 250."""
    DEFERRED = "deferred"
    """It was certainly not accepted, but may be later: 4xx, no connection, connection lost before the final dot."""
    REFUSED = "refused"
    """It was certainly not accepted, and never will be: 5xx."""
    UNKNOWN = "unknown"
    """The connection was lost when the final dot may have been sent, so the gateway may have it."""
    NAME_USED = "name-used"
    """
    The file gateway refused the name as used, and took no content.

    If content of an earlier attempt may have left, that attempt has arrived; if not, the name is another file's.
    """
    RETURNED = "returned"
    """The server failed or the agent stopped before any content was sent; the declaration waits as before."""


class NextStep(enum.Enum):
    """What is to be done next."""

    NOTHING = "nothing"
    """Nothing; wait for the next event."""
    SEND = "send"
    """A worker may send it now."""
    RETRY = "retry"
    """A worker may send it again when it is due by the retry schedule."""
    ASK = "ask"
    """It needs attention: a person must decide."""


@final
@attrs.frozen
class Decision:
    """
    What one event does in one state.

    Args:
        state: The state afterwards; unchanged if the event is ignored or refused.
        next_step: What is to be done next.
        ignored: Why the event changes nothing; empty if it changes something.
        refused: Why the event is not allowed in this state; empty if it is allowed.
    """

    state: State
    next_step: NextStep = NextStep.NOTHING
    ignored: str = ""
    refused: str = ""


RETRY_SCHEDULE: Final = (
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
)
"""The delay after each deferred attempt. An exchange whose last delay is used up has failed."""


@overload
def retry_delay(
    attempts: int,
    *,
    schedule: tuple[timedelta, ...] = ...,
    jitter: float = ...,
    repeat_last: Literal[False] = ...,
) -> timedelta | None: ...


@overload
def retry_delay(
    attempts: int, *, schedule: tuple[timedelta, ...] = ..., jitter: float = ..., repeat_last: Literal[True]
) -> timedelta: ...


def retry_delay(
    attempts: int,
    *,
    schedule: tuple[timedelta, ...] = RETRY_SCHEDULE,
    jitter: float = 0.0,
    repeat_last: bool = False,
) -> timedelta | None:
    """
    Calculate the delay before the next attempt.

    >>> retry_delay(1), retry_delay(8) is None
    (datetime.timedelta(seconds=300), True)
    >>> retry_delay(1_000, repeat_last=True)
    datetime.timedelta(seconds=28800)

    Args:
        attempts: How many attempts have failed, at least 1.
        schedule: One delay for each attempt.
        jitter: A random number from 0 to 1, from the caller. Up to a tenth of the delay is added, so that
            attempts that failed together are not repeated together.
        repeat_last: Use the last delay for all further attempts, so that there is always a next one.

    Returns:
        The delay; None if the schedule is used up.

    Raises:
        InputError: *attempts* or *jitter* is out of range, or there is no last delay to repeat.
    """
    problems: list[str] = []
    if attempts < 1:
        problems.append(f"attempts is {attempts}; give at least 1.")
    if not 0 <= jitter <= 1:
        problems.append(f"jitter is {jitter}; give a number from 0 to 1.")
    if repeat_last and not schedule:
        problems.append("schedule is empty; give at least one delay.")
    if problems:
        raise InputError("", tuple(Problem("input.retry", message) for message in problems))
    if attempts > len(schedule) and not repeat_last:
        return None
    return schedule[min(attempts, len(schedule)) - 1] * (1 + jitter / 10)


def _to(state: State, next_step: NextStep = NextStep.NOTHING) -> Decision:
    return Decision(state, next_step)


_TO_ANSWERED: Final = _to(State.ANSWERED)
_TO_CLOSED: Final = _to(State.CLOSED)
_TO_QUEUED: Final = _to(State.QUEUED, NextStep.SEND)
_TO_DEFERRED: Final = _to(State.DEFERRED, NextStep.RETRY)
_TO_ACCEPTED: Final = _to(State.ACCEPTED)
_TO_REFUSED: Final = _to(State.REFUSED, NextStep.ASK)
_TO_FAILED: Final = _to(State.FAILED, NextStep.ASK)
_TO_UNKNOWN: Final = _to(State.UNKNOWN, NextStep.ASK)

_S, _E = State, Event
_TRANSITIONS: Final[Mapping[State, Mapping[Event, Decision]]] = {
    _S.QUEUED: {
        _E.ATTEMPT_STARTED: _to(_S.SENDING),
        _E.WINDOW_OPENED: _to(_S.HELD),
        # Both come from an attempt before the resend was ordered, by a worker that was thought dead.
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.HELD: {
        _E.WINDOW_CLOSED: _TO_QUEUED,
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.SENDING: {
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.DEFERRED: _TO_DEFERRED,
        _E.REFUSED: _TO_REFUSED,
        _E.OUTCOME_UNKNOWN: _TO_UNKNOWN,
        _E.RETURNED_TO_QUEUE: _TO_QUEUED,
        _E.RETURNED_TO_RETRY: _TO_DEFERRED,
        # A reply to an earlier attempt. One that may answer this attempt is early until the outcome is recorded.
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
    },
    _S.DEFERRED: {
        _E.ATTEMPT_STARTED: _to(_S.SENDING),
        _E.GIVEN_UP: _TO_FAILED,
        _E.WINDOW_OPENED: _to(_S.HELD),
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.RESEND_ORDERED: _TO_QUEUED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.ACCEPTED: {
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        # Only a status file can have said so, and it was about another file of that name.
        _E.NEVER_SENT: _TO_UNKNOWN,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.REFUSED: {
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.RESEND_ORDERED: _TO_QUEUED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.FAILED: {
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.RESEND_ORDERED: _TO_QUEUED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.UNKNOWN: {
        # The late report of a worker that was thought dead is the truth.
        _E.ACCEPTED: _TO_ACCEPTED,
        _E.DEFERRED: _TO_DEFERRED,
        _E.REFUSED: _TO_REFUSED,
        _E.RETURNED_TO_QUEUE: _TO_QUEUED,
        _E.RETURNED_TO_RETRY: _TO_DEFERRED,
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        _E.GATEWAY_ERROR: _TO_FAILED,
        _E.RESOLVED_AS_SENT: _TO_ACCEPTED,
        _E.NAME_ASKED: _TO_QUEUED,
        _E.RESEND_ORDERED: _TO_QUEUED,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.ANSWERED: {
        _E.REPLY_RECEIVED: _TO_ANSWERED,
        # What was taken for the answer cannot be one; the outcome that shows this leads on from here.
        _E.NEVER_SENT: _TO_UNKNOWN,
        _E.ANSWER_WITHDRAWN: _TO_UNKNOWN,
        _E.CLOSED: _TO_CLOSED,
    },
    _S.CLOSED: {},
}

_OLD: Final = "The outcome of an earlier attempt no longer changes anything."
_WAITING_ONLY: Final = "A service window affects only what waits to be sent."
_IGNORED: Final = {
    _E.ACCEPTED: _OLD,
    _E.DEFERRED: _OLD,
    _E.REFUSED: _OLD,
    _E.OUTCOME_UNKNOWN: _OLD,
    _E.RETURNED_TO_QUEUE: _OLD,
    _E.RETURNED_TO_RETRY: _OLD,
    _E.GIVEN_UP: _OLD,
    _E.NAME_ASKED: "A name is asked for only while it is unknown whether its file arrived.",
    _E.NEVER_SENT: _OLD,
    _E.ANSWER_WITHDRAWN: "It has no answer that could be withdrawn.",
    _E.WINDOW_OPENED: _WAITING_ONLY,
    _E.WINDOW_CLOSED: _WAITING_ONLY,
    _E.REPLY_RECEIVED: "It is closed; the reply is stored and delivered.",
    _E.GATEWAY_ERROR: "It is {}; the report of the error is stored and delivered.",
}
_NEW_K: Final = "a resubmission is a new exchange with a new K."
_REFUSED: Final = {
    _E.QUEUED: f"This K was used before; {_NEW_K}",
    _E.ATTEMPT_STARTED: "The exchange is {}; only a queued or deferred one is sent.",
    _E.RESOLVED_AS_SENT: "The exchange is {}; only one that is unknown can be resolved as sent.",
    _E.RESEND_ORDERED: "The exchange is {}; it is sent without an order, so wait for its outcome.",
    _E.CLOSED: "An attempt is under way; wait for its outcome.",
}
_SENT_OR_CLOSED: Final = frozenset({_S.ACCEPTED, _S.ANSWERED, _S.CLOSED})
_EARLY: Final = "Nothing of it can have reached the gateway; the reply is stored, delivered and marked."
_EARLY_REPLIES: Final = {
    _S.SENDING: Decision(_S.SENDING, ignored="Whether it can be an answer is known once this attempt has ended."),
    _S.CLOSED: Decision(_S.CLOSED, ignored="It is closed; the reply is stored, delivered and marked."),
}


def _otherwise(state: State, event: Event) -> Decision:
    """Decide the pairs that change no state: replies that answer nothing, orders that come too late, then the rest."""
    if event is _E.EARLY_REPLY_RECEIVED:
        return _EARLY_REPLIES.get(state) or Decision(state, NextStep.ASK, ignored=_EARLY)
    if event is _E.CLOSED and state is _S.CLOSED:
        return Decision(state, ignored="It is already closed.")
    if event is _E.RESEND_ORDERED and state in _SENT_OR_CLOSED:
        why = "The exchange is closed" if state is _S.CLOSED else "The gateway has it"
        return Decision(state, refused=f"{why}; {_NEW_K}")
    if event in _IGNORED:
        return Decision(state, ignored=_IGNORED[event].format(state.value))
    return Decision(state, refused=_REFUSED[event].format(state.value))


TABLE: Final[Mapping[tuple[State, Event], Decision]] = {
    (state, event): _TRANSITIONS[state].get(event) or _otherwise(state, event) for state in State for event in Event
}
"""The decision for every state and every event."""


def decide(state: State, event: Event) -> Decision:
    """
    Look up what an event does in a state.

    >>> decide(State.SENDING, Event.OUTCOME_UNKNOWN).state
    <State.UNKNOWN: 'unknown'>
    >>> decide(State.UNKNOWN, Event.ATTEMPT_STARTED).refused
    'The exchange is unknown; only a queued or deferred one is sent.'

    Args:
        state: The state of the exchange.
        event: The event.

    Returns:
        The state afterwards and what to do next, or why nothing changes.
    """
    return TABLE[state, event]
