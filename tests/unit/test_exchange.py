"""The life of an exchange: every state with every event, typed from the design and not from the table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from htpoort import RETRY_SCHEDULE, Event, InputError, NextStep, State, decide, retry_delay
from htpoort.core.exchange import TABLE

# Each line: a state, what moves it, and where to. Whatever is not here moves nothing.
MOVES = """
queued   attempt-started   sending
queued   window-opened     held
queued   accepted          accepted
queued   reply-received    answered
queued   gateway-error     failed
queued   closed            closed
held     window-closed     queued
held     accepted          accepted
held     reply-received    answered
held     gateway-error     failed
held     closed            closed
sending  accepted          accepted
sending  deferred          deferred
sending  refused           refused
sending  outcome-unknown  unknown
sending  returned-to-queue queued
sending  returned-to-retry deferred
sending  reply-received    answered
sending  gateway-error     failed
deferred attempt-started   sending
deferred given-up          failed
deferred window-opened     held
deferred accepted          accepted
deferred reply-received    answered
deferred gateway-error     failed
deferred resend-ordered    queued
deferred closed            closed
accepted reply-received    answered
accepted gateway-error     failed
accepted never-sent        unknown
accepted closed            closed
refused  accepted          accepted
refused  reply-received    answered
refused  gateway-error     failed
refused  resend-ordered    queued
refused  closed            closed
failed   accepted          accepted
failed   reply-received    answered
failed   gateway-error     failed
failed   resend-ordered    queued
failed   closed            closed
unknown  accepted          accepted
unknown  deferred          deferred
unknown  refused           refused
unknown  returned-to-queue queued
unknown  returned-to-retry deferred
unknown  reply-received    answered
unknown  gateway-error     failed
unknown  resolved-as-sent  accepted
unknown  name-asked        queued
unknown  resend-ordered    queued
unknown  closed            closed
answered reply-received    answered
answered never-sent        unknown
answered answer-withdrawn  unknown
answered closed            closed
"""
EXPECTED = {
    (State(state), Event(event)): State(after)
    for state, event, after in (line.split() for line in MOVES.split("\n") if line)
}
PAIRS = [(state, event) for state in State for event in Event]


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.value)
def test_every_pair_is_decided(state: State, event: Event) -> None:
    """Every state with every event changes as designed, or stays the same with a reason."""
    decision = decide(state, event)

    assert EXPECTED.get((state, event), state) == decision.state
    assert ((state, event) not in EXPECTED) == bool(decision.ignored or decision.refused)
    assert not (decision.ignored and decision.refused)


def test_the_table_has_every_pair_and_no_other() -> None:
    """The table is total."""
    assert set(PAIRS) == set(TABLE)


def test_what_may_have_been_sent_is_never_sent_by_itself() -> None:
    """From unknown, only a person's order or a gateway that refuses used names leads to a state that workers send."""
    sends = {State.QUEUED, State.DEFERRED, State.SENDING}
    leading = {event for (state, event), after in EXPECTED.items() if state is State.UNKNOWN and after in sends}

    # DEFERRED and both RETURNED are the late word of the worker itself that the message was not taken.
    returned = {Event.RETURNED_TO_QUEUE, Event.RETURNED_TO_RETRY}
    # NAME_ASKED is for files alone: the ledger refuses it for mail.
    assert {Event.RESEND_ORDERED, Event.NAME_ASKED, Event.DEFERRED, *returned} == leading


def test_a_reply_settles_everything_that_is_open() -> None:
    """Where content may have left, a reply proves that the gateway has the message, whatever was thought before."""
    assert {State.ANSWERED} == {
        decide(state, Event.REPLY_RECEIVED).state for state in State if state is not State.CLOSED
    }


@pytest.mark.parametrize("state", list(State))
def test_a_reply_never_settles_what_was_not_sent(state: State) -> None:
    """If no attempt got as far as the content, a reply changes no state, and the decision has a reason."""
    decision = decide(state, Event.EARLY_REPLY_RECEIVED)

    assert (state, True) == (decision.state, bool(decision.ignored))


def test_a_reply_to_what_was_not_sent_needs_attention() -> None:
    """It asks for a person in each state but two: where the attempt's end decides, and where a person has closed it."""
    quiet = {state for state in State if decide(state, Event.EARLY_REPLY_RECEIVED).next_step is not NextStep.ASK}

    assert {State.SENDING, State.CLOSED} == quiet


@pytest.mark.parametrize("state", [State.ANSWERED, State.ACCEPTED])
def test_what_was_not_sent_is_open_again(state: State) -> None:
    """A worker that knows that no content left takes the answer back; a person sees it unless its outcome leads on."""
    taken_back = decide(state, Event.NEVER_SENT)

    assert (State.UNKNOWN, NextStep.ASK) == (taken_back.state, taken_back.next_step)


@pytest.mark.parametrize("state", [State.ANSWERED, State.CLOSED])
def test_an_error_of_the_gateway_reopens_nothing(state: State) -> None:
    """What is answered or closed stays so when the gateway reports an error; the decision says that it is kept."""
    why = f"It is {state.value}; the report of the error is stored and delivered."

    assert (state, why) == (decide(state, Event.GATEWAY_ERROR).state, decide(state, Event.GATEWAY_ERROR).ignored)


@pytest.mark.parametrize("event", [Event.RESEND_ORDERED, Event.QUEUED])
@pytest.mark.parametrize("state", [State.ACCEPTED, State.ANSWERED, State.CLOSED])
def test_what_the_gateway_has_is_not_sent_again(state: State, event: Event) -> None:
    """A resubmission of what the gateway has is a new exchange, so the order is refused."""
    assert decide(state, event).refused.endswith("a resubmission is a new exchange with a new K.")


@pytest.mark.parametrize("state", [state for state in State if state is not State.UNKNOWN])
def test_only_the_unknown_is_resolved_as_sent(state: State) -> None:
    """In any other state it is known whether the gateway has the message, or it is still to be sent: a refusal."""
    refused = f"The exchange is {state.value}; only one that is unknown can be resolved as sent."

    assert refused == decide(state, Event.RESOLVED_AS_SENT).refused


@pytest.mark.parametrize(
    ("state", "event", "next_step"),
    [
        (State.HELD, Event.WINDOW_CLOSED, NextStep.SEND),
        (State.UNKNOWN, Event.RESEND_ORDERED, NextStep.SEND),
        (State.SENDING, Event.DEFERRED, NextStep.RETRY),
        (State.SENDING, Event.REFUSED, NextStep.ASK),
        (State.SENDING, Event.OUTCOME_UNKNOWN, NextStep.ASK),
        (State.DEFERRED, Event.GIVEN_UP, NextStep.ASK),
        (State.SENDING, Event.ACCEPTED, NextStep.NOTHING),
    ],
)
def test_the_next_step(state: State, event: Event, next_step: NextStep) -> None:
    """A decision includes the next step: for a worker, for the retry schedule, or for a person."""
    assert next_step == decide(state, event).next_step


class TestRetryDelay:
    """The retry schedule is 5 m, 15 m, 30 m, 1 h, 2 h, 4 h, 8 h, and then the attempt has failed."""

    @pytest.mark.parametrize(("attempts", "minutes"), [(1, 5), (2, 15), (3, 30), (4, 60), (5, 120), (6, 240), (7, 480)])
    def test_the_schedule(self, attempts: int, minutes: int) -> None:
        """Each attempt has its delay."""
        assert timedelta(minutes=minutes) == retry_delay(attempts)

    def test_ends(self) -> None:
        """After seven delays there is no other."""
        assert (7, None) == (len(RETRY_SCHEDULE), retry_delay(8))

    def test_jitter_adds_up_to_a_tenth(self) -> None:
        """The greatest jitter makes a delay a tenth longer."""
        assert timedelta(minutes=5, seconds=30) == retry_delay(1, jitter=1.0)

    def test_another_schedule(self) -> None:
        """The schedule is data."""
        own = (timedelta(seconds=1),)

        assert (timedelta(seconds=1), None) == (retry_delay(1, schedule=own), retry_delay(2, schedule=own))

    @pytest.mark.parametrize(("attempts", "jitter"), [(0, 0.0), (1, -0.1), (1, 1.1), (1, float("nan"))])
    def test_refuses_what_is_out_of_range(self, attempts: int, jitter: float) -> None:
        """An attempt below 1 and a jitter outside of 0 to 1 are refused."""
        with pytest.raises(InputError):
            retry_delay(attempts, jitter=jitter)

    def test_reports_all_arguments(self) -> None:
        """One error reports every wrong argument; an empty schedule has no last delay to repeat."""
        with pytest.raises(InputError) as caught:
            retry_delay(0, schedule=(), jitter=2.0, repeat_last=True)

        assert [
            "attempts is 0; give at least 1.",
            "jitter is 2.0; give a number from 0 to 1.",
            "schedule is empty; give at least one delay.",
        ] == [problem.message for problem in caught.value.problems]

    def test_the_last_delay_is_repeated(self) -> None:
        """With *repeat_last* there is always a next attempt."""
        assert timedelta(hours=8) == retry_delay(8, repeat_last=True)


def test_what_a_state_means() -> None:
    """A state is open until it is answered or closed; some wait to be sent, and some need a person."""
    assert {State.ANSWERED, State.CLOSED} == {state for state in State if not state.is_open}
    assert {State.QUEUED, State.DEFERRED} == {state for state in State if state.is_waiting}
    assert {State.UNKNOWN, State.REFUSED, State.FAILED} == {state for state in State if state.needs_attention}


def test_what_waits_may_be_sent() -> None:
    """An attempt may start exactly in the states that wait: the ledger claims these without asking the table."""
    waiting = {state for state in State if state.is_waiting}
    assert waiting == {state for state in State if not decide(state, Event.ATTEMPT_STARTED).refused}
