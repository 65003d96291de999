"""Laws of the advice that follows from notices, over random notices and clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from htpoort.core.notices._placing import EARLIEST, NEVER, KnownNotice, Span, events_of, spans_of
from htpoort.core.notices._span_index import Query, SpanIndex
from htpoort.notices import (
    Access,
    AdviceKind,
    Availability,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeKind,
    NoticeName,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)

NAMES = (NoticeName(name="DMS", system="DMS"), NoticeName(name="DMS uitvoer", system="DMS"))
SENDING = {AdviceKind.SEND, AdviceKind.SEND_EXPECT_LATE}
# Two days around the change of the clock in Amsterdam in autumn.
FIRST = datetime(2026, 10, 24, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 48 * 4).map(lambda quarters: FIRST + timedelta(minutes=15 * quarters))
LOCAL = MOMENTS.map(lambda moment: moment.replace(tzinfo=None))


@st.composite
def rows(draw: st.DrawFn) -> ServiceWindow:
    """Draw a row of a notice, with or without bounds."""
    start, end = draw(st.none() | LOCAL), draw(st.none() | LOCAL)
    if start is not None and end is not None and end <= start:
        end = None
    return ServiceWindow(
        system=draw(st.sampled_from(["DMS", "DMS uitvoer", "AGS", None])),
        access=draw(st.sampled_from(Access)),
        messages=draw(st.sampled_from([(), (), ("IE015",)])),
        start=start,
        end=end,
        end_kind=EndKind.UNKNOWN if end is None else draw(st.sampled_from([EndKind.FINAL, EndKind.EXPECTED])),
        behaviour=draw(st.sampled_from(Behaviour)),
        recovery=draw(st.sampled_from(Recovery)),
        fallback=draw(st.sampled_from(Fallback)),
    )


@st.composite
def texts(draw: st.DrawFn, *, whole: bool | None = None) -> Revision:
    """Draw a text of a notice."""
    return Revision(
        known=draw(st.none() | LOCAL),
        state=draw(st.sampled_from(NoticeState)),
        windows=tuple(draw(st.lists(rows(), max_size=2))),
        complete=draw(st.booleans()) if whole is None else whole,
    )


@st.composite
def notices(
    draw: st.DrawFn, *, whole: bool | None = None, reference: str | None = None, authority: str | None = "douane"
) -> KnownNotice:
    """Draw a notice, of which it may be known when it was read."""
    drawn = st.sampled_from(["W1", "W2", "W3"]) if reference is None else st.just(reference)
    return KnownNotice(
        notice=Notice(
            authority=authority,
            zone=draw(st.sampled_from(["Europe/Amsterdam", "Europe/Amsterdam", None])),
            kind=draw(st.sampled_from(NoticeKind)),
            references=(draw(drawn),),
            revisions=tuple(draw(st.lists(texts(whole=whole), max_size=3))),
        ),
        learned=draw(st.none() | MOMENTS),
    )


SETS = st.lists(notices(), max_size=3)


@given(
    SETS,
    st.lists(notices(authority="toldstyrelsen") | notices(authority=None), min_size=1, max_size=3),
    MOMENTS,
    st.sampled_from(["DMS", "AGS"]),
)
def test_a_notice_of_another_authority_never_ends_a_hold(
    known: list[KnownNotice], others: list[KnownNotice], at: datetime, system: str
) -> None:
    """What the notices of one authority hold, a notice of another one with the same reference never releases."""
    before = Availability(known).what_now(system, at=at)
    after = Availability([*known, *others]).what_now(system, at=at)

    if before.windows and before.advice not in SENDING:
        assert after.advice not in SENDING


@given(SETS, st.lists(notices(), min_size=1, max_size=3), MOMENTS, MOMENTS, st.sampled_from(["DMS", "AGS", "other"]))
def test_what_was_learned_later_changes_nothing_of_before(
    known: list[KnownNotice], later: list[KnownNotice], at: datetime, known_at: datetime, system: str
) -> None:
    """A notice that was learned later never changes the advice for an earlier moment of knowledge, nor its reason."""
    learned = known_at + timedelta(microseconds=1)
    after = [KnownNotice(notice=each.notice, learned=max(learned, each.learned or learned)) for each in later]
    before, now = Availability(known, NAMES), Availability([*known, *after], NAMES)

    assert before.what_now(system, at=at, known_at=known_at) == now.what_now(system, at=at, known_at=known_at)


@given(SETS, notices(whole=False), MOMENTS, MOMENTS)
def test_what_was_not_wholly_understood_never_releases(
    known: list[KnownNotice], incomplete: KnownNotice, at: datetime, known_at: datetime
) -> None:
    """With one more notice that is not complete, nothing is sent that would be held without it."""
    before, now = Availability(known, NAMES), Availability([*known, incomplete], NAMES)

    held = before.what_now("DMS", at=at, known_at=known_at).advice not in SENDING
    sent = now.what_now("DMS", at=at, known_at=known_at).advice in SENDING

    assert not (held and sent)


@given(SETS, notices(reference="W9"), MOMENTS, MOMENTS)
def test_another_event_never_releases(
    known: list[KnownNotice], other: KnownNotice, at: datetime, known_at: datetime
) -> None:
    """A notice about another event releases nothing, however sure it is."""
    before, now = Availability(known, NAMES), Availability([*known, other], NAMES)

    held = before.what_now("DMS", at=at, known_at=known_at).advice not in SENDING
    sent = now.what_now("DMS", at=at, known_at=known_at).advice in SENDING

    assert not (held and sent)


@given(SETS, MOMENTS, MOMENTS)
def test_until_is_never_too_late(known: list[KnownNotice], at: datetime, moment: datetime) -> None:
    """From the moment asked until the end that is given, what is held stays held."""
    availability = Availability(known, NAMES)
    given_advice = availability.what_now("DMS", at=at)
    inside = given_advice.until is not None and at <= moment < given_advice.until

    if inside and given_advice.advice is AdviceKind.HOLD:
        assert availability.what_now("DMS", at=moment).advice not in SENDING


@given(SETS, MOMENTS, st.none() | MOMENTS, st.sampled_from(Access), st.sampled_from(["DMS", "AGS", "other"]))
def test_the_periods_are_the_advice_of_every_moment(
    known: list[KnownNotice], at: datetime, known_at: datetime | None, access: Access, system: str
) -> None:
    """The one period that a moment is in has the advice for that moment; in none, nothing is in the way."""
    availability = Availability(known, NAMES)
    advice = availability.what_now(system, at=at, known_at=known_at, access=access)
    every = timedelta(microseconds=1)
    found = availability.periods(system, start=at, stop=at + every, known_at=known_at, access=access)

    assert [(advice.advice, advice.notice, advice.recovery)] * bool(advice.windows) == [
        (period.advice.advice, period.advice.notice, period.advice.recovery) for period in found
    ]


@given(rows(), st.sampled_from([NoticeState.ANNOUNCED, NoticeState.DELAYED, NoticeState.IN_FORCE]), MOMENTS)
def test_an_end_is_never_inferred(row: ServiceWindow, state: NoticeState, at: datetime) -> None:
    """A rejecting window without a final end holds at every moment from its start on."""
    if row.start is not None and row.end_kind is not EndKind.FINAL and row.behaviour is Behaviour.REJECTED:
        notice = Notice(
            authority="douane",
            zone="Europe/Amsterdam",
            revisions=(Revision(state=state, windows=(row,), complete=True),),
        )
        opens = row.opens("Europe/Amsterdam")
        assert opens is not None
        advice = Availability([notice], NAMES).what_now("DMS", at=max(at, opens), access=Access.ANY).advice
        concerns = row.system != "AGS"

        assert concerns == (advice in {AdviceKind.HOLD, AdviceKind.UNCLEAR})


@given(st.lists(notices(), min_size=1, max_size=8), MOMENTS, st.integers(0, 9), MOMENTS)
def test_the_index_finds_what_a_search_finds(
    known: list[KnownNotice], start: datetime, quarters: int, known_at: datetime
) -> None:
    """The tree finds the same spans as a look at each of them."""
    spans = [span for number, event in enumerate(events_of(known)) for span in spans_of(number, event)]
    last = start + timedelta(minutes=15 * quarters)

    def matches(span: Span) -> bool:
        in_time = span.opens <= last and start < span.closes
        return in_time and span.text.known <= known_at < span.replaced

    query = Query(start=start, last=last, known_at=known_at)
    found = SpanIndex(spans).find(query) if spans else []

    assert {id(span) for span in spans if matches(span)} == {id(span) for span in found}
    assert len(found) == len({id(span) for span in found})
    assert [span.opens for span in found] == sorted((span.opens for span in found), reverse=True)


@given(st.lists(notices(), max_size=4))
def test_a_span_is_never_empty(known: list[KnownNotice]) -> None:
    """Each placed period lasts, and was in effect for some knowledge."""
    spans = [span for number, event in enumerate(events_of(known)) for span in spans_of(number, event)]

    assert [] == [span for span in spans if not (EARLIEST <= span.opens < span.closes <= NEVER)]
    assert [] == [span for span in spans if not span.text.known < span.replaced]
