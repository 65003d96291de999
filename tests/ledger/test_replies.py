"""Replies and the quarantine in the ledger: stored whole, recognised when repeated, delivered until that succeeds."""

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
    """Take up the replies of one system."""
    return ledger.replies.claim_soon(system, owner=owner, most=10, at=at, lease=LEASE).result()


class TestTakeIn:
    """What was acknowledged is stored as it came, with where it belongs."""

    def test_a_router_with_the_ledgers_own_look_up(
        self, ledger: Ledger, clock: Clock, sent: Send, reply: Write
    ) -> None:
        """A router that looks K up in the ledger by itself finds the same as the ledger does."""
        sent("K1", at=clock())
        router = Router(parties=[PARTY], sent=ledger.sent)
        raws = [reply("K1"), reply("K2")]
        stored = [ledger.replies.take_in(router, raw, mail_from=None, at=clock(1)).routing for raw in raws]

        assert [Correlation.MATCHED, Correlation.UNKNOWN_REFERENCE] == [
            found.correlation for found in stored if isinstance(found, Routed)
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

    def test_a_copy_is_recognised(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """The same body for the same K is one reply, however it travelled; that it came again is recorded."""
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
    def test_something_else_under_one_k_is_a_further_reply(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, other: dict[str, str]
    ) -> None:
        """Other content, another party or another system is no copy."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        further = ledger.replies.take_in(router, reply("K1", **other), mail_from=None, at=clock())

        assert (False, 2) == (further.repeated, len(list(ledger.replies.listed())))

    def test_an_unknown_k_is_stored_and_delivered(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """A reply whose K was not sent belongs to its process all the same, and is marked."""
        ledger.replies.take_in(router, reply("K9"), mail_from=None, at=clock())
        (claimed,) = claim(ledger, clock())

        assert (None, "unknown-reference") == (claimed.exchange, claimed.correlation)

    def test_the_other_system_is_kept_apart(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """AGS answering a K that went to DMS is in quarantine, and answers nothing."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        raw = reply("K1", mailbox="ags@htpoort.nl", process_id="DMS.NL")
        stored = ledger.replies.take_in(router, raw, mail_from=None, at=clock())

        assert isinstance(stored.routing, Quarantined)
        assert (Reason.OTHER_SYSTEM, State.QUEUED) == (stored.routing.reason, ledger.story("K1")[0].exchange.state)

    def test_a_queued_declaration_is_known_at_once(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """What was handed over just before counts for the reply that is handed over just after."""
        ledger.exchanges.queue_soon(declaration("K1"), at=clock())
        stored = ledger.replies.take_in_soon(router, reply("K1"), mail_from=None, at=clock()).result()

        # Known, and known as not sent; without its exchange it would be an unknown reference.
        assert isinstance(stored.routing, Routed)
        assert "not-sent" == stored.routing.correlation.value


class TestDelivery:
    """A reply is delivered at least once, and marked only afterwards."""

    def test_until_it_is_marked(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A reply that was delivered does not come again; it keeps its number all the time."""
        stored = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.replies.mark_delivered_soon(claimed.key, at=clock(1)).result()
        (kept,) = ledger.replies.listed()

        assert ([], stored.key, clock(1)) == (claim(ledger, clock(9)), claimed.key, kept.delivered)

    def test_a_worker_that_dies_loses_nothing(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Nobody else gets a reply while its worker may live, and everybody after its lease."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        claim(ledger, clock(), owner="a")

        assert [] == claim(ledger, clock(1), owner="b")
        assert ["K1"] == [one.reference for one in claim(ledger, clock(3), owner="b")]

    def test_a_renewed_lease_holds(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A worker that lives keeps what it delivers; what it does not know that it holds, it does not keep."""
        for reference in ("K1", "K2"):
            ledger.replies.take_in(router, reply(reference), mail_from=None, at=clock())
        first, _second = claim(ledger, clock(), owner="a")
        renewed = ledger.replies.renew_soon([first.key], owner="a", until=clock(9)).result()

        assert (1, ["K2"]) == (renewed, [one.reference for one in claim(ledger, clock(3), owner="b")])

    @pytest.mark.parametrize(("owner", "free"), [("a", True), ("b", False), (None, True)])
    def test_what_a_worker_lets_go_is_free(  # noqa: PLR0913 - four fixtures and a table
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, *, owner: str | None, free: bool
    ) -> None:
        """One worker's replies, or everybody's, are free at once; another's are not touched."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        claim(ledger, clock(), owner="a")
        ledger.replies.drop_claims_soon(owner=owner).result()

        assert free == bool(claim(ledger, clock(), owner="c"))

    def test_a_failure_waits_for_its_time(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A delivery that failed comes again when its time comes, and the trouble is there to be read."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (first,) = claim(ledger, clock())
        ledger.replies.mark_failed_soon(first.key, at=clock(), due=clock(5), trouble="disk full").result()
        early = claim(ledger, clock(4))
        (second,) = claim(ledger, clock(5))

        assert ([], "disk full", (1, 2)) == (early, second.trouble, (first.attempts, second.attempts))

    def test_a_clock_that_is_set_back(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """What came is delivered at once, whenever that was; only what failed waits for its time."""
        for reference in ("K1", "K2"):
            ledger.replies.take_in(router, reply(reference), mail_from=None, at=clock(60))
        for one in claim(ledger, clock(60)):
            ledger.replies.mark_failed_soon(one.key, at=clock(60), due=clock(65), trouble="no").result()
        ledger.replies.take_in(router, reply("K3"), mail_from=None, at=clock(60))

        (early,) = claim(ledger, clock(0))
        ledger.replies.mark_delivered_soon(early.key, at=clock(0)).result()

        assert "K3" == early.reference
        assert ["K1", "K2"] == [one.reference for one in claim(ledger, clock(65), owner="b")]

    def test_a_text_that_no_database_takes(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """What a command wrote when it failed is for people: what cannot be stored of it is a question mark."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (first,) = claim(ledger, clock())
        ledger.replies.mark_failed_soon(first.key, at=clock(), due=clock(5), trouble="a\0b\udc80c €").result()

        assert ["a?b?c €"] == [one.trouble for one in ledger.replies.listed()]

    def test_systems_are_apart(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """The worker of one system never sees the replies of another."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        raw = reply("K2", mailbox="ags@htpoort.nl", process_id="DMS.NL")
        ledger.replies.take_in(router, raw, mail_from=None, at=clock())

        assert (["K2"], ["K1"]) == (
            [one.reference for one in claim(ledger, clock(), system="AGS")],
            [one.reference for one in claim(ledger, clock(), system="DMS")],
        )


class TestQuarantine:
    """What cannot be routed is kept whole until a person decides."""

    def test_is_listed_with_everything(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """Reason, problems, mailbox, Subject and the message itself are there."""
        raw = reply("K1", party="NL123456789.99.05")
        ledger.replies.take_in(router, raw, mail_from=None, at=clock())
        (held,) = ledger.quarantine.listed()

        assert ("unknown-addressee", "dms@htpoort.nl", "[V=DMS4.NL][A=NL123456789.99.05][K=K1][S=0]", raw) == (
            held.reason,
            held.mailbox,
            held.subject,
            ledger.quarantine.message(held.key),
        )
        assert (1, len(raw), QuarantineState.HELD) == (len(held.problems), held.octets, held.state)
        assert held == ledger.quarantine.get(held.key)

    def test_is_never_all_in_memory(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """Messages are read as they are asked for, one at a time: somebody may fill the quarantine with large ones."""
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
        """The very same message again is counted, not listed twice."""
        for minute in range(3):
            ledger.replies.take_in(router, b"junk", mail_from=None, at=clock(minute))

        assert [3] == [held.copies for held in ledger.quarantine.listed()]

    def test_release_gives_it_to_a_process(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A person names system and party; then the message is a reply like any other, and released once."""
        raw = reply("K1", party="NL123456789")
        key = ledger.replies.take_in(router, raw, mail_from=None, at=clock()).key
        ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), at=clock(1))
        with pytest.raises(InputError) as caught:
            ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), at=clock(2))

        assert [(raw, PARTY)] == [(one.raw, one.party) for one in claim(ledger, clock(2))]
        assert ["ledger.not-held"] == [problem.code for problem in caught.value.problems]
        assert ([], QuarantineState.RELEASED) == (list(ledger.quarantine.listed()), ledger.quarantine.get(key).state)

    def test_discarded_stays_readable(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """A message for nobody leaves the list, not the ledger."""
        key = ledger.replies.take_in(router, b"junk", mail_from=None, at=clock()).key
        ledger.quarantine.discard(key, at=clock(1), reason="advertisement")

        assert ([], b"junk") == (list(ledger.quarantine.listed()), ledger.quarantine.message(key))
        assert [QuarantineState.DISCARDED] == [held.state for held in ledger.quarantine.listed(None)]

    def test_an_unknown_number(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        """A number that is not there is told with those that are."""
        key = ledger.replies.take_in(router, b"junk", mail_from=None, at=clock()).key
        for act in (
            lambda: ledger.quarantine.get(99),
            lambda: ledger.quarantine.discard(99, at=clock(), reason="not ours"),
        ):
            with pytest.raises(UnknownError) as caught:
                act()
            assert ("99", (str(key),)) == (caught.value.key, caught.value.known)


class TestFetched:
    """Which mails of a POP3 mailbox are stored is known in the same moment as they are."""

    def test_is_remembered_with_the_mail(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """UIDLs are known for their own account, until they are forgotten."""
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

    def test_a_mail_that_comes_again_is_no_trouble(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """A UIDL that is known may be stored again: two equal mails may share one."""
        for body in ("one", "two"):
            ledger.replies.take_in_soon(
                router, reply("K1", body=body), mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
            ).result()

        assert ({"u1"}, 2) == (ledger.fetched.known("edi@pop.example:995"), len(list(ledger.replies.listed())))

    @pytest.mark.parametrize("stray", [False, True])
    def test_a_mail_that_is_fetched_again_is_no_copy(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, *, stray: bool
    ) -> None:
        """The same octets under a known UIDL are the mail that is stored; once that is forgotten they are a copy."""
        raw = b"Subject: no envelope\r\n\r\nbody\r\n" if stray else reply("K1")

        def fetched() -> tuple[bool, list[int]]:
            stored = ledger.replies.take_in_soon(
                router, raw, mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
            ).result()
            kept = ledger.quarantine.listed() if stray else ledger.replies.listed()
            return stored.repeated, [one.copies for one in kept]

        first, again = fetched(), fetched()
        ledger.fetched.forget("edi@pop.example:995", ["u1"])

        assert ((False, [1]), (True, [1]), (True, [2])) == (first, again, fetched())

    def test_a_mail_that_was_not_stored_is_not_known(
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write
    ) -> None:
        """Where storing fails, nothing says that the mail may be deleted."""

        def refuse(_reference: str) -> None:
            message = "the record is away"
            raise ConnectionError(message)

        broken = attrs.evolve(router, parties=[PARTY], sent=refuse)
        future = ledger.replies.take_in_soon(
            broken, reply("K1"), mail_from=None, at=clock(), account="edi@pop.example:995", uidl="u1"
        )

        assert future.exception() is not None
        assert (frozenset(), []) == (ledger.fetched.known("edi@pop.example:995"), list(ledger.replies.listed()))


def test_a_released_message_answers_its_exchange(ledger: Ledger, router: Router, clock: Clock, *, sent: Send) -> None:
    """What a person gives to a process counts as that exchange's reply."""
    sent("K1", at=clock())
    key = ledger.replies.take_in(router, b"Subject: no envelope\r\n\r\nbody\r\n", mail_from=None, at=clock()).key
    ledger.quarantine.release(key, system=DMS, party=PartyId.parse(PARTY), reference="K1", at=clock(1))

    assert State.ANSWERED == ledger.story("K1")[0].exchange.state


def test_a_message_released_to_another_system_answers_nothing(
    ledger: Ledger, router: Router, clock: Clock, declaration: Make
) -> None:
    """A K that went to AGS is not answered by what a person gives to DMS."""
    ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
    key = ledger.replies.take_in(router, b"Subject: no envelope\r\n\r\nbody\r\n", mail_from=None, at=clock()).key
    party = PartyId.parse(PARTY)
    with pytest.raises(InputError) as caught:
        ledger.quarantine.release(key, system=DMS, party=party, reference="K1", at=clock(1))
    ledger.quarantine.release_despite(
        key, system=DMS, party=party, reference="K1", reason="a person knows", at=clock(1)
    )

    assert ["release.other-system"] == [problem.code for problem in caught.value.problems]
    assert (State.QUEUED, [None]) == (
        ledger.story("K1")[0].exchange.state,
        [reply.exchange for reply in ledger.replies.listed()],
    )
