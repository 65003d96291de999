"""Whatever notices come, whatever the clock shows and whatever is answered: nothing is sent again without an order."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from databases import new_ledger
from hypothesis import HealthCheck, given, settings, strategies as st

from htpoort import AGS, DMS, InputError, Outcome, Router, Submission, build
from htpoort.ledger import Ledger, NoticeForm

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=2)
PARTY = "NL123456789.02.05"
SYSTEMS = {"AGS": AGS, "DMS": DMS}
MAILBOXES = {"AGS": ("ags@htpoort.nl", "DMS.NL"), "DMS": ("dms@htpoort.nl", "DMS4.NL")}

names = st.sampled_from(["AGS", "DMS"])
learned = st.tuples(
    st.just("learn"),
    st.tuples(
        st.integers(0, 2),
        names,
        st.integers(-6, 30),
        st.integers(1, 12),
        st.sampled_from(["rejected", "queued", "delayed", "unavailable", "limited", "normal"]),
        st.sampled_from(["wait", "resubmit", "same-reference", "new-reference", "report-list", "unstated"]),
        st.sampled_from(["final", "expected"]),
    ),
)
steps = st.one_of(
    learned,
    st.tuples(st.just("queue"), names),
    st.tuples(st.just("send"), st.sampled_from([Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.DEFERRED, Outcome.REFUSED])),
    st.tuples(st.just("wait"), st.integers(1, 8)),
    st.tuples(st.just("obey"), st.none()),
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("let_one_go"), st.tuples(st.integers(0, 5), st.integers(0, 2))),
)


def message(reference: str, system: str) -> Submission:
    """Build a declaration."""
    return build(
        system=SYSTEMS[system],
        party=PARTY,
        mailbox="edi@forwarder.example",
        reference=reference,
        payload=b"<a/>",
        date=NOON,
        message_id=f"<{reference}@forwarder.example>",
    )


def notice(number: int, system: str, begin: int, length: int, behaviour: str, recovery: str, end_kind: str) -> str:  # noqa: PLR0913, PLR0917 - as drawn
    """Write a notice of one's own, with times in UTC."""
    start = (NOON + begin * HOUR).replace(tzinfo=None)
    return f"""
zone = "UTC"
references = ["N{number}"]
[[windows]]
system = "{system}"
access = "file"
start = "{start.isoformat()}"
end = "{(start + length * HOUR).isoformat()}"
end_kind = "{end_kind}"
behaviour = "{behaviour}"
recovery = "{recovery}"
"""


class Office:
    """A ledger, an agent's steps on it, and what the gateway got."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.now = ledger, NOON
        self.queued: dict[str, str] = {}
        self.got: Counter[str] = Counter()
        self.texts: dict[int, tuple[str, datetime, datetime, str]] = {}
        self.ordered: set[tuple[str, int]] = set()
        self.router = Router(parties=[PARTY])

    def learn(self, drawn: tuple[int, str, int, int, str, str, str]) -> None:
        """Store a notice; a later one with the same reference takes its place."""
        number, system, begin, length, behaviour, _, end_kind = drawn
        stored = self.ledger.notices.add(notice(*drawn), at=self.now, form=NoticeForm.OWN)
        if not stored.repeated:
            ends = NOON + (begin + length) * HOUR
            forever = datetime.max.replace(tzinfo=UTC)
            self.ordered = {order for order in self.ordered if order[1] != number}
            self.texts[number] = system, NOON + begin * HOUR, ends if end_kind == "final" else forever, behaviour

    def queue(self, system: str) -> None:
        """Queue a declaration."""
        reference = f"K{len(self.queued)}"
        self.ledger.exchanges.queue(message(reference, system), at=self.now)
        self.queued[reference] = system

    def send(self, outcome: Outcome) -> None:
        """Send what is due; nothing is claimed in a window that is known to reject."""
        claimed = self.ledger.exchanges.claim(["AGS", "DMS"], owner="a", most=9, at=self.now, lease=LEASE)
        for each in claimed:
            assert [] == [
                text
                for number, (system, begins, ends, text) in self.texts.items()
                if (each.reference, number) not in self.ordered
                if system == each.system and text in {"rejected", "unavailable"} and begins <= self.now < ends
            ]
            self.got[each.reference] += outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN}
            self.ledger.exchanges.settle(each, outcome, at=self.now, due=self.now + HOUR)

    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.now += hours * HOUR

    def obey(self, _: None) -> None:
        """Do what the worker of an agent does at each poll."""
        review = self.ledger.windows.review(["AGS", "DMS"], at=self.now)
        if review.to_hold:
            self.ledger.windows.hold(review.to_hold, at=self.now)
        for system in review.to_release:
            self.ledger.windows.let_go(system, at=self.now)

    def let_one_go(self, drawn: tuple[int, int]) -> None:
        """Order to send one exchange although a notice holds it, if the ledger allows it."""
        reference, number = f"K{drawn[0]}", drawn[1]
        if reference in self.queued and number in self.texts:
            with contextlib.suppress(InputError):
                self.ledger.windows.exempt(f"N{number}", reference, reason="it works", at=self.now)
                self.ordered.add((reference, number))

    def answer(self, number: int) -> None:
        """Let a reply come, also to what was not sent."""
        reference = f"K{number}"
        mailbox, process_id = MAILBOXES[self.queued.get(reference, "DMS")]
        subject = f"[V= {process_id}][A= {PARTY}][K={reference}][S=0]"
        raw = f"From: {mailbox}\r\nSubject: {subject}\r\n\r\n<Response/>\r\n".encode()
        self.ledger.replies.take_in(self.router, raw, mail_from=mailbox, at=self.now)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=30))
def test_nothing_is_sent_again(drawn: list[tuple[str, object]]) -> None:
    """Each K is sent at most once, no K comes into being, and none is claimed in a rejecting window without order."""
    folder = Path(tempfile.mkdtemp())
    try:
        with Ledger.open(new_ledger(folder / "htpoort.db")) as ledger:
            office = Office(ledger)
            for step, value in drawn:
                getattr(office, step)(value)
            listed = {each.reference: each.system for each in ledger.exchanges.listed()}
    finally:
        shutil.rmtree(folder)

    assert office.queued == listed
    assert {1} >= set(office.got.values()) - {0}
