"""Replies and quarantine in the ledger: stored whole, recognised when repeated, delivered until that succeeds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import pytest

from htpoort import (
    AGS,
    DMS,
    Correlation,
    InputError,
    Objection,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    Router,
    State,
    Submission,
    UnknownError,
)
from htpoort.ledger import Exchange, Ledger, QuarantineState, Reply

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Send = Callable[..., Exchange]


def claim(ledger: Ledger, at: datetime, *, system: str = "DMS", owner: str = "a") -> list[Reply]:
    """Claim the replies of one system."""
    return ledger.replies.claim_soon(system, owner=owner, most=10, at=at, lease=LEASE).result()


class TestTakeIn:
    """A reply that was acknowledged is stored as it came, with the process that it belongs to."""

    def test_a_router_with_the_ledgers_records(self, ledger: Ledger, clock: Clock, sent: Send, reply: Write) -> None:
        """A router that looks the K up in the ledger finds the same correlation as the ledger."""
        sent("K1", at=clock())
        router = Router(parties=[PARTY], sent=ledger.sent)
        raws = [reply("K1"), reply("K2")]
        routings = [ledger.replies.take_in(router, raw, mail_from=None, at=clock(1)).routing for raw in raws]

        assert [Correlation.MATCHED, Correlation.UNKNOWN_REFERENCE] == [
            routing.correlation for routing in routings if isinstance(routing, Routed)
        ]

    def test_a_reply_answers_its_exchange(
        self, ledger: Ledger, router: Router, clock: Clock, sent: Send, reply: Write
    ) -> None:
        """The first reply answers the exchange, and is stored byte for byte."""
        queued = sent("K1", at=clock())
        raw = reply("K1")
        stored = ledger.replies.take_in(router, raw, mail_from=None, at=clock(1))
        (kept,) = ledger.replies.listed()

        assert isinstance(stored.routing, Routed)
        assert (False, raw, queued.key, "matched") == (stored.repeated, kept.raw, kept.exchange, kept.correlation)
        assert ("DMS", "dms@htpoort.nl", "DMS4.NL", PARTY, "K1") == (
            kept.system,
            kept.mailbox,
            kept.process_id,
            kept.party,
            kept.reference,
        )
        assert State.ANSWERED == ledger.story("K1")[0].exchange.state
        assert (b"<Response/>\r\n", b"<Response/>\r\n") == (kept.payload.octets, stored.routing.payload.octets)

    def test_a_copy_is_recognised(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """The same body for the same K is one reply, by whatever path it came; each copy is counted."""
        first = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        trace = "Received: from mx.gateway.example by mx.forwarder.example; Mon, 2 Nov 2026 12:05:00 +0100\r\n"
        again = ledger.replies.take_in(router, reply("K1", trace=trace), mail_from=None, at=clock(5))
        (kept,) = ledger.replies.listed()

        assert (first.key, True, 2) == (again.key, again.repeated, kept.copies)

    @pytest.mark.parametrize(
        "other",
        [
            {"body": "<Response>2</Response>"},
            {"party": "NL123456789.03.05"},
            {"mailbox": "ags@htpoort.nl", "process_id": "DMS.NL"},
        ],
    )
    def test_a_different_reply_under_the_same_k(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, other: dict[str, str]
    ) -> None:
        """A reply with other content, another party or another system is not a copy but a further reply."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        further = ledger.replies.take_in(router, reply("K1", **other), mail_from=None, at=clock())

        assert (False, 2) == (further.repeated, len(list(ledger.replies.listed())))

    def test_an_unknown_k_is_stored_and_delivered(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """A reply whose K was never sent still goes to its process, and is marked."""
        ledger.replies.take_in(router, reply("K9"), mail_from=None, at=clock())
        (claimed,) = claim(ledger, clock())

        assert (None, "unknown-reference") == (claimed.exchange, claimed.correlation)

    def test_a_reply_from_the_other_system(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """A reply from AGS to a K that went to DMS goes to quarantine and answers nothing."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        raw = reply("K1", mailbox="ags@htpoort.nl", process_id="DMS.NL")
        stored = ledger.replies.take_in(router, raw, mail_from=None, at=clock())

        assert isinstance(stored.routing, Quarantined)
        assert (Reason.OTHER_SYSTEM, State.QUEUED) == (stored.routing.reason, ledger.story("K1")[0].exchange.state)

    def test_a_queued_declaration_is_known_at_once(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """A declaration handed over just before a reply is known when the ledger takes in the reply."""
        ledger.exchanges.queue_soon(declaration("K1"), at=clock())
        stored = ledger.replies.take_in_soon(router, reply("K1"), mail_from=None, at=clock()).result()

        # The K is known, as not sent; without the exchange the correlation would be unknown-reference.
        assert isinstance(stored.routing, Routed)
        assert "not-sent" == stored.routing.correlation.value


class TestDelivery:
    """A reply is delivered at least once, and marked only afterwards."""

    def test_a_delivered_reply(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A reply marked as delivered is not claimed again; its number never changes."""
        stored = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.replies.mark_delivered_soon(claimed.key, at=clock(1)).result()
        (kept,) = ledger.replies.listed()

        assert ([], stored.key, clock(1)) == (claim(ledger, clock(9)), claimed.key, kept.delivered)

    def test_a_dead_worker(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """No other worker gets a reply until the lease of its worker ends; then any worker can."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        claim(ledger, clock(), owner="a")

        assert [] == claim(ledger, clock(1), owner="b")
        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(3), owner="b")]

    def test_a_renewed_lease_holds(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A worker keeps the reply whose lease it renews, and loses the one whose lease it does not renew."""
        for reference in ("K1", "K2"):
            ledger.replies.take_in(router, reply(reference), mail_from=None, at=clock())
        first, _second = claim(ledger, clock(), owner="a")
        renewed = ledger.replies.renew_soon([first.key], owner="a", until=clock(9)).result()

        assert (1, ["K2"]) == (renewed, [claimed.reference for claimed in claim(ledger, clock(3), owner="b")])

    @pytest.mark.parametrize(("owner", "free"), [("a", True), ("b", False), (None, True)])
    def test_releasing_claims(  # noqa: PLR0913 - four fixtures and a table
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, *, owner: str | None, free: bool
    ) -> None:
        """let_go frees the replies of one worker, or of all, at once; those of another worker stay claimed."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        claim(ledger, clock(), owner="a")
        ledger.replies.drop_claims_soon(owner=owner).result()

        assert free == bool(claim(ledger, clock(), owner="c"))

    def test_a_failed_delivery(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A delivery that failed is due again at its retry time, and the reply shows the trouble."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (first,) = claim(ledger, clock())
        ledger.replies.mark_failed_soon(first.key, at=clock(), due=clock(5), trouble="disk full").result()
        early = claim(ledger, clock(4))
        (second,) = claim(ledger, clock(5))

        assert ([], "disk full", (1, 2)) == (early, second.trouble, (first.attempts, second.attempts))

    def test_a_worker_fails_its_own_claim_only(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """A failure that names a worker is recorded if that worker has the reply, and changes nothing otherwise."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (first,) = claim(ledger, clock(), owner="a")
        troubles: list[str] = []
        for owner in ("b", "a"):
            ledger.replies.mark_failed_soon(first.key, at=clock(), due=clock(5), trouble="full", owner=owner).result()
            troubles += [one.trouble for one in ledger.replies.listed()]

        assert ["", "full"] == troubles

    def test_a_clock_that_is_set_back(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A new reply is delivered at once, whenever it came; only a failed delivery waits for its time."""
        for reference in ("K1", "K2"):
            ledger.replies.take_in(router, reply(reference), mail_from=None, at=clock(60))
        for claimed in claim(ledger, clock(60)):
            ledger.replies.mark_failed_soon(claimed.key, at=clock(60), due=clock(65), trouble="no").result()
        ledger.replies.take_in(router, reply("K3"), mail_from=None, at=clock(60))

        (early,) = claim(ledger, clock(0))
        ledger.replies.mark_delivered_soon(early.key, at=clock(0)).result()

        assert "K3" == early.reference
        assert ["K1", "K2"] == [claimed.reference for claimed in claim(ledger, clock(65), owner="b")]

    def test_characters_that_cannot_be_stored(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Each character of a command's error output that cannot be stored becomes a question mark."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (first,) = claim(ledger, clock())
        ledger.replies.mark_failed_soon(first.key, at=clock(), due=clock(5), trouble="a\0b\udc80c €").result()

        assert ["a?b?c €"] == [stored.trouble for stored in ledger.replies.listed()]

    def test_each_system_has_its_own_replies(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """The worker of one system never gets the replies of another."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        raw = reply("K2", mailbox="ags@htpoort.nl", process_id="DMS.NL")
        ledger.replies.take_in(router, raw, mail_from=None, at=clock())

        assert (["K2"], ["K1"]) == (
            [claimed.reference for claimed in claim(ledger, clock(), system="AGS")],
            [claimed.reference for claimed in claim(ledger, clock(), system="DMS")],
        )


class TestQuarantine:
    """A message that cannot be routed is kept whole until an operator decides."""

    def test_a_listed_message(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """The list shows reason, problems, mailbox and Subject, and the message can be read."""
        raw = reply("K1", party="NL123456789.99.05")
        ledger.replies.take_in(router, raw, mail_from=None, at=clock())
        (held,) = ledger.quarantine.listed()

        assert ("unknown-addressee", "dms@htpoort.nl", "[V=DMS4.NL][A=NL123456789.99.05][K=K1][S=0]", raw) == (
            held.reason,
            held.mailbox,
            held.subject,
            ledger.quarantine.message(held.key),
        )
        assert ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.99.05][K=K1][S=0]") == (
            held.from_text,
            held.subject_text,
        )
        assert (1, len(raw), QuarantineState.HELD) == (len(held.problems), held.octets, held.state)
        assert held == ledger.quarantine.get(held.key)

    def test_never_all_in_memory(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """Messages are read one at a time: a sender may fill the quarantine with large ones."""
        for number in range(20):
            ledger.replies.take_in(router, b"junk %d" % number + b"x" * 1_000_000, mail_from=None, at=clock())
        tracemalloc.start()
        try:
            octets = sum(len(raw) for _, raw in ledger.quarantine.messages())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (True, True) == (octets > 20_000_000, most < 7_000_000)

    def test_a_copy_is_recognised(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """A copy of a message is counted, not listed twice."""
        for minute in range(3):
            ledger.replies.take_in(router, b"junk", mail_from=None, at=clock(minute))

        assert [3] == [held.copies for held in ledger.quarantine.listed()]

    def test_a_released_message(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Released to a system and party, a message is a reply like any other; it can be released once."""
        raw = reply("K1", party="NL123456789")
        key = ledger.replies.take_in(router, raw, mail_from=None, at=clock()).key
        ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), at=clock(1))
        with pytest.raises(InputError) as caught:
            ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), at=clock(2))

        assert [(raw, PARTY)] == [(claimed.raw, claimed.party) for claimed in claim(ledger, clock(2))]
        assert ["ledger.not-held"] == [problem.code for problem in caught.value.problems]
        assert ([], QuarantineState.RELEASED) == (list(ledger.quarantine.listed()), ledger.quarantine.get(key).state)

    def test_a_discarded_message_stays_readable(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """A discarded message leaves the list, not the ledger."""
        key = ledger.replies.take_in(router, b"junk", mail_from=None, at=clock()).key
        ledger.quarantine.discard(key, at=clock(1), reason="advertisement")

        assert ([], b"junk") == (list(ledger.quarantine.listed()), ledger.quarantine.message(key))
        assert [QuarantineState.DISCARDED] == [held.state for held in ledger.quarantine.listed(None)]

    def test_an_unknown_number(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """The error for an unknown number lists the numbers that exist."""
        key = ledger.replies.take_in(router, b"junk", mail_from=None, at=clock()).key
        for order in (
            lambda: ledger.quarantine.get(99),
            lambda: ledger.quarantine.discard(99, at=clock(), reason="not ours"),
        ):
            with pytest.raises(UnknownError) as caught:
                order()
            assert ("99", (str(key),)) == (caught.value.key, caught.value.known)


class TestFetched:
    """The ledger records which mails of a POP3 mailbox it has in the same transaction that stores them."""

    def test_a_uidl_is_stored_with_its_mail(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A UIDL is known for its own account until it is forgotten."""
        for uidl in ("u1", "u2"):
            ledger.replies.take_in_soon(
                router, reply(uidl), mail_from=None, at=clock(), account="edi@pop.example:995", uidl=uidl
            ).result()
        before = ledger.fetched.known("edi@pop.example:995")
        ledger.fetched.forget("edi@pop.example:995", ["u1"])

        assert ({"u1", "u2"}, {"u2"}, frozenset()) == (
            before,
            ledger.fetched.known("edi@pop.example:995"),
            ledger.fetched.known("other@pop.example:995"),
        )

    def test_two_mails_with_one_uidl(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A known UIDL may be stored again, because two mails may share one; both mails are stored."""
        for body in ("one", "two"):
            ledger.replies.take_in_soon(
                router, reply("K1", body=body), mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
            ).result()

        assert ({"u1"}, 2) == (ledger.fetched.known("edi@pop.example:995"), len(list(ledger.replies.listed())))

    @pytest.mark.parametrize("stray", [False, True])
    def test_a_mail_fetched_again_is_not_a_copy(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, *, stray: bool
    ) -> None:
        """The same octets under a known UIDL are the stored mail; once the UIDL is forgotten, they are a copy."""
        raw = b"Subject: no envelope\r\n\r\nbody\r\n" if stray else reply("K1")

        def fetched() -> tuple[bool, list[int]]:
            stored = ledger.replies.take_in_soon(
                router, raw, mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
            ).result()
            kept = ledger.quarantine.listed() if stray else ledger.replies.listed()
            return stored.repeated, [each.copies for each in kept]

        first, again = fetched(), fetched()
        ledger.fetched.forget("edi@pop.example:995", ["u1"])

        assert ((False, [1]), (True, [1]), (True, [2])) == (first, again, fetched())

    def test_a_mail_that_was_not_stored(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """If storing fails, the UIDL is not known, so that the mail is not deleted."""

        def refuse(_reference: str) -> None:
            message = "the records cannot be read"
            raise ConnectionError(message)

        broken = attrs.evolve(router, parties=[PARTY], sent=refuse)
        future = ledger.replies.take_in_soon(
            broken, reply("K1"), mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
        )

        assert future.exception() is not None
        assert (frozenset(), []) == (ledger.fetched.known("edi@pop.example:995"), list(ledger.replies.listed()))


def test_a_released_message_answers_its_exchange(ledger: Ledger, router: Router, clock: Clock, *, sent: Send) -> None:
    """A message released to a process counts as the reply to its exchange."""
    sent("K1", at=clock())
    key = ledger.replies.take_in(router, b"Subject: no envelope\r\n\r\nbody\r\n", mail_from=None, at=clock()).key
    ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), reference="K1", at=clock(1))

    assert State.ANSWERED == ledger.story("K1")[0].exchange.state


def test_a_message_released_to_another_system_answers_nothing(
    ledger: Ledger, router: Router, clock: Clock, declaration: Make
) -> None:
    """A message released to DMS does not answer a K that went to AGS."""
    ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
    key = ledger.replies.take_in(router, b"Subject: no envelope\r\n\r\nbody\r\n", mail_from=None, at=clock()).key
    party = PartyId.parse(PARTY)
    with pytest.raises(InputError) as caught:
        ledger.quarantine.release(key, system=DMS, party=party, reference="K1", at=clock(1))
    ledger.quarantine.release(
        key,
        system=DMS,
        party=party,
        reference="K1",
        despite=[Objection.OTHER_SYSTEM],
        reason="confirmed by telephone",
        at=clock(1),
    )

    assert ["release.other-system"] == [problem.code for problem in caught.value.problems]
    assert (State.QUEUED, [None]) == (
        ledger.story("K1")[0].exchange.state,
        [reply.exchange for reply in ledger.replies.listed()],
    )
