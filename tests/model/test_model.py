"""A ledger and its agents against a plain dictionary: whatever happens in whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from htpoort import AGS, DMS, InputError, Outcome, PartyId, Router, State, Submission, build
from htpoort.ledger import Claimed, Exchange, Ledger, QuarantineState, Reply

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When a reply is due that was never tried: whatever the clock says."""
SYSTEMS = {"AGS": (AGS, "ags@htpoort.nl", "DMS.NL"), "DMS": (DMS, "dms@htpoort.nl", "DMS4.NL")}
# K and what belongs to it for ever: the party by its letter.
PARTIES = {"A": "NL123456789.02.05", "B": "NL123456789.03.05"}
REFERENCES = tuple(f"{letter}{number}" for letter in PARTIES for number in range(2))
WORKERS = ("one", "two")
ENDS = st.tuples(
    st.sampled_from([
        (Outcome.ACCEPTED, True),
        *((outcome, begun) for outcome in (Outcome.DEFERRED, Outcome.REFUSED) for begun in (True, False)),
        (Outcome.UNKNOWN, True),
    ]),
    st.none() | st.integers(0, 9),
)
"""How an attempt may end, whether content had left then, and the wait after it; without one it has failed."""
ORDERS = ("resolve_as_sent", "resend", "resend", "resend", "close")
GIVEN = {"resolve_as_sent": "resolved-as-sent", "resend": "resend-ordered", "close": "closed"}
WINDOWS = {"hold": "window-opened", "let_go": "window-closed"}
End = tuple[tuple[Outcome, bool], int | None]

# Typed by hand: where each event leads. What is not here changes nothing.
MOVES = {
    "attempt-started": {"queued": "sending", "deferred": "sending"},
    "accepted": dict.fromkeys(("queued", "held", "sending", "deferred", "refused", "failed", "unknown"), "accepted"),
    "deferred": {"sending": "deferred", "unknown": "deferred"},
    "refused": {"sending": "refused", "unknown": "refused"},
    "connection-lost": {"sending": "unknown"},
    "given-up": {"deferred": "failed"},
    "reply-received": dict.fromkeys(
        ("queued", "held", "sending", "deferred", "accepted", "refused", "failed", "unknown", "answered"), "answered"
    ),
    "never-sent": {"answered": "unknown"},
    "window-opened": {"queued": "held", "deferred": "held"},
    "window-closed": {"held": "queued"},
    "resolved-as-sent": {"unknown": "accepted"},
    "resend-ordered": {"deferred": "queued", "refused": "queued", "failed": "queued", "unknown": "queued"},
    "closed": dict.fromkeys(
        ("queued", "held", "deferred", "accepted", "refused", "failed", "unknown", "answered"), "closed"
    ),
}
# Orders that come too late to be wrong: they change nothing, and are no error.
HARMLESS = {"resolved-as-sent": {"accepted", "answered", "closed"}, "resend-ordered": set(), "closed": {"closed"}}


@attrs.define
class Sheet:
    """What the model knows of one exchange."""

    number: int
    system: str
    state: str
    due: datetime
    attempts: int = 0
    lease: datetime | None = None
    owner: str | None = None
    begun: set[int] = attrs.field(factory=set[int])
    """Attempts whose content may have left; 0 where a person says that it has."""
    early: bool = False
    """Whether a reply came while the attempt was under way that decides about it."""

    def happens(self, event: str) -> None:
        """Move by the table."""
        after = MOVES[event].get(self.state)
        if after is not None:
            self.state, self.lease, self.owner = after, None, None

    def ended(self, event: str, attempt: int, *, begun: bool) -> bool:
        """Let an attempt end, and decide about the replies; says whether none of them can be an answer."""
        marked = False
        early = self.early and (begun or self.begun - {attempt} or attempt == self.attempts)
        if begun:
            self.begun.add(attempt)
        elif attempt in self.begun:
            self.begun.remove(attempt)
            if not self.begun and self.state == "answered":
                self.happens("never-sent")
                marked = True
        if attempt == self.attempts or event == "accepted":
            self.happens(event)
        if early:
            self.early = False
            if self.begun:
                self.happens("reply-received")
            else:
                marked = True
        return marked

    def replied(self) -> bool:
        """Let a reply come: it settles what may have been sent; says whether it cannot be an answer."""
        if self.begun:
            self.happens("reply-received")
            return False
        self.early = self.early or self.state == "sending"
        return self.state != "sending"


@attrs.define
class Copy:
    """What the model knows of one reply."""

    number: int
    system: str
    due: datetime
    answers: str | None = None
    """The K of the exchange that it belongs to; None where there was none when it came."""
    not_sent: bool = False
    """Whether it is marked as none that can be an answer."""
    copies: int = 1
    delivered: bool = False
    lease: datetime | None = None


def party_of(reference: str) -> str:
    """Give the party of a K."""
    return PARTIES[reference[0]]


def declaration(reference: str, system: str, payload: str = "a") -> Submission:
    """Build a declaration; each K has a body of its own."""
    return build(
        system=SYSTEMS[system][0],
        party=party_of(reference),
        mailbox="edi@forwarder.example",
        reference=reference,
        payload=f"<{payload}>{reference}</{payload}>".encode(),
        date=NOON,
        message_id=f"<{reference}@forwarder.example>",
    )


def reply(reference: str, system: str, *, body: int, trace: int, mailbox: str = "") -> bytes:
    """Write a reply; copies of one differ in their trace."""
    _, own, process_id = SYSTEMS[system]
    subject = f"[V= {process_id}][A= {party_of(reference)}][K={reference}][S=0]"
    return f"X-Trace: {trace}\r\nFrom: {mailbox or own}\r\nSubject: {subject}\r\n\r\n<R>{body}</R>\r\n".encode()


class LedgerMachine(RuleBasedStateMachine):
    """Two workers, a gateway that is a dictionary, and a person, on one ledger."""

    attempts = Bundle("attempts")
    """Attempts that a worker, alive or dead, has still to tell the end of."""
    deliveries = Bundle("deliveries")
    """Deliveries that a worker, alive or dead, has still to tell the end of."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.left: list[Ledger] = []
        self.now = NOON
        self.sheets: dict[str, Sheet] = {}
        self.copies: dict[tuple[str, str, str], Copy] = {}
        self.apart: dict[int, tuple[str, str, int, str]] = {}
        self.strangers: dict[bytes, int] = {}
        # The gateway: which K's it saw a body under.
        self.gateway: dict[bytes, set[str]] = {}
        self.lived = dict.fromkeys(WORKERS, 0)

    @initialize()
    def begin(self) -> None:
        """Open a new ledger, and queue something; walks that begin with nothing find little."""
        self.reopen()
        for reference, system in zip(REFERENCES, ("AGS", "DMS", "DMS"), strict=False):
            self.queue(reference, system, held=False)

    def reopen(self) -> None:
        """Open the ledger, as a process that starts."""
        self.ledger = Ledger.open(f"sqlite:///{self.folder / 'htpoort.db'}")
        self.left.append(self.ledger)
        self.router = Router(parties=list(PARTIES.values()))

    def teardown(self) -> None:
        """End what crashes left behind."""
        for ledger in self.left:
            ledger.close()
        shutil.rmtree(self.folder)

    def owner(self, worker: str) -> str:
        """Name a worker's leases; one that was started again has another name."""
        return f"{worker} {self.lived[worker]}"

    # ── the world ──

    @rule(minutes=st.sampled_from([1, 1, 2, 5, 9]))
    def time_passes(self, minutes: int) -> None:
        """A lease is two minutes; some run out, some do not."""
        self.now += timedelta(minutes=minutes, seconds=1)

    @rule()
    def crash(self) -> None:
        """The process dies: nothing is closed, nobody tells the ledger, another process opens it."""
        self.reopen()

    @rule(worker=st.sampled_from(WORKERS))
    def worker_dies(self, worker: str) -> None:
        """What it was at is neither renewed nor let go; what it had to say may still come, late."""
        self.lived[worker] += 1

    # ── out ──

    @rule(reference=st.sampled_from(REFERENCES), system=st.sampled_from(sorted(SYSTEMS)), held=st.booleans())
    def queue(self, reference: str, system: str, held: bool) -> None:  # noqa: FBT001 - hypothesis gives it by name
        """A K is taken once; the very same message again changes nothing; another message is refused."""
        there = self.sheets.get(reference)
        submission = declaration(reference, system)
        if there is not None and there.system != system:
            with pytest.raises(InputError, match=f"queued {reference} before"):
                self.ledger.exchanges.queue(submission, at=self.now, held=held)
            return
        made = self.ledger.exchanges.queue(submission, at=self.now, held=held)
        if there is None:
            state = "held" if held else "queued"
            self.sheets[reference] = Sheet(number=made.key, system=system, state=state, due=self.now)
        assert (self.sheets[reference].number, self.sheets[reference].state) == (made.key, made.state.value)

    @rule(
        target=attempts,
        worker=st.sampled_from(WORKERS),
        systems=st.sampled_from([("AGS", "DMS"), ("DMS",)]),
        most=st.integers(1, 4),
    )
    def claim(self, worker: str, systems: tuple[str, ...], most: int) -> Any:
        """A worker gets what is queued, or deferred and due, of its systems, oldest first; never what is unknown."""
        due = [
            (sheet.due, sheet.number, reference)
            for reference, sheet in self.sheets.items()
            if sheet.system in systems
            and (sheet.state == "queued" or (sheet.state == "deferred" and sheet.due <= self.now))
        ]
        owner = self.owner(worker)
        claimed = self.ledger.exchanges.claim_soon(systems, owner=owner, most=most, at=self.now, lease=LEASE).result()

        assert [reference for _, _, reference in sorted(due)[:most]] == [one.reference for one in claimed]
        for one in claimed:
            sheet = self.sheets[one.reference]
            sheet.happens("attempt-started")
            sheet.attempts += 1
            sheet.lease, sheet.owner = self.now + LEASE, owner
            assert (sheet.attempts, sheet.system) == (one.attempt, one.system)
        return multiple(*claimed)

    @rule(
        claimed=consumes(attempts),
        end=ENDS,
        arrived=st.booleans(),
    )
    def ends(self, claimed: Claimed, end: End, arrived: bool) -> None:  # noqa: FBT001 - the same
        """The end of an attempt comes, in time or late, perhaps of a worker that was thought dead."""
        self.outcome(claimed, *end, arrived=arrived)

    def outcome(self, claimed: Claimed, end: tuple[Outcome, bool], wait: int | None, *, arrived: bool) -> None:
        """Of an old attempt a 250 still counts, and whether content left; of the last one everything does."""
        outcome, begun = end
        if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and arrived):
            body = claimed.raw.partition(b"\r\n\r\n")[2]
            self.gateway.setdefault(body, set()).add(claimed.reference)
        sheet = self.sheets[claimed.reference]
        due = None if wait is None or outcome is not Outcome.DEFERRED else self.now + timedelta(minutes=wait)
        after = self.ledger.exchanges.settle_soon(claimed, outcome, at=self.now, due=due, content_begun=begun).result()

        before = sheet.state
        event = "connection-lost" if outcome is Outcome.UNKNOWN else outcome.value
        if sheet.ended(event, claimed.attempt, begun=begun):
            for copy in self.copies.values():
                copy.not_sent = copy.not_sent or copy.answers == claimed.reference
        if outcome is Outcome.DEFERRED and claimed.attempt == sheet.attempts:
            if due is None:
                sheet.happens("given-up")
            elif sheet.state != before:
                sheet.due = due
        assert sheet.state == after.value

    @rule(worker=st.sampled_from(WORKERS), most=st.integers(1, 4), ends=st.lists(ENDS, min_size=4, max_size=4))
    def work(self, worker: str, most: int, ends: list[End]) -> None:
        """A worker works as it should: claims, sends, and tells how each ended."""
        for claimed, (end, wait) in zip(self.claim(worker, tuple(SYSTEMS), most).values, ends, strict=False):
            self.outcome(claimed, end, wait, arrived=False)

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        """A worker that lives keeps its leases, and nobody else's."""
        owner, until = self.owner(worker), self.now + LEASE
        own = [sheet for sheet in self.sheets.values() if sheet.owner == owner and sheet.state == "sending"]
        keys = [sheet.number for sheet in self.sheets.values()]
        assert len(own) == self.ledger.exchanges.renew_soon(keys, owner=owner, until=until).result()
        for sheet in own:
            sheet.lease = until

    @rule()
    def leases_run_out(self) -> None:
        """What a worker was sending that has been silent for too long is unknown."""
        lost = {
            reference: sheet
            for reference, sheet in self.sheets.items()
            if sheet.state == "sending" and sheet.lease is not None and sheet.lease < self.now
        }
        found = self.ledger.exchanges.expire_soon(at=self.now).result()

        assert sorted(lost) == sorted(one.reference for one in found)
        for sheet in lost.values():
            sheet.ended("connection-lost", sheet.attempts, begun=True)

    @rule(target=attempts, silent=st.sampled_from([1, 3]))
    def taken_over(self, silent: int) -> Any:
        """A worker is silent, perhaps too long; a person orders again what is unknown, another takes it; both speak."""
        slow = self.claim("one", tuple(SYSTEMS), 2).values
        self.time_passes(silent)
        self.leases_run_out()
        for claimed in slow:
            if self.sheets[claimed.reference].state == "unknown":
                self.ordered(claimed.reference, "resend")
        return multiple(*slow, *self.claim("two", tuple(SYSTEMS), 4).values)

    # ── a person ──

    @precondition(lambda self: self.sheets)
    @rule(data=st.data(), order=st.sampled_from(ORDERS))
    def order(self, data: st.DataObject, order: str) -> None:
        """An order moves by the table, or is refused and changes nothing."""
        self.ordered(data.draw(st.sampled_from(sorted(self.sheets))), order)

    def ordered(self, reference: str, order: str) -> None:
        """Give an order, and move as it does."""
        sheet, event = self.sheets[reference], GIVEN[order]
        give: Callable[..., Exchange] = getattr(self.ledger.exchanges, order)
        if sheet.state in MOVES[event]:
            sheet.happens(event)
            sheet.due = self.now
        elif sheet.state not in HARMLESS[event]:
            with pytest.raises(InputError):
                give(reference, at=self.now)
            return
        if order == "resolve_as_sent":
            sheet.begun.add(0)
        assert sheet.state == give(reference, at=self.now).state.value

    @rule(
        systems=st.sampled_from([("AGS",), ("DMS",), ("AGS", "DMS")]),
        order=st.sampled_from(["let_go", "let_go", "hold"]),
    )
    def window(self, systems: tuple[str, ...], order: str) -> None:
        """A window holds what waits for its systems, or lets it go."""
        event = WINDOWS[order]
        moved = [sheet for sheet in self.sheets.values() if sheet.system in systems and sheet.state in MOVES[event]]
        assert len(moved) == getattr(self.ledger.exchanges, order)(systems, at=self.now)
        for sheet in moved:
            sheet.happens(event)

    # ── in ──

    @rule(
        reference=st.sampled_from(REFERENCES),
        system=st.sampled_from(sorted(SYSTEMS)),
        body=st.integers(0, 2),
        trace=st.integers(0, 2),
    )
    def reply_comes(self, reference: str, system: str, body: int, trace: int) -> None:
        """A reply is stored once for each content, in any order; one of a system that has not the K is set apart."""
        raw = reply(reference, system, body=body, trace=trace)
        sheet = self.sheets.get(reference)
        stored = self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.now)

        if sheet is not None and sheet.system != system:
            self.set_apart(raw, stored.key, (reference, sheet.system, body, "held"))
            return
        self.stored(reference, system, body, stored.key, repeated=stored.repeated)

    @rule(reference=st.sampled_from(REFERENCES), body=st.integers(0, 2))
    def forged_comes(self, reference: str, body: int) -> None:
        """A reply whose mailbox and process ID are of two systems is set apart, and answers nothing."""
        raw = reply(reference, "DMS", body=body, trace=0, mailbox="ags@htpoort.nl")
        stored = self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.now)

        self.set_apart(raw, stored.key, (reference, "DMS", body, "held"))

    def set_apart(self, raw: bytes, key: int, what: tuple[str, str, int, str]) -> None:
        """Note a message in quarantine; the same once more is the same."""
        if raw in self.strangers:
            assert self.strangers[raw] == key
            return
        self.strangers[raw] = key
        self.apart[key] = what

    def stored(self, reference: str, system: str, body: int, key: int, *, repeated: bool) -> None:
        """Note a reply."""
        name = reference, system, f"<R>{body}</R>"
        assert (name in self.copies) == repeated
        sheet = self.sheets.get(reference)
        own = sheet if sheet is not None and sheet.system == system else None
        if repeated:
            copy = self.copies[name]
            copy.copies += 1
            assert copy.number == key
            # What was too early may be an answer when it comes again.
            if own is not None and copy.not_sent:
                copy.not_sent = own.replied()
            return
        self.copies[name] = copy = Copy(number=key, system=system, due=AT_ONCE)
        if own is not None:
            copy.answers = reference
            copy.not_sent = own.replied()

    @precondition(lambda self: any(what[3] == "held" for what in self.apart.values()))
    @rule(data=st.data(), released=st.booleans(), system=st.sampled_from(sorted(SYSTEMS)))
    def settle_quarantine(self, data: st.DataObject, released: bool, system: str) -> None:  # noqa: FBT001 - the same
        """What a person releases is stored like a reply of that system; what is discarded goes nowhere."""
        key = data.draw(st.sampled_from(sorted(key for key, what in self.apart.items() if what[3] == "held")))
        reference, _, body, _ = self.apart[key]
        self.apart[key] = (*self.apart[key][:3], "released" if released else "discarded")
        if not released:
            self.ledger.quarantine.discard(key, at=self.now, reason="not ours")
            return
        choice = {"system": SYSTEMS[system][0], "party": PartyId.parse(party_of(reference)), "reference": reference}
        # Whichever system is chosen: its K went to the other one, or its mailbox or process ID is the other's.
        with pytest.raises(InputError):
            self.ledger.quarantine.release(key, **choice, at=self.now)
        stored = self.ledger.quarantine.release_despite(key, **choice, reason="a person knows", at=self.now)
        self.stored(reference, system, body, stored.key, repeated=stored.repeated)

    # ── delivery ──

    @rule(
        target=deliveries,
        worker=st.sampled_from(WORKERS),
        system=st.sampled_from(sorted(SYSTEMS)),
        most=st.integers(1, 4),
    )
    def claim_replies(self, worker: str, system: str, most: int) -> Any:
        """Every reply of a system that was not delivered is given out, unless a worker that may live has it."""
        waiting = sorted(
            (copy.due, copy.number)
            for copy in self.copies.values()
            if copy.system == system
            and not copy.delivered
            and copy.due <= self.now
            and (copy.lease is None or copy.lease < self.now)
        )
        claimed = self.ledger.replies.claim_soon(
            system, owner=self.owner(worker), most=most, at=self.now, lease=LEASE
        ).result()

        assert [number for _, number in waiting[:most]] == [one.key for one in claimed]
        for one in claimed:
            self.copy(one.key).lease = self.now + LEASE
        return multiple(*claimed)

    def copy(self, key: int) -> Copy:
        """Find a reply by its number."""
        (found,) = (copy for copy in self.copies.values() if copy.number == key)
        return found

    @rule(
        worker=st.sampled_from(WORKERS),
        system=st.sampled_from(sorted(SYSTEMS)),
        waits=st.lists(st.none() | st.integers(0, 9), min_size=4, max_size=4),
    )
    def deliver(self, worker: str, system: str, waits: list[int | None]) -> None:
        """A worker delivers as it should: claims, gives, and tells how each ended."""
        for claimed, wait in zip(self.claim_replies(worker, system, 4).values, waits, strict=False):
            self.delivery_ends(claimed, wait)

    @rule(claimed=consumes(deliveries), wait=st.none() | st.integers(0, 9))
    def delivery_ends(self, claimed: Reply, wait: int | None) -> None:
        """A delivery succeeds, or fails and is due again."""
        copy = self.copy(claimed.key)
        copy.lease = None
        if wait is None:
            self.ledger.replies.mark_delivered_soon(claimed.key, at=self.now).result()
            copy.delivered = True
        else:
            due = self.now + timedelta(minutes=wait)
            self.ledger.replies.mark_failed_soon(claimed.key, at=self.now, due=due, trouble="away").result()
            copy.due = due

    # ── what must always hold ──

    @invariant()
    def same_exchanges(self) -> None:
        """Every exchange is where the model says, with as many attempts; none is lost, none appears."""
        there = {
            one.reference: (one.key, one.state.value, one.attempts, one.content_begun)
            for one in self.ledger.exchanges.listed()
        }
        assert {
            name: (one.number, one.state, one.attempts, bool(one.begun)) for name, one in self.sheets.items()
        } == there

    @invariant()
    def same_replies(self) -> None:
        """Every reply is stored exactly once for each content, and none that is undelivered is lost."""
        there = {
            (one.reference, one.system, one.raw.rpartition(b"\r\n\r\n")[2].decode().strip()): (
                one.key,
                one.copies,
                one.delivered is not None,
                one.correlation == "not-sent",
            )
            for one in self.ledger.replies.listed()
        }
        assert {
            name: (one.number, one.copies, one.delivered, one.not_sent) for name, one in self.copies.items()
        } == there

    @invariant()
    def same_quarantine(self) -> None:
        """What was set apart is there, in the state that a person gave it."""
        there = {one.key: one.state for one in self.ledger.quarantine.listed(None)}
        assert {key: QuarantineState(what[3]) for key, what in self.apart.items()} == there

    @invariant()
    def one_k_for_each_message(self) -> None:
        """The gateway never saw a message under two K's."""
        assert all(len(references) == 1 for references in self.gateway.values())


# Each step is a commit that is synced, so the walks are fewer than of a pure function.
_RUNS = {400: 30, 20_000: 1_000}
LedgerMachine.TestCase.settings = settings(
    max_examples=_RUNS.get(settings().max_examples, 15),
    stateful_step_count=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestModel(LedgerMachine.TestCase):
    """The ledger says what a dictionary says, after any walk of two workers, a gateway and a person."""


def test_a_release_to_another_system_does_not_answer(tmp_path: Path) -> None:
    """A message that a person gives to DMS is no answer to an exchange of AGS, though the K is the same."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as ledger:
        router = Router(parties=list(PARTIES.values()))
        ledger.exchanges.queue(declaration("A1", "AGS"), at=NOON)
        raw = reply("A1", "DMS", body=0, trace=0)
        key = ledger.replies.take_in(router, raw, mail_from=None, at=NOON).key
        party = PartyId.parse(PARTIES["A"])
        ledger.quarantine.release_despite(key, system=DMS, party=party, reason="a person knows", at=NOON)
        exchange = ledger.exchanges.find("A1", party=PARTIES["A"])
        assert exchange is not None

        assert (State.QUEUED, [None]) == (exchange.state, [one.exchange for one in ledger.replies.listed()])
