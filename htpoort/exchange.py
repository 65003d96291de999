"""
Decide the life of one exchange: what each event means in each state, as one table.

Never does: store, send, wait, or know the time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, final

import attrs

from htpoort.errors import InputError, Problem

__all__ = ["RETRY_SCHEDULE", "TABLE", "Action", "Decision", "Event", "Outcome", "State", "decide", "retry_after"]


class State(enum.Enum):
    """Tell where an exchange stands."""

    QUEUED = "queued"
    """Committed, waiting to be sent."""
    HELD = "held"
    """Not sent while a service window is open."""
    SENDING = "sending"
    """An attempt is under way."""
    DEFERRED = "deferred"
    """Not taken this time; sent again with the same K when its time comes."""
    ACCEPTED = "accepted"
    """The mail server took it. That is transport, never acceptance by Customs."""
    REFUSED = "refused"
    """The mail server said no for good."""
    FAILED = "failed"
    """Every attempt of the retry schedule was in vain."""
    UNKNOWN = "unknown"
    """The connection was lost after the final dot: a person or a reply settles it."""
    ANSWERED = "answered"
    """A reply came."""
    CLOSED = "closed"
    """A person closed it; replies that still come are kept and delivered all the same."""


class Event(enum.Enum):
    """Tell what happened."""

    QUEUED = "queued"
    """A declaration was put in."""
    ATTEMPT_STARTED = "attempt-started"
    """A worker took it up."""
    ACCEPTED = "accepted"
    """The mail server answered 250."""
    DEFERRED = "deferred"
    """It was certainly not taken, and may be later: 4xx, no connection, lost before the final dot."""
    REFUSED = "refused"
    """It was certainly not taken, and will not be: 5xx."""
    CONNECTION_LOST = "connection-lost"
    """The connection or the worker was lost when the final dot may have been sent."""
    RETURNED_TO_QUEUE = "returned-to-queue"
    """There was trouble with the server before it took anything; a declaration that was queued waits as before."""
    RETURNED_TO_RETRY = "returned-to-retry"
    """The same of one that had been deferred. Neither counts as an attempt of the retry schedule."""
    GIVEN_UP = "given-up"
    """The retry schedule is used up."""
    REPLY_RECEIVED = "reply-received"
    """A reply with its K, from its system, for its party was stored, and content of an attempt may have left."""
    EARLY_REPLY_RECEIVED = "early-reply-received"
    """Such a reply was stored, but no attempt is known that got as far as the content."""
    NEVER_SENT = "never-sent"
    """The late word of a worker that was thought dead: no attempt got as far as the content."""
    WINDOW_OPENED = "window-opened"
    """A service window of its system began in which nothing is to be sent."""
    WINDOW_CLOSED = "window-closed"
    """That service window ended."""
    RESOLVED_AS_SENT = "resolved-as-sent"
    """A person knows that the gateway has it."""
    RESEND_ORDERED = "resend-ordered"
    """A person ordered it to be sent again with the same K."""
    CLOSED = "closed"
    """A person closed it."""


class Outcome(enum.Enum):
    """Say how one attempt to send ended."""

    ACCEPTED = "accepted"
    """The mail server answered 250."""
    DEFERRED = "deferred"
    """It was certainly not taken, and may be later: 4xx, no connection, lost before the final dot."""
    REFUSED = "refused"
    """It was certainly not taken, and will not be: 5xx."""
    LOST = "lost"
    """The connection was lost when the final dot may have been sent."""
    RETURNED = "returned"
    """Trouble with the server, or the agent's own end, came before any content; the declaration waits as before."""


class Action(enum.Enum):
    """Tell what is to be done next."""

    NOTHING = "nothing"
    """Wait for what comes."""
    SEND = "send"
    """A worker may take it up now."""
    RETRY = "retry"
    """A worker may take it up when the retry schedule says so."""
    ASK = "ask"
    """A person must look at it."""


@final
@attrs.frozen
class Decision:
    """
    Say what one event does in one state.

    Args:
        state: The state afterwards; the same as before where the event is ignored or refused.
        action: What is to be done next.
        ignored: Why the event changes nothing; empty where it does.
        refused: Why the event must not happen here; empty where it may.
    """

    state: State
    action: Action = Action.NOTHING
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
"""How long to wait after each attempt that was deferred; then it has failed."""


def retry_after(
    attempts: int, *, schedule: tuple[timedelta, ...] = RETRY_SCHEDULE, jitter: float = 0.0
) -> timedelta | None:
    """
    Say how long to wait after an attempt that was deferred.

    >>> retry_after(1), retry_after(8) is None
    (datetime.timedelta(seconds=300), True)

    Args:
        attempts: How many there were, at least 1.
        schedule: The waits, one for each attempt.
        jitter: From 0 to 1, by chance, given from outside: up to a tenth of the wait is added, so
            that what was deferred together does not come back together.

    Returns:
        The wait; None where the schedule is used up.

    Raises:
        InputError: *attempts* or *jitter* is out of its range.
    """
    if attempts < 1 or not 0 <= jitter <= 1:
        message = f"attempts is {attempts} and jitter is {jitter}; give at least 1, and 0 to 1."
        raise InputError("", (Problem("input.retry", message),))
    if attempts > len(schedule):
        return None
    return schedule[attempts - 1] * (1 + jitter / 10)


def _go(state: State, action: Action = Action.NOTHING) -> Decision:
    return Decision(state, action)


_ANSWERED: Final = _go(State.ANSWERED)
_CLOSED: Final = _go(State.CLOSED)
_SEND: Final = _go(State.QUEUED, Action.SEND)
_RETRY: Final = _go(State.DEFERRED, Action.RETRY)
_TAKEN: Final = _go(State.ACCEPTED)
_NO: Final = _go(State.REFUSED, Action.ASK)
_OPEN: Final = _go(State.UNKNOWN, Action.ASK)

_S, _E = State, Event
_MOVES: Final[Mapping[State, Mapping[Event, Decision]]] = {
    _S.QUEUED: {
        _E.ATTEMPT_STARTED: _go(_S.SENDING),
        _E.WINDOW_OPENED: _go(_S.HELD),
        # Both of an attempt before the resend was ordered, by a worker that was thought dead.
        _E.ACCEPTED: _TAKEN,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.CLOSED: _CLOSED,
    },
    _S.HELD: {
        _E.WINDOW_CLOSED: _SEND,
        _E.ACCEPTED: _TAKEN,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.CLOSED: _CLOSED,
    },
    _S.SENDING: {
        _E.ACCEPTED: _TAKEN,
        _E.DEFERRED: _RETRY,
        _E.REFUSED: _NO,
        _E.CONNECTION_LOST: _OPEN,
        _E.RETURNED_TO_QUEUE: _SEND,
        _E.RETURNED_TO_RETRY: _RETRY,
        # To an earlier attempt. One that may answer this attempt is early until its outcome is recorded.
        _E.REPLY_RECEIVED: _ANSWERED,
    },
    _S.DEFERRED: {
        _E.ATTEMPT_STARTED: _go(_S.SENDING),
        _E.GIVEN_UP: _go(_S.FAILED, Action.ASK),
        _E.WINDOW_OPENED: _go(_S.HELD),
        _E.ACCEPTED: _TAKEN,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.RESEND_ORDERED: _SEND,
        _E.CLOSED: _CLOSED,
    },
    _S.ACCEPTED: {
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.CLOSED: _CLOSED,
    },
    _S.REFUSED: {
        _E.ACCEPTED: _TAKEN,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.RESEND_ORDERED: _SEND,
        _E.CLOSED: _CLOSED,
    },
    _S.FAILED: {
        _E.ACCEPTED: _TAKEN,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.RESEND_ORDERED: _SEND,
        _E.CLOSED: _CLOSED,
    },
    _S.UNKNOWN: {
        # What a worker that was thought dead still has to say is the truth.
        _E.ACCEPTED: _TAKEN,
        _E.DEFERRED: _RETRY,
        _E.REFUSED: _NO,
        _E.RETURNED_TO_QUEUE: _SEND,
        _E.RETURNED_TO_RETRY: _RETRY,
        _E.REPLY_RECEIVED: _ANSWERED,
        _E.RESOLVED_AS_SENT: _TAKEN,
        _E.RESEND_ORDERED: _SEND,
        _E.CLOSED: _CLOSED,
    },
    _S.ANSWERED: {
        _E.REPLY_RECEIVED: _ANSWERED,
        # What was taken for its answer cannot be one; the outcome that says so leads on from there.
        _E.NEVER_SENT: _OPEN,
        _E.CLOSED: _CLOSED,
    },
    _S.CLOSED: {},
}

_OLD: Final = "An earlier attempt's outcome changes nothing any more."
_WAITING_ONLY: Final = "The service window concerns only what waits to be sent."
_IGNORED: Final = {
    _E.ACCEPTED: _OLD,
    _E.DEFERRED: _OLD,
    _E.REFUSED: _OLD,
    _E.CONNECTION_LOST: _OLD,
    _E.RETURNED_TO_QUEUE: _OLD,
    _E.RETURNED_TO_RETRY: _OLD,
    _E.GIVEN_UP: _OLD,
    _E.NEVER_SENT: _OLD,
    _E.WINDOW_OPENED: _WAITING_ONLY,
    _E.WINDOW_CLOSED: _WAITING_ONLY,
    _E.REPLY_RECEIVED: "It was closed; the reply is kept and delivered.",
}
_NEW_K: Final = "a resubmission is a new exchange with a K of its own."
_REFUSED: Final = {
    _E.QUEUED: f"This K was used before; {_NEW_K}",
    _E.ATTEMPT_STARTED: "It is {}; only what is queued or deferred is sent.",
    _E.RESOLVED_AS_SENT: "It is {}; only what is unknown can be settled.",
    _E.RESEND_ORDERED: "It is {}; it will be sent without an order.",
    _E.CLOSED: "An attempt is under way; wait for its outcome.",
}
_SETTLED: Final = frozenset({_S.ACCEPTED, _S.ANSWERED, _S.CLOSED})
_EARLY: Final = "Nothing of it can have reached the gateway; the reply is kept, delivered and marked."
_EARLY_REPLIES: Final = {
    _S.SENDING: Decision(_S.SENDING, ignored="Whether it can be an answer is known when this attempt has ended."),
    _S.CLOSED: Decision(_S.CLOSED, ignored="It was closed; the reply is kept, delivered and marked."),
}


def _otherwise(state: State, event: Event) -> Decision:
    """Decide the pairs that move nothing: replies that answer nothing, orders that come too late, then the rest."""
    if event is _E.EARLY_REPLY_RECEIVED:
        return _EARLY_REPLIES.get(state) or Decision(state, Action.ASK, ignored=_EARLY)
    if event is _E.RESOLVED_AS_SENT and state in _SETTLED:
        return Decision(state, ignored="That it was sent is known already.")
    if event is _E.CLOSED and state is _S.CLOSED:
        return Decision(state, ignored="It is closed already.")
    if event is _E.RESEND_ORDERED and state in _SETTLED:
        why = "It is closed" if state is _S.CLOSED else "The gateway has it"
        return Decision(state, refused=f"{why}; {_NEW_K}")
    if event in _IGNORED:
        return Decision(state, ignored=_IGNORED[event])
    return Decision(state, refused=_REFUSED[event].format(state.value))


TABLE: Final[Mapping[tuple[State, Event], Decision]] = {
    (state, event): _MOVES[state].get(event) or _otherwise(state, event) for state in State for event in Event
}
"""Every state with every event."""


def decide(state: State, event: Event) -> Decision:
    """
    Say what an event does in a state.

    >>> decide(State.SENDING, Event.CONNECTION_LOST).state
    <State.UNKNOWN: 'unknown'>
    >>> decide(State.UNKNOWN, Event.ATTEMPT_STARTED).refused
    'It is unknown; only what is queued or deferred is sent.'

    Args:
        state: Where the exchange stands.
        event: What happened.

    Returns:
        The state afterwards and what to do next, or why nothing changes.
    """
    return TABLE[state, event]
