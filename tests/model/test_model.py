"""A ledger and its agents compared with a plain dictionary: after any events in any order, both agree."""

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

from htpoort import AGS, DMS, InputError, Objection, Outcome, PartyId, Router, State, Submission, build
from htpoort.files import (
    NAME_REUSED,
    FileRouter,
    FileService,
    FileSubmission,
    GatewayUser,
    StatusReport,
    build_file,
    entity,
    render_report,
)
from htpoort.ledger import Claimed, Exchange, Ledger, QuarantineState, Reply

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""When a reply is due that was never tried: at once, whatever the clock shows."""
SYSTEMS = {"AGS": (AGS, "ags@htpoort.nl", "DMS.NL"), "DMS": (DMS, "dms@htpoort.nl", "DMS4.NL")}
# The first letter of a K decides its party; files of a gateway are of its user.
PARTIES = {"A": "NL123456789.02.05", "B": "NL123456789.03.05"}
REFERENCES = tuple(f"{letter}{number}" for letter in PARTIES for number in range(2))
USER = GatewayUser.parse("CVR_12345678_UI_12345678")
SERVICE = FileService(name="MANIFEST", service="Manifest")
FILES = ("F0", "F1")
EVERY_SYSTEM = (*SYSTEMS, "MANIFEST")
WORKERS = ("one", "two")
ATTEMPT_ENDS = st.tuples(
    st.sampled_from([
        (Outcome.ACCEPTED, True),
        *((outcome, begun) for outcome in (Outcome.DEFERRED, Outcome.REFUSED) for begun in (True, False)),
        (Outcome.UNKNOWN, True),
        (Outcome.NAME_USED, False),
    ]),
    st.none() | st.integers(0, 9),
)
"""How an attempt may end, whether content had left by then, and the wait after it; without a wait it has failed."""
STATUSES = {
    "error": ("gateway-error", 0, render_report(StatusReport(error_code="7"))),
    "used": ("name-reused", 0, render_report(StatusReport(error_code=NAME_REUSED))),
    "handed": ("accepted", 1, b"<S>1</S>"),
    "taken": ("accepted", 2, b"<S>2</S>"),
    "announced": ("accepted", 3, b"<S>3</S>"),
    "response": ("reply-received", None, b"<R>0</R>"),
}
"""Each file that a gateway puts out: what it means if content may have left, the number of its status, its content."""
ORDERS = ("resolve_as_sent", "resend", "resend", "resend", "close")
EVENT_OF_ORDER = {"resolve_as_sent": "resolved-as-sent", "resend": "resend-ordered", "close": "closed"}
EVENT_OF_WINDOW = {"hold": "window-opened", "let_go": "window-closed"}
End = tuple[tuple[Outcome, bool], int | None]

# Typed by hand: where each event leads. An event in a state that is not listed changes nothing.
MOVES = {
    "attempt-started": {"queued": "sending", "deferred": "sending"},
    "accepted": dict.fromkeys(("queued", "held", "sending", "deferred", "refused", "failed", "unknown"), "accepted"),
    "deferred": {"sending": "deferred", "unknown": "deferred"},
    "refused": {"sending": "refused", "unknown": "refused"},
    "outcome-unknown": {"sending": "unknown"},
    "given-up": {"deferred": "failed"},
    "reply-received": dict.fromkeys(
        ("queued", "held", "sending", "deferred", "accepted", "refused", "failed", "unknown", "answered"), "answered"
    ),
    "gateway-error": dict.fromkeys(
        ("queued", "held", "sending", "deferred", "accepted", "refused", "failed", "unknown"), "failed"
    ),
    "name-asked": {"unknown": "queued"},
    "never-sent": {"answered": "unknown", "accepted": "unknown"},
    "answer-withdrawn": {"answered": "unknown"},
    "window-opened": {"queued": "held", "deferred": "held"},
    "window-closed": {"held": "queued"},
    "resolved-as-sent": {"unknown": "accepted"},
    "resend-ordered": {"deferred": "queued", "refused": "queued", "failed": "queued", "unknown": "queued"},
    "closed": dict.fromkeys(
        ("queued", "held", "deferred", "accepted", "refused", "failed", "unknown", "answered"), "closed"
    ),
}
# The states in which an order comes late: it changes nothing, and is not an error.
HARMLESS: dict[str, set[str]] = {"resolved-as-sent": set(), "resend-ordered": set(), "closed": {"closed"}}


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
    """Attempts whose content may have left; 0 if an operator resolved the exchange as sent."""
    early: set[str] = attrs.field(factory=set[str])
    """What came during the current attempt, whose end decides what it means."""
    broken: bool = False
    """Whether the gateway has the file and reported an error for it."""
    had: bool = False
    """Whether a server accepted it, or an operator resolved it as sent."""

    def leads_to(self, event: str) -> str | None:
        """Look up where an event leads; None if it changes nothing."""
        if self.state == "failed" and self.broken and event in {"accepted", "resend-ordered"}:
            return None
        return MOVES[event].get(self.state)

    def happens(self, event: str) -> None:
        """Change the state by the table."""
        after = self.leads_to(event)
        if after is not None:
            self.state, self.lease, self.owner = after, None, None
            self.broken = self.broken or event == "gateway-error"

    def means(self, event: str) -> str:
        """Say what a file of the gateway means: a second upload that is refused as used shows the first one."""
        if event != "name-reused":
            return event
        return "accepted" if len(self.begun) > 1 else "gateway-error"

    def ended(self, event: str, attempt: int, *, begun: bool) -> bool:
        """Let an attempt end, and decide about the replies; return whether none of them can be an answer."""
        marked = False
        decides = self.early and (begun or self.begun - {attempt} or attempt == self.attempts)
        if begun:
            self.begun.add(attempt)
        elif attempt in self.begun:
            self.begun.remove(attempt)
            if not self.begun and self.state in {"answered", "accepted"}:
                self.happens("never-sent")
                marked = True
        if attempt == self.attempts or event == "accepted":
            self.happens(event)
        if decides:
            came = {self.means(each) for each in self.early}
            self.early = set()
            if self.begun:
                for each in ("accepted", "gateway-error", "reply-received"):
                    if each in came:
                        self.happens(each)
            else:
                marked = True
        return marked

    def replied(self, event: str = "reply-received") -> bool:
        """Let a reply or a status file come; return whether it cannot be about this declaration."""
        waits = self.state == "sending" and (not self.begun or event != "reply-received")
        if waits:
            self.early.add(event)
        elif self.begun:
            self.happens(self.means(event))
        return not waits and not self.begun


@attrs.define
class Copy:
    """What the model knows of one reply."""

    number: int
    system: str
    due: datetime
    answers: str | None = None
    """The K of its exchange; None if no exchange existed when the reply came."""
    not_sent: bool = False
    """Whether it is marked as not an answer."""
    copies: int = 1
    delivered: bool = False
    lease: datetime | None = None
    attempts: int = 0
    failed: int = 0
    redeliveries: int = 0

    @property
    def may_be_delivered(self) -> bool:
        """Whether a process has it or may have it."""
        return self.delivered or self.redeliveries > 0 or self.attempts != self.failed


def party_of(reference: str) -> str:
    """Return the party of a K."""
    return PARTIES[reference[0]]


def declaration(reference: str, system: str, payload: str = "a") -> Submission | FileSubmission:
    """Build a declaration; each K has a body of its own."""
    if system == "MANIFEST":
        return build_file(service=SERVICE, user=USER, name=reference, payload=f"<M>{reference}</M>".encode())
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
    """Two workers, a gateway that is a dictionary, and an operator, on one ledger."""

    attempts = Bundle("attempts")
    """Attempts whose end a worker, alive or dead, has not yet reported."""
    deliveries = Bundle("deliveries")
    """Deliveries whose end a worker, alive or dead, has not yet reported."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.opened: list[Ledger] = []
        self.now = NOON
        self.sheets: dict[str, Sheet] = {}
        self.copies: dict[tuple[str, str, str], Copy] = {}
        self.quarantined: dict[int, tuple[str, str, int, str]] = {}
        self.keys: dict[bytes, int] = {}
        # Which reply each released message became.
        self.released: dict[int, tuple[str, str, str]] = {}
        # The gateway: for each body, the K's that it came under.
        self.gateway: dict[bytes, set[str]] = {}
        self.restarts = dict.fromkeys(WORKERS, 0)

    @initialize()
    def begin(self) -> None:
        """Open a new ledger and queue declarations; a walk that begins with an empty ledger finds little."""
        self.reopen()
        for reference, system in zip((*FILES, *REFERENCES), ("", "", "AGS", "DMS", "DMS"), strict=False):
            self.queue(reference, system, held=False)

    def reopen(self) -> None:
        """Open the ledger, as a process does when it starts."""
        self.ledger = Ledger.open(f"sqlite:///{self.folder / 'htpoort.db'}")
        self.opened.append(self.ledger)
        self.router = Router(parties=list(PARTIES.values()))
        self.files = FileRouter(services=[SERVICE], user=USER)

    def teardown(self) -> None:
        """Close the ledgers that crashes left open."""
        for ledger in self.opened:
            ledger.close()
        shutil.rmtree(self.folder)

    def owner(self, worker: str) -> str:
        """Return the name of a worker's leases; a restarted worker has another name."""
        return f"{worker} {self.restarts[worker]}"

    # ── the world ──

    @rule(minutes=st.sampled_from([1, 1, 2, 5, 9]))
    def time_passes(self, minutes: int) -> None:
        """Let time pass; a lease is two minutes, so some leases run out and some do not."""
        self.now += timedelta(minutes=minutes, seconds=1)

    @rule()
    def crash(self) -> None:
        """The process dies: nothing is closed, and another process opens the ledger."""
        self.reopen()

    @rule(worker=st.sampled_from(WORKERS))
    def worker_dies(self, worker: str) -> None:
        """A dead worker neither renews nor releases its claims; its report may still come, late."""
        self.restarts[worker] += 1

    # ── out ──

    @rule(reference=st.sampled_from((*REFERENCES, *FILES)), system=st.sampled_from(sorted(SYSTEMS)), held=st.booleans())
    def queue(self, reference: str, system: str, held: bool) -> None:  # noqa: FBT001 - hypothesis gives it by name
        """A K is used once; the very same message again changes nothing; another message is refused."""
        system = "MANIFEST" if reference in FILES else system
        sheet = self.sheets.get(reference)
        submission = declaration(reference, system)
        if sheet is not None and sheet.system != system:
            with pytest.raises(InputError, match=f"queued {reference} before"):
                self.ledger.exchanges.queue(submission, at=self.now, held=held)
            return
        queued = self.ledger.exchanges.queue(submission, at=self.now, held=held)
        if sheet is None:
            state = "held" if held else "queued"
            self.sheets[reference] = Sheet(number=queued.key, system=system, state=state, due=self.now)
        assert (self.sheets[reference].number, self.sheets[reference].state) == (queued.key, queued.state.value)

    @rule(
        target=attempts,
        worker=st.sampled_from(WORKERS),
        systems=st.sampled_from([EVERY_SYSTEM, ("AGS", "DMS"), ("MANIFEST",)]),
        most=st.integers(1, 4),
    )
    def claim(self, worker: str, systems: tuple[str, ...], most: int) -> Any:
        """A worker claims what is queued, or deferred and due, for its systems, oldest first; never what is unknown."""
        due = [
            (sheet.due, sheet.number, reference)
            for reference, sheet in self.sheets.items()
            if sheet.system in systems
            and (sheet.state == "queued" or (sheet.state == "deferred" and sheet.due <= self.now))
        ]
        owner = self.owner(worker)
        claims = self.ledger.exchanges.claim_soon(systems, owner=owner, most=most, at=self.now, lease=LEASE).result()

        assert [reference for _, _, reference in sorted(due)[:most]] == [claimed.reference for claimed in claims]
        for claimed in claims:
            sheet = self.sheets[claimed.reference]
            sheet.happens("attempt-started")
            sheet.attempts += 1
            sheet.lease, sheet.owner = self.now + LEASE, owner
            assert (sheet.attempts, sheet.system) == (claimed.attempt, claimed.system)
        return multiple(*claims)

    @rule(
        claimed=consumes(attempts),
        end=ATTEMPT_ENDS,
        arrived=st.booleans(),
    )
    def ends(self, claimed: Claimed, end: End, arrived: bool) -> None:  # noqa: FBT001 - the same
        """A worker, perhaps one thought dead, reports the end of an attempt, in time or late."""
        self.outcome(claimed, *end, arrived=arrived)

    def outcome(self, claimed: Claimed, end: tuple[Outcome, bool], wait: int | None, *, arrived: bool) -> None:
        """Of an old attempt only a 250 counts, and whether content left; of the last one every outcome does."""
        outcome, begun = end
        if outcome is Outcome.NAME_USED and claimed.reference not in FILES:
            outcome = Outcome.REFUSED  # a mail server refuses no K
        if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and arrived):
            body = claimed.raw.partition(b"\r\n\r\n")[2]
            self.gateway.setdefault(body, set()).add(claimed.reference)
        sheet = self.sheets[claimed.reference]
        has_due = outcome is Outcome.DEFERRED or (outcome is Outcome.UNKNOWN and claimed.reference in FILES)
        due = None if wait is None or not has_due else self.now + timedelta(minutes=wait)
        after = self.ledger.exchanges.settle_soon(claimed, outcome, at=self.now, due=due, content_begun=begun).result()

        before = sheet.state
        sheet.had = sheet.had or outcome is Outcome.ACCEPTED
        event = "outcome-unknown" if outcome is Outcome.UNKNOWN else outcome.value
        if outcome is Outcome.NAME_USED:
            event = "accepted" if sheet.begun - {claimed.attempt} else "refused"
        if sheet.ended(event, claimed.attempt, begun=begun):
            for copy in self.copies.values():
                copy.not_sent = copy.not_sent or copy.answers == claimed.reference
        if outcome is Outcome.DEFERRED and claimed.attempt == sheet.attempts and due is None:
            sheet.happens("given-up")
        elif due is not None and claimed.attempt == sheet.attempts and sheet.state != before:
            sheet.due = due
        assert sheet.state == after.value

    @rule(worker=st.sampled_from(WORKERS), most=st.integers(1, 4), ends=st.lists(ATTEMPT_ENDS, min_size=4, max_size=4))
    def work(self, worker: str, most: int, ends: list[End]) -> None:
        """A healthy worker claims, sends and reports how each attempt ended."""
        for claimed, (end, wait) in zip(self.claim(worker, EVERY_SYSTEM, most).values, ends, strict=False):
            self.outcome(claimed, end, wait, arrived=False)

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        """A living worker renews its own leases and no others."""
        owner, until = self.owner(worker), self.now + LEASE
        own = [sheet for sheet in self.sheets.values() if sheet.owner == owner and sheet.state == "sending"]
        keys = [sheet.number for sheet in self.sheets.values()]
        assert len(own) == self.ledger.exchanges.renew_soon(keys, owner=owner, until=until).result()
        for sheet in own:
            sheet.lease = until

    @rule()
    def leases_run_out(self) -> None:
        """If a worker is silent for too long, what it was sending becomes unknown."""
        lost = {
            reference: sheet
            for reference, sheet in self.sheets.items()
            if sheet.state == "sending" and sheet.lease is not None and sheet.lease < self.now
        }
        expired = self.ledger.exchanges.expire_soon(at=self.now).result()

        assert sorted(lost) == sorted(exchange.reference for exchange in expired)
        for sheet in lost.values():
            sheet.ended("outcome-unknown", sheet.attempts, begun=True)

    @rule(target=attempts, silent=st.sampled_from([1, 3]))
    def taken_over(self, silent: int) -> Any:
        """A worker is silent, perhaps too long; unknown exchanges are resent by another worker; both report."""
        slow = self.claim("one", EVERY_SYSTEM, 2).values
        self.time_passes(silent)
        self.leases_run_out()
        for claimed in slow:
            if self.sheets[claimed.reference].state == "unknown":
                self.ordered(claimed.reference, "resend")
        return multiple(*slow, *self.claim("two", EVERY_SYSTEM, 4).values)

    @rule()
    def ask(self) -> None:
        """Names of files that may have arrived are asked for when they are due; messages never are."""
        asked = [name for name in FILES if self.is_asked(name)]
        queued = self.ledger.exchanges.ask_names(EVERY_SYSTEM, at=self.now)

        assert asked == sorted(exchange.reference for exchange in queued)
        for name in asked:
            self.sheets[name].happens("name-asked")

    def is_asked(self, name: str) -> bool:
        """Say whether it is unknown whether a file arrived, and its question is due."""
        sheet = self.sheets.get(name)
        return sheet is not None and sheet.state == "unknown" and sheet.due <= self.now

    # ── an operator ──

    @precondition(lambda self: self.sheets)
    @rule(data=st.data(), order=st.sampled_from(ORDERS))
    def order(self, data: st.DataObject, order: str) -> None:
        """An order follows the table, or is refused and changes nothing."""
        self.ordered(data.draw(st.sampled_from(sorted(self.sheets))), order)

    def ordered(self, reference: str, order: str) -> None:
        """Give an order to the ledger and to the model."""
        sheet, event = self.sheets[reference], EVENT_OF_ORDER[order]
        method: Callable[..., Exchange] = getattr(self.ledger.exchanges, order)
        if sheet.leads_to(event) is not None:
            sheet.happens(event)
            sheet.due = self.now
        elif sheet.state not in HARMLESS[event]:
            with pytest.raises(InputError):
                method(reference, at=self.now)
            return
        if order == "resolve_as_sent":
            sheet.begun.add(0)
            sheet.had = True
        assert sheet.state == method(reference, at=self.now).state.value

    @rule(
        systems=st.sampled_from([("AGS",), ("DMS", "MANIFEST"), ("AGS", "DMS")]),
        order=st.sampled_from(["let_go", "let_go", "hold"]),
    )
    def window(self, systems: tuple[str, ...], order: str) -> None:
        """A window holds the declarations that wait for its systems, or releases them."""
        event = EVENT_OF_WINDOW[order]
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
        """A reply is stored once for each content, in any order; one from another system goes to quarantine."""
        raw = reply(reference, system, body=body, trace=trace)
        sheet = self.sheets.get(reference)
        stored = self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.now)

        if sheet is not None and sheet.system != system:
            self.set_apart(raw, stored.key, (reference, sheet.system, body, "held"))
            return
        self.stored(reference, system, body, stored.key, repeated=stored.repeated)

    @rule(name=st.sampled_from(FILES), came=st.lists(st.sampled_from(sorted(STATUSES)), min_size=1, max_size=3))
    def files_come(self, name: str, came: list[str]) -> None:
        """Status files and a response are stored once each; what may have been uploaded is settled by them."""
        for each in came:
            event, number, content = STATUSES[each]
            fetched = f"response_Manifest_{name}.xml" if number is None else f"status_Manifest_{name}_{number}.xml"
            raw = entity(fetched, content)
            stored = self.ledger.replies.take_in_file(self.files, raw, at=self.now, account="gateway")
            key = name, "MANIFEST", content.decode().strip()
            if key in self.copies:
                # It was fetched before, under the same name.
                assert (self.copies[key].number, True) == (stored.key, stored.repeated)
                continue
            self.copies[key] = copy = Copy(number=stored.key, system="MANIFEST", due=EPOCH, answers=name)
            copy.not_sent = self.sheets[name].replied(event)

    @rule(reference=st.sampled_from(REFERENCES), body=st.integers(0, 2))
    def forged_comes(self, reference: str, body: int) -> None:
        """A reply with the mailbox and the process ID of two systems goes to quarantine and answers nothing."""
        raw = reply(reference, "DMS", body=body, trace=0, mailbox="ags@htpoort.nl")
        stored = self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.now)

        self.set_apart(raw, stored.key, (reference, "DMS", body, "held"))

    def set_apart(self, raw: bytes, key: int, entry: tuple[str, str, int, str]) -> None:
        """Record a quarantined message; a copy keeps its number."""
        if raw in self.keys:
            assert self.keys[raw] == key
            return
        self.keys[raw] = key
        self.quarantined[key] = entry

    def stored(  # noqa: PLR0913 - what is stored, and how
        self, reference: str, system: str, body: int, key: int, *, repeated: bool, due: datetime = EPOCH
    ) -> None:
        """Record a reply."""
        name = reference, system, f"<R>{body}</R>"
        assert (name in self.copies) == repeated
        sheet = self.sheets.get(reference)
        own = sheet if sheet is not None and sheet.system == system else None
        if repeated:
            copy = self.copies[name]
            copy.copies += 1
            assert copy.number == key
            # A reply that was too early may be an answer when a copy comes.
            if own is not None and copy.not_sent:
                copy.not_sent = own.replied()
            return
        self.copies[name] = copy = Copy(number=key, system=system, due=due)
        if own is not None:
            copy.answers = reference
            copy.not_sent = own.replied()

    def set_to(self, key: int, state: str) -> None:
        """Record what an operator decided about a message."""
        self.quarantined[key] = (*self.quarantined[key][:3], state)

    def among(self, *states: str) -> list[int]:
        """List the messages of the quarantine in some states."""
        return sorted(key for key, entry in self.quarantined.items() if entry[3] in states)

    @precondition(lambda self: self.among("held"))
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """A discarded message goes nowhere."""
        key = data.draw(st.sampled_from(self.among("held")))
        self.ledger.quarantine.discard(key, at=self.now, reason="not ours")
        self.set_to(key, "discarded")

    @precondition(lambda self: self.among("held", "discarded"))
    @rule(data=st.data(), system=st.sampled_from(sorted(SYSTEMS)))
    def release(self, data: st.DataObject, system: str) -> None:
        """A released message, also one that was discarded, is stored like a reply of the chosen system."""
        key = data.draw(st.sampled_from(self.among("held", "discarded")))
        reference, _, body, _ = self.quarantined[key]
        choice = {"system": SYSTEMS[system][0], "party": PartyId.parse(party_of(reference)), "reference": reference}
        # Either system is contradicted: the K went to the other one, or mailbox or process ID belong to the other.
        with pytest.raises(InputError):
            self.ledger.quarantine.release(key, **choice, at=self.now)
        override: dict[str, Any] = {"despite": [Objection.OTHER_SYSTEM], "reason": "confirmed by telephone"}
        stored = self.ledger.quarantine.release(key, **choice, **override, at=self.now)
        self.stored(reference, system, body, stored.key, repeated=stored.repeated, due=self.now)
        self.set_to(key, "released")
        self.released[key] = reference, system, f"<R>{body}</R>"

    @precondition(lambda self: self.among("released"))
    @rule(data=st.data(), delivered=st.booleans())
    def withdraw(self, data: st.DataObject, delivered: bool) -> None:  # noqa: FBT001 - the same
        """A release is taken back with all that it did; what a process may have, only by an order that says so."""
        key = data.draw(st.sampled_from(self.among("released")))
        copy = self.copies[self.released[key]]
        sheet = None if copy.answers is None else self.sheets[copy.answers]
        under_way = copy.lease is not None and copy.lease >= self.now
        order: dict[str, Any] = {"at": self.now, "reason": "wrong", "delivered": delivered}
        if (copy.may_be_delivered and not delivered) or under_way or (sheet is not None and sheet.state == "sending"):
            with pytest.raises(InputError):
                self.ledger.quarantine.withdraw(key, **order)
            return
        withdrawn = self.ledger.quarantine.withdraw(key, **order)
        assert (copy.number, copy.may_be_delivered) == (withdrawn.reply.key, withdrawn.may_be_delivered)
        self.set_to(key, "held")
        name = self.released.pop(key)
        if copy.copies > 1:
            copy.copies -= 1
            return
        del self.copies[name]
        others = [other for other in self.copies.values() if other.answers == copy.answers and not other.not_sent]
        if sheet is not None and sheet.state == "answered" and not others:
            sheet.happens("answer-withdrawn")
            if sheet.had:
                sheet.happens("accepted")

    # ── delivery ──

    @rule(
        target=deliveries,
        worker=st.sampled_from(WORKERS),
        system=st.sampled_from(EVERY_SYSTEM),
        most=st.integers(1, 4),
    )
    def claim_replies(self, worker: str, system: str, most: int) -> Any:
        """A worker claims every undelivered reply of a system, unless another worker's lease holds it."""
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

        assert [number for _, number in waiting[:most]] == [stored.key for stored in claimed]
        for stored in claimed:
            copy = self.copy(stored.key)
            copy.lease = self.now + LEASE
            copy.attempts += 1
            assert (copy.attempts, copy.redeliveries) == (stored.attempts, stored.redeliveries)
        return multiple(*claimed)

    def copy(self, key: int) -> Copy:
        """Find a reply by its number."""
        (stored,) = (copy for copy in self.copies.values() if copy.number == key)
        return stored

    @rule(
        worker=st.sampled_from(WORKERS),
        system=st.sampled_from(EVERY_SYSTEM),
        waits=st.lists(st.none() | st.integers(0, 9), min_size=4, max_size=4),
    )
    def deliver(self, worker: str, system: str, waits: list[int | None]) -> None:
        """A healthy worker claims, delivers and reports how each delivery ended."""
        for claimed, wait in zip(self.claim_replies(worker, system, 4).values, waits, strict=False):
            self.delivery_ends(claimed, wait)

    @rule(claimed=consumes(deliveries), wait=st.none() | st.integers(0, 9))
    def delivery_ends(self, claimed: Reply, wait: int | None) -> None:
        """A delivery succeeds, or fails and is due again; one before the last order changes nothing."""
        copy = next((copy for copy in self.copies.values() if copy.number == claimed.key), None)
        order = claimed.redeliveries
        current = copy is not None and order == copy.redeliveries
        due = None if wait is None else self.now + timedelta(minutes=wait)
        if due is None:
            self.ledger.replies.mark_delivered_soon(claimed.key, at=self.now, redeliveries=order).result()
        else:
            self.ledger.replies.mark_failed_soon(
                claimed.key, at=self.now, due=due, trouble="away", redeliveries=order
            ).result()
        if copy is None:
            return
        if current:
            copy.lease = None
        if due is None:
            copy.delivered = copy.delivered or current
            return
        copy.failed += 1
        if current:
            copy.due = due

    @precondition(lambda self: self.copies)
    @rule(data=st.data(), delivered=st.booleans())
    def redeliver(self, data: st.DataObject, delivered: bool) -> None:  # noqa: FBT001 - the same
        """An order makes due what waits for its next try, and if asked for, what was delivered; its preview agrees."""
        numbers = sorted(copy.number for copy in self.copies.values())
        self.ordered_again(data.draw(st.sets(st.sampled_from(numbers), min_size=1)), delivered=delivered)

    def ordered_again(self, keys: set[int], *, delivered: bool) -> None:
        """Give the order to the ledger and to the model."""
        chosen = [copy for copy in self.copies.values() if copy.number in keys]
        waiting = [copy for copy in chosen if not copy.delivered and copy.due > self.now]
        again = [copy for copy in chosen if copy.delivered and delivered]
        options: dict[str, Any] = {"at": self.now, "keys": sorted(keys), "delivered": delivered}
        preview = [stored.key for stored in self.ledger.replies.deliverable_again(**options)]
        ordered = self.ledger.replies.deliver_again_now(**options)

        assert sorted(copy.number for copy in (*waiting, *again)) == ordered
        assert ordered == preview
        for copy in (*waiting, *again):
            copy.due = self.now
        for copy in again:
            copy.delivered = False
            copy.redeliveries += 1

    @rule(
        target=deliveries,
        system=st.sampled_from(EVERY_SYSTEM),
        silent=st.sampled_from([1, 3]),
        late=st.none() | st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=2),
    )
    def delivery_taken_over(self, system: str, silent: int, late: list[int | None] | None) -> Any:
        """A worker is silent, perhaps too long; another one delivers, an operator orders more, the first reports."""
        slow = self.claim_replies("one", system, 2).values
        self.time_passes(silent)
        self.deliver("two", system, [None] * 4)
        if keys := {claimed.key for claimed in slow}:
            self.ordered_again(keys, delivered=True)
        if late is None:
            return multiple(*slow)
        for claimed, wait in zip(slow, late, strict=False):
            self.delivery_ends(claimed, wait)
        return multiple()

    # ── invariants ──

    @invariant()
    def same_exchanges(self) -> None:
        """Every exchange has the state and attempts of the model; none is lost, none appears."""
        actual = {
            exchange.reference: (exchange.key, exchange.state.value, exchange.attempts, exchange.content_begun)
            for exchange in self.ledger.exchanges.listed()
        }
        assert {
            name: (sheet.number, sheet.state, sheet.attempts, bool(sheet.begun)) for name, sheet in self.sheets.items()
        } == actual

    @invariant()
    def same_replies(self) -> None:
        """Every reply is stored exactly once for each content, and no undelivered reply is lost."""
        actual = {
            (stored.reference, stored.system, stored.raw.rpartition(b"\r\n\r\n")[2].decode().strip()): (
                stored.key,
                stored.copies,
                stored.delivered is not None,
                stored.correlation == "not-sent",
                stored.redeliveries,
            )
            for stored in self.ledger.replies.listed()
        }
        assert {
            name: (copy.number, copy.copies, copy.delivered, copy.not_sent, copy.redeliveries)
            for name, copy in self.copies.items()
        } == actual

    @invariant()
    def same_quarantine(self) -> None:
        """Every quarantined message is kept, in the state that the operator's decision gave it."""
        actual = {held.key: held.state for held in self.ledger.quarantine.listed(None)}
        assert {key: QuarantineState(entry[3]) for key, entry in self.quarantined.items()} == actual

    @invariant()
    def one_k_for_each_message(self) -> None:
        """The gateway never saw a message under two K's."""
        assert all(len(references) == 1 for references in self.gateway.values())


# Each step is a synced commit, so there are fewer walks than for a pure function.
_RUNS = {400: 30, 20_000: 1_000}
LedgerMachine.TestCase.settings = settings(
    max_examples=_RUNS.get(settings().max_examples, 15),
    stateful_step_count=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestModel(LedgerMachine.TestCase):
    """After any walk of two workers, a gateway and an operator, the ledger agrees with the dictionary."""


def test_a_release_to_another_system_does_not_answer(tmp_path: Path) -> None:
    """A message released to DMS does not answer an exchange of AGS with the same K."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as ledger:
        router = Router(parties=list(PARTIES.values()))
        ledger.exchanges.queue(declaration("A1", "AGS"), at=NOON)
        raw = reply("A1", "DMS", body=0, trace=0)
        key = ledger.replies.take_in(router, raw, mail_from=None, at=NOON).key
        party = PartyId.parse(PARTIES["A"])
        override: dict[str, Any] = {"despite": [Objection.OTHER_SYSTEM], "reason": "confirmed by telephone"}
        ledger.quarantine.release(key, system=DMS, party=party, **override, at=NOON)
        exchange = ledger.exchanges.find("A1", party=PARTIES["A"])
        assert exchange is not None

        assert (State.QUEUED, [None]) == (exchange.state, [stored.exchange for stored in ledger.replies.listed()])
