"""The life of an exchange: every state with every event, typed from the design and not from the table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from htpoort import InputError
from htpoort.exchange import RETRY_SCHEDULE, TABLE, Action, Event, State, decide, retry_after

# Each line: a state, what moves it, and where to. Whatever is not here moves nothing.
MOVES = """
queued   attempt-started   sending
queued   window-opened     held
queued   accepted          accepted
queued   reply-received    answered
queued   closed            closed
held     window-closed     queued
held     accepted          accepted
held     reply-received    answered
held     closed            closed
sending  accepted          accepted
sending  deferred          deferred
sending  refused           refused
sending  connection-lost   unknown
sending  returned-to-queue queued
sending  returned-to-retry deferred
sending  reply-received    answered
deferred attempt-started   sending
deferred given-up          failed
deferred window-opened     held
deferred accepted          accepted
deferred reply-received    answered
deferred resend-ordered    queued
deferred closed            closed
accepted reply-received    answered
accepted closed            closed
refused  accepted          accepted
refused  reply-received    answered
refused  resend-ordered    queued
refused  closed            closed
failed   accepted          accepted
failed   reply-received    answered
failed   resend-ordered    queued
failed   closed            closed
unknown  accepted          accepted
unknown  deferred          deferred
unknown  refused           refused
unknown  returned-to-queue queued
unknown  returned-to-retry deferred
unknown  reply-received    answered
unknown  resolved-as-sent  accepted
unknown  resend-ordered    queued
unknown  closed            closed
answered reply-received    answered
answered never-sent        unknown
answered closed            closed
"""
EXPECTED = {
    (State(state), Event(event)): State(after)
    for state, event, after in (line.split() for line in MOVES.split("\n") if line)
}
PAIRS = [(state, event) for state in State for event in Event]


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.value)
def test_every_pair_is_decided(state: State, event: Event) -> None:
    """Every state with every event moves as designed, or stays and says why."""
    decision = decide(state, event)

    assert EXPECTED.get((state, event), state) == decision.state
    assert ((state, event) not in EXPECTED) == bool(decision.ignored or decision.refused)
    assert not (decision.ignored and decision.refused)


def test_the_table_has_every_pair_and_no_other() -> None:
    """The table is total."""
    assert set(PAIRS) == set(TABLE)


def test_what_may_have_been_sent_is_never_sent_by_itself() -> None:
    """No event but a person's order leads from unknown to a state from which workers send."""
    sends = {State.QUEUED, State.DEFERRED, State.SENDING}
    leading = {event for (state, event), after in EXPECTED.items() if state is State.UNKNOWN and after in sends}

    # DEFERRED and both RETURNED are the late word of the worker itself that the message was not taken.
    returned = {Event.RETURNED_TO_QUEUE, Event.RETURNED_TO_RETRY}
    assert {Event.RESEND_ORDERED, Event.DEFERRED, *returned} == leading


def test_a_reply_settles_everything_that_is_open() -> None:
    """Where content may have left, a reply proves that the gateway has the message, whatever was thought before."""
    assert {State.ANSWERED} == {
        decide(state, Event.REPLY_RECEIVED).state for state in State if state is not State.CLOSED
    }


@pytest.mark.parametrize("state", list(State))
def test_a_reply_never_settles_what_was_not_sent(state: State) -> None:
    """Where no attempt got as far as the content, a reply changes nothing, in whatever state, and says why."""
    decision = decide(state, Event.EARLY_REPLY_RECEIVED)

    assert (state, True) == (decision.state, bool(decision.ignored))


def test_a_reply_to_what_was_not_sent_needs_attention() -> None:
    """It asks for a person in each state but two: where the attempt's end decides, and where a person has closed it."""
    quiet = {state for state in State if decide(state, Event.EARLY_REPLY_RECEIVED).action is not Action.ASK}

    assert {State.SENDING, State.CLOSED} == quiet


def test_what_was_not_sent_is_open_again() -> None:
    """A worker that knows that no content left takes the answer back; a person sees it unless its outcome leads on."""
    taken_back = decide(State.ANSWERED, Event.NEVER_SENT)

    assert (State.UNKNOWN, Action.ASK) == (taken_back.state, taken_back.action)


@pytest.mark.parametrize("event", [Event.RESEND_ORDERED, Event.QUEUED])
@pytest.mark.parametrize("state", [State.ACCEPTED, State.ANSWERED, State.CLOSED])
def test_what_the_gateway_has_is_not_sent_again(state: State, event: Event) -> None:
    """A resubmission of what the gateway has is a new exchange, so the order is refused."""
    assert decide(state, event).refused.endswith("a resubmission is a new exchange with a K of its own.")


@pytest.mark.parametrize(
    ("state", "event", "action"),
    [
        (State.HELD, Event.WINDOW_CLOSED, Action.SEND),
        (State.UNKNOWN, Event.RESEND_ORDERED, Action.SEND),
        (State.SENDING, Event.DEFERRED, Action.RETRY),
        (State.SENDING, Event.REFUSED, Action.ASK),
        (State.SENDING, Event.CONNECTION_LOST, Action.ASK),
        (State.DEFERRED, Event.GIVEN_UP, Action.ASK),
        (State.SENDING, Event.ACCEPTED, Action.NOTHING),
    ],
)
def test_says_what_to_do_next(state: State, event: Event, action: Action) -> None:
    """What waits for a worker, for the schedule or for a person is said with the decision."""
    assert action == decide(state, event).action


class TestRetryAfter:
    """The retry schedule is 5 m, 15 m, 30 m, 1 h, 2 h, 4 h, 8 h, and then the attempt has failed."""

    @pytest.mark.parametrize(("attempts", "minutes"), [(1, 5), (2, 15), (3, 30), (4, 60), (5, 120), (6, 240), (7, 480)])
    def test_the_schedule(self, attempts: int, minutes: int) -> None:
        """Each attempt has its wait."""
        assert timedelta(minutes=minutes) == retry_after(attempts)

    def test_ends(self) -> None:
        """After seven waits there is none."""
        assert (7, None) == (len(RETRY_SCHEDULE), retry_after(8))

    def test_jitter_adds_up_to_a_tenth(self) -> None:
        """The greatest jitter makes a wait a tenth longer."""
        assert timedelta(minutes=5, seconds=30) == retry_after(1, jitter=1.0)

    def test_a_schedule_of_ones_own(self) -> None:
        """The schedule is data."""
        own = (timedelta(seconds=1),)

        assert (timedelta(seconds=1), None) == (retry_after(1, schedule=own), retry_after(2, schedule=own))

    @pytest.mark.parametrize(("attempts", "jitter"), [(0, 0.0), (1, -0.1), (1, 1.1), (1, float("nan"))])
    def test_refuses_what_is_out_of_range(self, attempts: int, jitter: float) -> None:
        """No attempt, and a jitter outside of 0 to 1, are the caller's mistakes."""
        with pytest.raises(InputError):
            retry_after(attempts, jitter=jitter)
