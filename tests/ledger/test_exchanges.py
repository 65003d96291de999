"""Exchanges in the ledger: queued once, claimed by one, settled by the table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from htpoort import AGS, DMS, InputError, Outcome, State, Submission, UnknownError, build
from htpoort.ledger import Claimed, Exchange, Exchanges, Fetched, Ledger, Quarantine, Replies

PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]


def claim(
    ledger: Ledger, at: datetime, *, owner: str = "a", most: int = 10, per_hour: int | None = None
) -> list[Claimed]:
    """Take up what is due for both systems."""
    return ledger.exchanges.claim_soon(
        ("AGS", "DMS"), owner=owner, most=most, at=at, lease=LEASE, per_hour=per_hour
    ).result()


def state(ledger: Ledger, reference: str = "K1", party: str = PARTY) -> State:
    """Look up where an exchange stands."""
    found = ledger.exchanges.find(reference, party=party)
    assert found is not None
    return found.state


def rebuilt(**changed: Any) -> Submission:
    """Build the declaration K1 an hour later, perhaps with something changed."""
    values = {
        "system": DMS,
        "party": PARTY,
        "mailbox": "edi@forwarder.example",
        "reference": "K1",
        "payload": b"<a/>",
        "date": datetime(2026, 11, 2, 13, 0, 0, tzinfo=UTC),
        "message_id": "<again@forwarder.example>",
        **changed,
    }
    return build(**values)


class TestQueue:
    """A declaration that was queued is on disk under a K that is its own for ever."""

    def test_is_there_with_its_message(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What was queued can be looked up and claimed, its bytes untouched."""
        submission = declaration("K1")
        queued = ledger.exchanges.queue(submission, at=clock(), business_reference="LRN1")
        (claimed,) = claim(ledger, clock())

        assert ("DMS", PARTY, "K1", "LRN1", State.QUEUED, 0) == (
            queued.system,
            queued.party,
            queued.reference,
            queued.business_reference,
            queued.state,
            queued.attempts,
        )
        assert submission.data == claimed.raw
        assert ("edi@forwarder.example", "dms@htpoort.nl") == (claimed.mail_from, claimed.rcpt_to)

    def test_the_same_message_again_is_the_same_exchange(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A caller that was interrupted may queue the very same message again; it is sent once."""
        first = ledger.exchanges.queue(declaration("K1"), at=clock())
        again = ledger.exchanges.queue(declaration("K1"), at=clock(5))

        assert first == again
        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(5))]

    @pytest.mark.parametrize(
        "anew",
        [
            {},
            {"layout": "attachment"},
            {"layout": "attachment", "file_name": "other.xml", "content_type": "text/xml"},
            {"payload": b"<a/>\r\n"},
            {"mailbox": "EDI@forwarder.example"},
        ],
    )
    def test_the_same_declaration_built_anew(
        self, ledger: Ledger, clock: Clock, declaration: Make, anew: dict[str, Any]
    ) -> None:
        """A caller that repeats itself later has another Date and Message-ID; the first message is the one sent."""
        first = ledger.exchanges.queue(declaration("K1"), at=clock())
        again = ledger.exchanges.queue(rebuilt(**anew), at=clock(5))
        (claimed,) = claim(ledger, clock(5))

        assert first == again
        assert (False, True) == (first.repeated, again.repeated)
        assert declaration("K1").data == claimed.raw

    @pytest.mark.parametrize("encoding", ["7bit", "base64"])
    def test_the_same_declaration_in_another_encoding(
        self, ledger: Ledger, clock: Clock, declaration: Make, encoding: str
    ) -> None:
        """So may the transfer encoding be another one, as after an upgrade; what it carries is compared."""
        body = {"7bit": b"<a/> \r\n", "base64": b"PGEvPiA=\r\n"}[encoding]
        made = declaration("K1", payload=b"<a/> ")
        head = made.data.partition(b"Content-Transfer-Encoding: ")[0]
        earlier = head + b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + body
        ledger.exchanges.queue(attrs.evolve(made, data=earlier), at=clock())

        assert ledger.exchanges.queue(rebuilt(payload=b"<a/> "), at=clock(5)).repeated

    @pytest.mark.parametrize(
        "other", [{"payload": b"<b/>"}, {"mailbox": "other@forwarder.example"}, {"system": AGS}, {"s": "1"}]
    )
    def test_another_declaration_built_anew(
        self, ledger: Ledger, clock: Clock, declaration: Make, other: dict[str, Any]
    ) -> None:
        """What decides where it or its replies go, or what it says, makes it another one; the K is not for that."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(rebuilt(**other), at=clock(5))

    def test_what_was_pruned_is_not_compared(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Where the message is gone nothing says that it is the same: refused, with the first named."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.close("K1", at=clock())
        ledger.prune(before=clock(1), at=clock(2), days=0)
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(declaration("K1"), at=clock(5))

    def test_a_k_is_used_once(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Another message under the same K of the same party is refused, whatever the case of the party's letters."""
        ledger.exchanges.queue(declaration("K1"), at=clock())

        for other in (declaration("K1", payload=b"<b/>"), declaration("K1", party="nl123456789.02.05")):
            with pytest.raises(InputError) as caught:
                ledger.exchanges.queue(other, at=clock())
            assert ["ledger.reference-used"] == [problem.code for problem in caught.value.problems]

    def test_who_repeats_himself_is_not_led_to_another_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A declaration that was built anew after an interruption: where the first stands is told, and what to do."""
        ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
        (claimed,) = claim(ledger, clock(1))
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock(2)).result()
        with pytest.raises(InputError) as caught:
            ledger.exchanges.queue(declaration("K1", payload=b"<a> </a>"), at=clock(3))

        told = caught.value.problems[0].message
        assert told.startswith(f"{PARTY} queued K1 before, for AGS at 2026-11-02T12:00:00+00:00; it is accepted now")
        assert "there is nothing to queue; if it is another one, it needs a new K." in told

    @pytest.mark.parametrize("reference", ["", "LRN\0", "LRN\n1", "LRN\udc80"])
    def test_a_reference_of_ones_own_that_cannot_be_kept(
        self, ledger: Ledger, clock: Clock, declaration: Make, reference: str
    ) -> None:
        """What is compared later is not changed, and what could not be stored or shown is refused at once."""
        with pytest.raises(InputError) as caught:
            ledger.exchanges.queue(declaration("K1"), at=clock(), business_reference=reference)

        assert ["input.value"] == [problem.code for problem in caught.value.problems]

    def test_two_parties_may_use_one_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """K is unique for each party, not for all."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K1", party="NL123456789.03.05"), at=clock())

        assert [PARTY, "NL123456789.03.05"] == sorted(record.party for record in ledger.sent("K1"))

    def test_a_bad_one_in_a_batch_spoils_no_other(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Of many that are handed over together, the one that cannot be queued fails alone."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        gate = ledger.exchanges.claim_soon(("DMS",), owner="a", most=0, at=clock(), lease=LEASE)
        futures = [
            ledger.exchanges.queue_soon(declaration(reference, payload=b"<c/>"), at=clock())
            for reference in ("K2", "K1", "K3")
        ]
        gate.result()

        assert [None, InputError, None] == [
            type(error) if (error := future.exception()) else None for future in futures
        ]
        assert (State.QUEUED, State.QUEUED) == (state(ledger, "K2"), state(ledger, "K3"))

    def test_can_be_held(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What is queued in a service window waits for its end."""
        ledger.exchanges.queue(declaration("K1"), at=clock(), held=True)

        assert [] == claim(ledger, clock())
        assert 1 == ledger.exchanges.let_go(["DMS"], at=clock(1))
        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(1))]


class TestClaim:
    """What is due is taken up by one worker, oldest first."""

    def test_nobody_else_gets_it(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A second worker finds nothing."""
        ledger.exchanges.queue(declaration("K1"), at=clock())

        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(), owner="a")]
        assert [] == claim(ledger, clock(), owner="b")

    def test_oldest_first_and_no_more_than_asked(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Two of three come, in the order in which they were queued."""
        for minute, reference in enumerate(("K3", "K1", "K2")):
            ledger.exchanges.queue(declaration(reference), at=clock(minute))

        assert ["K3", "K1"] == [claimed.reference for claimed in claim(ledger, clock(9), most=2)]

    def test_only_for_the_systems_asked(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker of AGS leaves what is for DMS."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K2", system=AGS), at=clock())
        claimed = ledger.exchanges.claim_soon(("AGS",), owner="a", most=9, at=clock(), lease=LEASE).result()

        assert ["K2"] == [one.reference for one in claimed]

    def test_a_rate_holds_over_a_restart(self, url: str, clock: Clock, declaration: Make) -> None:
        """Attempts of the last hour count towards the limit, also those of an earlier process."""
        with Ledger.open(url) as first:
            for number in range(5):
                first.exchanges.queue(declaration(f"K{number}"), at=clock())
            before = len(claim(first, clock(), per_hour=2))
        with Ledger.open(url) as second:
            within, after = claim(second, clock(59), per_hour=2), claim(second, clock(61), per_hour=2)

        assert (2, 0, 2) == (before, len(within), len(after))


class TestReturned:
    """What a server in trouble did not take waits as before: nothing of it was said, so nothing counts."""

    def test_queued_again(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """One that was queued is queued, at once, and its next attempt is the first of its schedule."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        for _ in range(9):
            (claimed,) = claim(ledger, clock())
            assert State.QUEUED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock()).result()

        (claimed,) = claim(ledger, clock())
        assert (10, 1, False) == (claimed.attempt, claimed.counted_attempts, claimed.retried)

    def test_deferred_again(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """One that had been deferred is deferred, and due at once; the attempt before counts, and no other."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock(5)).result()
        for _ in range(3):
            (claimed,) = claim(ledger, clock(6))
            assert State.DEFERRED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock(6)).result()

        (claimed,) = claim(ledger, clock(6))
        assert (5, 2, True) == (claimed.attempt, claimed.counted_attempts, claimed.retried)

    def test_it_holds_up_no_other(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """One that a server never takes, and that is charged to the server, lets all that waits go first."""
        for reference in ("K1", "K2", "K3"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        (claimed,) = claim(ledger, clock(1), most=1)
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(1), due=clock(2)).result()
        taken: list[str] = []
        for minute in (3, 4, 5, 6):
            (claimed,) = claim(ledger, clock(minute), most=1)
            taken.append(claimed.reference)
            ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock(minute)).result()

        assert ["K2", "K3", "K1", "K2"] == taken

    def test_it_uses_up_no_rate(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What was returned does not count for the attempts an hour."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        for _ in range(3):
            (claimed,) = claim(ledger, clock(), per_hour=1)
            ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock()).result()

        assert 1 == len(claim(ledger, clock(), per_hour=1))
        assert [] == claim(ledger, clock(), per_hour=1)

    def test_said_twice(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A return that is recorded again, after a lost answer of the database, takes the next claim from nobody."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(first, Outcome.RETURNED, at=clock()).result()
        claim(ledger, clock(), owner="b")
        ledger.exchanges.settle_soon(first, Outcome.RETURNED, at=clock()).result()

        assert (State.SENDING, []) == (state(ledger), claim(ledger, clock()))

    def test_the_late_word_of_a_worker(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker that was thought dead knows that nothing was sent, so it is unknown no more."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.expire_soon(at=clock(60)).result()
        assert State.UNKNOWN == state(ledger)

        assert State.QUEUED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock(61)).result()


class TestSettle:
    """The outcome of an attempt is what the table says."""

    @pytest.mark.parametrize(
        ("outcome", "after"),
        [
            (Outcome.ACCEPTED, State.ACCEPTED),
            (Outcome.REFUSED, State.REFUSED),
            (Outcome.UNKNOWN, State.UNKNOWN),
            (Outcome.DEFERRED, State.FAILED),
        ],
    )
    def test_moves_by_the_table(
        self, ledger: Ledger, clock: Clock, declaration: Make, outcome: Outcome, after: State
    ) -> None:
        """Each outcome has its state; deferred without another time has failed."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())

        assert after == ledger.exchanges.settle_soon(claimed, outcome, at=clock(1)).result()
        assert after == state(ledger)

    def test_deferred_waits_for_its_time(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What was deferred is taken up again when its time comes, with the same K, as the next attempt."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(), due=clock(5)).result()

        assert [] == claim(ledger, clock(4))
        (second,) = claim(ledger, clock(5))
        assert ("K1", 1, 2) == (second.reference, first.attempt, second.attempt)

    def test_a_clock_that_is_set_back(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What is queued goes out at once, whenever it was queued; only what was deferred waits for its time."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock(60))
        first, _ = claim(ledger, clock(60))
        ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(60), due=clock(65)).result()
        ledger.exchanges.queue(declaration("K3"), at=clock(60))

        assert ["K3"] == [one.reference for one in claim(ledger, clock(0))]
        assert ["K1"] == [one.reference for one in claim(ledger, clock(65))]

    def test_a_late_word_of_an_old_attempt_starts_nothing(
        self, ledger: Ledger, clock: Clock, declaration: Make
    ) -> None:
        """While a second attempt is under way, the failure of the first one, told late, does not free the message."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.expire_soon(at=clock(3)).result()
        ledger.exchanges.resend("K1", at=clock(3))
        claim(ledger, clock(3))

        after = ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(4), due=clock(4)).result()

        assert State.SENDING == after
        assert [] == claim(ledger, clock(9))

    def test_a_late_word_that_it_was_taken_counts(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker that was thought dead and says that the gateway has the message is believed."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.expire_soon(at=clock(3)).result()
        ledger.exchanges.resend("K1", at=clock(3))
        ledger.exchanges.settle_soon(first, Outcome.ACCEPTED, at=clock(4)).result()

        assert [] == claim(ledger, clock(9))
        assert State.ACCEPTED == state(ledger)

    @pytest.mark.parametrize("outcome", list(Outcome))
    @pytest.mark.parametrize("attempt", [0, 1, 3])
    def test_no_outcome_without_an_attempt(
        self, ledger: Ledger, clock: Clock, declaration: Make, *, outcome: Outcome, attempt: int
    ) -> None:
        """What was never taken up is not settled: a word about an attempt that was not begun is refused."""
        queued = ledger.exchanges.queue(declaration("K1"), at=clock())
        before = 0
        if attempt > 1:
            (claimed,) = claim(ledger, clock())
            before = claimed.attempt
            ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock()).result()
        made_up = Claimed(
            key=queued.key,
            attempt=attempt,
            counted_attempts=1,
            system="DMS",
            party=PARTY,
            reference="K1",
            mail_from="edi@forwarder.example",
            rcpt_to="dms@htpoort.nl",
            message_id="<K1@forwarder.example>",
            raw=b"",
        )
        with pytest.raises(InputError) as caught:
            ledger.exchanges.settle_soon(made_up, outcome, at=clock(1)).result()

        assert ["ledger.no-attempt"] == [problem.code for problem in caught.value.problems]
        assert (State.DEFERRED if before else State.QUEUED) == state(ledger)

    def test_a_text_that_no_database_takes(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What a server says is for people: what cannot be stored of it is a question mark."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock(1), detail="250 a\0b\udc80c €").result()

        assert "250 a?b?c €" == ledger.story("K1")[0].entries[-1].detail


class TestLeases:
    """What a dead worker held may have been sent, so it becomes unknown."""

    def test_a_lease_runs_out(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Before the lease ends nothing happens, after it the exchange is unknown and is not sent by itself."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock())
        early = ledger.exchanges.expire_soon(at=clock(1)).result()
        late = ledger.exchanges.expire_soon(at=clock(3)).result()

        assert ([], ["K1"]) == (early, [lost.reference for lost in late])
        assert State.UNKNOWN == state(ledger)
        assert [] == claim(ledger, clock(99))

    def test_a_worker_that_lives_keeps_it(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A renewed lease holds; one of another worker, or of what is not under way, is not renewed."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        first, second = claim(ledger, clock(), owner="a")
        renewed = ledger.exchanges.renew_soon([first.key], owner="a", until=clock(9)).result()
        foreign = ledger.exchanges.renew_soon([second.key], owner="b", until=clock(9)).result()
        lost = ledger.exchanges.expire_soon(at=clock(3)).result()

        assert (1, 0, ["K2"]) == (renewed, foreign, [one.reference for one in lost])

    @pytest.mark.parametrize(("column", "me"), [("owner", None), ("lease", None), ("owner", "me"), ("lease", "me")])
    def test_sending_without_a_worker(
        self, ledger: Ledger, clock: Clock, declaration: Make, *, column: str, me: str | None
    ) -> None:
        """What is sending without an owner or a lease is nobody's: it is found at once, and is unknown."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock(), owner="me")
        spoil = f"UPDATE htpoort_exchanges SET {column} = NULL"  # noqa: S608 - a name of this file
        ledger.write_soon(lambda connection: connection.exec_driver_sql(spoil) and None).result()
        lost = ledger.exchanges.expire_soon(at=clock(), except_owner=me).result()

        assert (["K1"], State.UNKNOWN) == ([one.reference for one in lost], state(ledger))

    def test_alone_takes_back_at_once(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Where only one worker can be alive, whatever others held is theirs no more; its own stays."""
        for owner, reference in (("dead", "K1"), ("me", "K2")):
            ledger.exchanges.queue(declaration(reference), at=clock())
            claim(ledger, clock(), owner=owner)
        lost = ledger.exchanges.expire_soon(at=clock(), except_owner="me").result()

        assert ["K1"] == [one.reference for one in lost]


class TestOrder:
    """A person settles what no program can."""

    @pytest.mark.parametrize(
        ("order", "event", "after"),
        [
            (Exchanges.resolve_as_sent, "resolved-as-sent", State.ACCEPTED),
            (Exchanges.resend, "resend-ordered", State.QUEUED),
            (Exchanges.close, "closed", State.CLOSED),
        ],
    )
    def test_settles_the_unknown(  # noqa: PLR0913 - three fixtures and a table
        self,
        ledger: Ledger,
        clock: Clock,
        declaration: Make,
        *,
        order: Callable[..., Exchange],
        event: str,
        after: State,
    ) -> None:
        """Each order has its state, and is logged."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock()).result()

        assert after == order(ledger.exchanges, "K1", at=clock(1)).state
        assert (event, after.value) == attrs.astuple(ledger.story("K1")[0].entries[-1])[1:3]

    def test_resent_with_the_same_k_at_once(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What is ordered to be sent again goes out with the same bytes, whatever its retry time was."""
        submission = declaration("K1")
        ledger.exchanges.queue(submission, at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock(500)).result()
        ledger.exchanges.resend("K1", at=clock(1))

        assert [submission.data] == [again.raw for again in claim(ledger, clock(1))]

    def test_resent_from_the_start_of_the_schedule(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Attempts go on being numbered after an order, but those before it are not counted as tries."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K2"), at=clock())
        counted: list[list[tuple[str, int, int]]] = []
        for minute in range(4):
            if minute == 2:
                ledger.exchanges.resend("K1", at=clock(minute))
            claimed = claim(ledger, clock(minute))
            counted.append(sorted((one.reference, one.attempt, one.counted_attempts) for one in claimed))
            for one in claimed:
                ledger.exchanges.settle_soon(one, Outcome.DEFERRED, at=clock(minute), due=clock(minute + 1)).result()

        assert [
            [("K1", 1, 1), ("K2", 1, 1)],
            [("K1", 2, 2), ("K2", 2, 2)],
            [("K1", 3, 1), ("K2", 3, 3)],
            [("K1", 4, 2), ("K2", 4, 4)],
        ] == counted

    def test_a_state_may_forbid_it(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """What was accepted cannot be ordered again, and nothing of the order is logged."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock()).result()
        with pytest.raises(InputError):
            ledger.exchanges.resend("K1", at=clock(1))

        assert (State.ACCEPTED, "accepted") == (state(ledger), ledger.story("K1")[0].entries[-1].event)

    def test_an_unknown_k(self, ledger: Ledger, clock: Clock) -> None:
        """A K that nobody used is told."""
        with pytest.raises(UnknownError):
            ledger.exchanges.close("K9", at=clock())

    def test_two_parties_with_one_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Where two parties used a K, the order must say which."""
        for party in (PARTY, "NL123456789.03.05"):
            ledger.exchanges.queue(declaration("K1", party=party), at=clock())
        with pytest.raises(InputError) as caught:
            ledger.exchanges.close("K1", at=clock())
        closed = ledger.exchanges.close("K1", at=clock(), party="NL123456789.03.05")

        assert ["ledger.which-party"] == [problem.code for problem in caught.value.problems]
        assert ("NL123456789.03.05", State.QUEUED) == (closed.party, state(ledger))


def test_a_window_holds_what_waits_and_lets_it_go(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """A service window of one system holds what waits for it, and nothing else."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.exchanges.queue(declaration("K2", system=AGS), at=clock())
    held = ledger.exchanges.hold(["DMS"], at=clock(1))
    during = [claimed.reference for claimed in claim(ledger, clock(1))]
    ledger.exchanges.let_go(["DMS"], at=clock(2))

    assert (1, ["K2"]) == (held, during)
    assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(2))]


def test_no_public_method_takes_an_event() -> None:
    """What happens to an exchange is ordered by name: the alphabet of the table is no argument of the ledger."""
    taken = {
        f"{room.__name__}.{name}"
        for room in (Exchanges, Fetched, Ledger, Quarantine, Replies)
        for name, method in inspect.getmembers(room, inspect.isfunction)
        if not name.startswith("_") and "Event" in str(inspect.signature(method))
    }

    assert set() == taken


def test_lists_exchanges(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """All, or those in some states, oldest first."""
    for reference in ("K2", "K1"):
        ledger.exchanges.queue(declaration(reference), at=clock())
    claim(ledger, clock(), most=1)

    assert ["K2", "K1"] == [one.reference for one in ledger.exchanges.listed()]
    assert ["K1"] == [one.reference for one in ledger.exchanges.listed(State.QUEUED, State.HELD)]


class TestUnanswered:
    """What Customs has or may have, and did not reply to: accepted and unknown, and nothing else."""

    @pytest.fixture
    def mixed(self, ledger: Ledger, clock: Clock, declaration: Make) -> Ledger:
        """Give an exchange in each state that an attempt can lead to, and one that waits."""
        outcomes = (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.DEFERRED)
        for number, outcome in enumerate(outcomes, 1):
            ledger.exchanges.queue(declaration(f"K{number}", system=AGS if number == 2 else DMS), at=clock())
            (claimed,) = claim(ledger, clock(number))
            ledger.exchanges.settle(claimed, outcome, at=clock(number), due=clock(99) if number == 4 else None)
        ledger.exchanges.queue(declaration("K5"), at=clock())
        return ledger

    def test_which(self, mixed: Ledger) -> None:
        """Accepted and unknown, oldest first."""
        assert [("K1", State.ACCEPTED), ("K2", State.UNKNOWN)] == [
            (one.reference, one.state) for one in mixed.exchanges.unanswered()
        ]

    def test_narrowed(self, mixed: Ledger, clock: Clock) -> None:
        """By the moment since which they wait, by system, by party in any case."""
        found = [
            mixed.exchanges.unanswered(before=clock(2)),
            mixed.exchanges.unanswered(system="AGS"),
            mixed.exchanges.unanswered(party=PARTY.lower()),
            mixed.exchanges.unanswered(party="NL123456789.03.05"),
        ]

        assert [["K1"], ["K2"], ["K1", "K2"], []] == [[one.reference for one in each] for each in found]

    def test_needing_attention(self, mixed: Ledger) -> None:
        """What goes no further by itself, over all systems, those first that were queued first."""
        assert (["K2", "K3"], ["K2"]) == (
            [one.reference for one in mixed.exchanges.needing_attention(most=9)],
            [one.reference for one in mixed.exchanges.needing_attention(most=1)],
        )
