"""Exchanges in the ledger: queued once, claimed by one worker, settled by the state table."""

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
    """Claim the declarations that are due for both systems."""
    return ledger.exchanges.claim_soon(
        ("AGS", "DMS"), owner=owner, most=most, at=at, lease=LEASE, per_hour=per_hour
    ).result()


def state(ledger: Ledger, reference: str = "K1", party: str = PARTY) -> State:
    """Look up the state of an exchange."""
    exchange = ledger.exchanges.find(reference, party=party)
    assert exchange is not None
    return exchange.state


def rebuilt(**changed: Any) -> Submission:
    """Build the declaration K1 an hour later, with the given changes."""
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
    """A queued declaration is on disk, under a K that belongs to it permanently."""

    def test_keeps_the_message(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A queued declaration can be looked up and claimed with its octets unchanged."""
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
        """A caller that repeats itself later builds another Date and Message-ID; the first message is the one sent."""
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
        """The transfer encoding may differ too, as after an upgrade; the decoded content is compared."""
        body = {"7bit": b"<a/> \r\n", "base64": b"PGEvPiA=\r\n"}[encoding]
        submission = declaration("K1", payload=b"<a/> ")
        head = submission.data.partition(b"Content-Transfer-Encoding: ")[0]
        earlier = head + b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + body
        ledger.exchanges.queue(attrs.evolve(submission, data=earlier), at=clock())

        assert ledger.exchanges.queue(rebuilt(payload=b"<a/> "), at=clock(5)).repeated

    @pytest.mark.parametrize(
        "lines",
        [
            # Two parts: a program may take either.
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n<a/>\r\n--b\r\n\r\n<c/>\r\n--b--\r\n",
            # Read as <a/>, but with a problem: other programs may drop the last octets.
            b"Content-Transfer-Encoding: base64\r\n\r\nPGEvPg\r\n",
            # Nothing that is certain.
            b"Content-Transfer-Encoding: base64\r\n\r\n<a/>\r\n",
            b"Content-Type: text/xml\r\nContent-Type: text/plain\r\n\r\n<a/>\r\n",
        ],
        ids=["two parts", "no padding", "not base64", "two types"],
    )
    def test_a_message_that_programs_may_read_differently(
        self, ledger: Ledger, clock: Clock, declaration: Make, lines: bytes
    ) -> None:
        """Only the identical message repeats one whose payload is not certain, though it may carry the same octets."""
        submission = declaration("K1")
        written = attrs.evolve(submission, data=submission.data.partition(b"MIME-Version: ")[0] + lines)
        ledger.exchanges.queue(written, at=clock())

        assert ledger.exchanges.queue(written, at=clock(1)).repeated
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(rebuilt(), at=clock(5))

    def test_another_character_set(self, ledger: Ledger, clock: Clock) -> None:
        """The same octets in another character set are another text; without one declared, they are the same."""
        ledger.exchanges.queue(rebuilt(content_type="text/xml; charset=UTF-8"), at=clock())

        assert ledger.exchanges.queue(rebuilt(content_type="application/xml; charset=utf-8"), at=clock(1)).repeated
        assert ledger.exchanges.queue(rebuilt(content_type="application/xml"), at=clock(1)).repeated
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(rebuilt(content_type="text/xml; charset=iso-8859-1"), at=clock(5))

    @pytest.mark.parametrize(
        "other",
        [
            {"payload": b"<b/>"},
            {"payload": b"<a/>\r\n\r\n"},
            {"payload": b"<a/>\n"},
            {"payload": b" <a/>"},
            {"mailbox": "other@forwarder.example"},
            {"system": AGS},
            {"s": "1"},
        ],
    )
    def test_another_declaration_built_anew(
        self, ledger: Ledger, clock: Clock, declaration: Make, other: dict[str, Any]
    ) -> None:
        """Another content, system, mailbox or S makes it another declaration, which needs a K of its own."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with pytest.raises(InputError, match="queued K1 before"):
            ledger.exchanges.queue(rebuilt(**other), at=clock(5))

    def test_a_pruned_message_is_not_compared(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If the first message is pruned, it cannot be compared: refused, and the error names the first."""
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

    def test_a_repeated_declaration_gets_no_other_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If the declaration was built anew, the error shows the state of the first one and what to do."""
        ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
        (claimed,) = claim(ledger, clock(1))
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock(2)).result()
        with pytest.raises(InputError) as caught:
            ledger.exchanges.queue(declaration("K1", system=AGS, payload=b"<a> </a>"), at=clock(3))

        message = caught.value.problems[0].message
        assert message.startswith(f"{PARTY} queued K1 before, for AGS at 2026-11-02 12:00:00+00:00; it is accepted now")
        assert message.endswith("so nothing was queued; another declaration needs a new K.")

    def test_a_k_that_another_system_has(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """The error says that only the system differs, and whose exchange has the K."""
        ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
        with pytest.raises(InputError) as caught:
            ledger.exchanges.queue(declaration("K1"), at=clock())

        before = f"{PARTY} queued K1 before, for AGS at 2026-11-02 12:00:00+00:00; it is queued now "
        after = "This one is for DMS: a K is used for one system only, so it needs a new K."
        assert f"{before}(see htpoort show K1 --party {PARTY}). {after}" == caught.value.problems[0].message

    @pytest.mark.parametrize("reference", ["", "LRN\0", "LRN\n1", "LRN\udc80"])
    def test_a_business_reference_that_cannot_be_stored(
        self, ledger: Ledger, clock: Clock, declaration: Make, reference: str
    ) -> None:
        """A business reference is never changed, so one that could not be stored or shown is refused at once."""
        with pytest.raises(InputError) as caught:
            ledger.exchanges.queue(declaration("K1"), at=clock(), business_reference=reference)

        assert ["input.value"] == [problem.code for problem in caught.value.problems]

    def test_two_parties_may_use_one_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """K is unique for each party, not for all parties."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K1", party="NL123456789.03.05"), at=clock())

        assert [PARTY, "NL123456789.03.05"] == sorted(record.party for record in ledger.sent("K1"))

    def test_one_failure_in_a_batch(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If one declaration of a batch cannot be queued, the others are queued."""
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
        """A declaration queued in a service window waits for the end of the window."""
        ledger.exchanges.queue(declaration("K1"), at=clock(), held=True)

        assert [] == claim(ledger, clock())
        assert 1 == ledger.exchanges.let_go(["DMS"], at=clock(1))
        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(1))]


class TestClaim:
    """One worker claims a due declaration, oldest first."""

    def test_no_other_worker_gets_it(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A second worker gets nothing."""
        ledger.exchanges.queue(declaration("K1"), at=clock())

        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(), owner="a")]
        assert [] == claim(ledger, clock(), owner="b")

    def test_oldest_first_and_no_more_than_asked(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker that asks for two of three gets the two that were queued first."""
        for minute, reference in enumerate(("K3", "K1", "K2")):
            ledger.exchanges.queue(declaration(reference), at=clock(minute))

        assert ["K3", "K1"] == [claimed.reference for claimed in claim(ledger, clock(9), most=2)]

    def test_only_for_the_systems_asked(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker of AGS leaves the declarations for DMS."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K2", system=AGS), at=clock())
        claimed = ledger.exchanges.claim_soon(("AGS",), owner="a", most=9, at=clock(), lease=LEASE).result()

        assert ["K2"] == [exchange.reference for exchange in claimed]

    def test_a_rate_holds_over_a_restart(self, url: str, clock: Clock, declaration: Make) -> None:
        """Attempts of the last hour count towards the limit, including those of an earlier process."""
        with Ledger.open(url) as first:
            for number in range(5):
                first.exchanges.queue(declaration(f"K{number}"), at=clock())
            before = len(claim(first, clock(), per_hour=2))
        with Ledger.open(url) as second:
            within, after = claim(second, clock(59), per_hour=2), claim(second, clock(61), per_hour=2)

        assert (2, 0, 2) == (before, len(within), len(after))


class TestReturned:
    """A declaration that was returned unsent, because its server is in trouble, waits as before."""

    def test_queued_again(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A queued declaration is queued again at once, and its next attempt is the first of its schedule."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        for _ in range(9):
            (claimed,) = claim(ledger, clock())
            assert State.QUEUED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock()).result()

        (claimed,) = claim(ledger, clock())
        assert (10, 1, False) == (claimed.attempt, claimed.counted_attempts, claimed.retried)

    def test_deferred_again(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A deferred declaration is deferred again and due at once; only the attempt before the return counts."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock(5)).result()
        for _ in range(3):
            (claimed,) = claim(ledger, clock(6))
            assert State.DEFERRED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock(6)).result()

        (claimed,) = claim(ledger, clock(6))
        assert (5, 2, True) == (claimed.attempt, claimed.counted_attempts, claimed.retried)

    def test_others_go_first(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A declaration that the server returns each time lets all others that wait go first."""
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

    def test_it_does_not_count_for_the_rate(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A returned attempt does not count towards the attempts an hour."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        for _ in range(3):
            (claimed,) = claim(ledger, clock(), per_hour=1)
            ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock()).result()

        assert 1 == len(claim(ledger, clock(), per_hour=1))
        assert [] == claim(ledger, clock(), per_hour=1)

    def test_recorded_twice(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A return recorded again, after a lost answer of the database, does not end the next worker's claim."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(first, Outcome.RETURNED, at=clock()).result()
        claim(ledger, clock(), owner="b")
        ledger.exchanges.settle_soon(first, Outcome.RETURNED, at=clock()).result()

        assert (State.SENDING, []) == (state(ledger), claim(ledger, clock()))

    def test_a_late_report(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If a worker thought dead reports that nothing was sent, the exchange is no longer unknown."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.expire_soon(at=clock(60)).result()
        assert State.UNKNOWN == state(ledger)

        assert State.QUEUED == ledger.exchanges.settle_soon(claimed, Outcome.RETURNED, at=clock(61)).result()


class TestSettle:
    """The state table decides what the outcome of an attempt leads to."""

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
        """Each outcome leads to its state; deferred without a retry time has failed."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())

        assert after == ledger.exchanges.settle_soon(claimed, outcome, at=clock(1)).result()
        assert after == state(ledger)

    def test_deferred_waits_for_its_time(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A deferred declaration can be claimed again at its retry time, with the same K, as the next attempt."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(), due=clock(5)).result()

        assert [] == claim(ledger, clock(4))
        (second,) = claim(ledger, clock(5))
        assert ("K1", 1, 2) == (second.reference, first.attempt, second.attempt)

    def test_a_clock_that_is_set_back(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A queued declaration goes out at once, whenever it was queued; only a deferred one waits for its time."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock(60))
        first, _ = claim(ledger, clock(60))
        ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(60), due=clock(65)).result()
        ledger.exchanges.queue(declaration("K3"), at=clock(60))

        assert ["K3"] == [claimed.reference for claimed in claim(ledger, clock(0))]
        assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(65))]

    def test_a_late_failure_of_an_old_attempt(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """While a second attempt is under way, a late failure of the first one does not release the message."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (first,) = claim(ledger, clock())
        ledger.exchanges.expire_soon(at=clock(3)).result()
        ledger.exchanges.resend("K1", at=clock(3))
        claim(ledger, clock(3))

        after = ledger.exchanges.settle_soon(first, Outcome.DEFERRED, at=clock(4), due=clock(4)).result()

        assert State.SENDING == after
        assert [] == claim(ledger, clock(9))

    def test_a_late_acceptance_counts(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If a worker thought dead reports that the gateway accepted the message, that counts."""
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
        """The outcome of an attempt that was never begun is refused."""
        queued = ledger.exchanges.queue(declaration("K1"), at=clock())
        before = 0
        if attempt > 1:
            (claimed,) = claim(ledger, clock())
            before = claimed.attempt
            ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock()).result()
        invented = Claimed(
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
            ledger.exchanges.settle_soon(invented, outcome, at=clock(1)).result()

        assert ["ledger.no-attempt"] == [problem.code for problem in caught.value.problems]
        assert (State.DEFERRED if before else State.QUEUED) == state(ledger)

    def test_characters_that_cannot_be_stored(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Each character of a server's text that cannot be stored becomes a question mark."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock(1), detail="250 a\0b\udc80c €").result()

        assert "250 a?b?c €" == ledger.story("K1")[0].entries[-1].detail


class TestLeases:
    """A declaration that a dead worker held may have been sent, so it becomes unknown."""

    def test_a_lease_runs_out(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Before the lease ends nothing happens; after it the exchange is unknown and is not sent automatically."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock())
        early = ledger.exchanges.expire_soon(at=clock(1)).result()
        late = ledger.exchanges.expire_soon(at=clock(3)).result()

        assert ([], ["K1"]) == (early, [lost.reference for lost in late])
        assert State.UNKNOWN == state(ledger)
        assert [] == claim(ledger, clock(99))

    def test_a_living_worker_keeps_it(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A worker renews its own lease, not that of another worker."""
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        first, second = claim(ledger, clock(), owner="a")
        renewed = ledger.exchanges.renew_soon([first.key], owner="a", until=clock(9)).result()
        foreign = ledger.exchanges.renew_soon([second.key], owner="b", until=clock(9)).result()
        lost = ledger.exchanges.expire_soon(at=clock(3)).result()

        assert (1, 0, ["K2"]) == (renewed, foreign, [exchange.reference for exchange in lost])

    @pytest.mark.parametrize(("column", "me"), [("owner", None), ("lease", None), ("owner", "me"), ("lease", "me")])
    def test_sending_without_a_worker(
        self, ledger: Ledger, clock: Clock, declaration: Make, *, column: str, me: str | None
    ) -> None:
        """An exchange that is sending without an owner or a lease becomes unknown at once."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        claim(ledger, clock(), owner="me")
        spoil = f"UPDATE htpoort_exchanges SET {column} = NULL"  # noqa: S608 - a name of this file
        ledger.write_soon(lambda connection: connection.exec_driver_sql(spoil) and None).result()
        lost = ledger.exchanges.expire_soon(at=clock(), except_owner=me).result()

        assert (["K1"], State.UNKNOWN) == ([exchange.reference for exchange in lost], state(ledger))

    def test_a_sole_worker_expires_the_others(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If only one worker can be alive, the leases of all others end at once; its own stay."""
        for owner, reference in (("dead", "K1"), ("me", "K2")):
            ledger.exchanges.queue(declaration(reference), at=clock())
            claim(ledger, clock(), owner=owner)
        lost = ledger.exchanges.expire_soon(at=clock(), except_owner="me").result()

        assert ["K1"] == [exchange.reference for exchange in lost]


class TestOrder:
    """An operator decides what no program can."""

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
        """Each order leads to its state and is logged."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock()).result()

        assert after == order(ledger.exchanges, "K1", at=clock(1)).state
        assert (event, after.value) == attrs.astuple(ledger.story("K1")[0].entries[-1])[1:3]

    def test_resent_with_the_same_k_at_once(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A declaration ordered to be sent again goes out at once with the same octets, whatever its retry time was."""
        submission = declaration("K1")
        ledger.exchanges.queue(submission, at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.DEFERRED, at=clock(), due=clock(500)).result()
        ledger.exchanges.resend("K1", at=clock(1))

        assert [submission.data] == [again.raw for again in claim(ledger, clock(1))]

    def test_resent_from_the_start_of_the_schedule(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """After an order the numbering of attempts continues, but earlier attempts do not count as tries."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.exchanges.queue(declaration("K2"), at=clock())
        counted: list[list[tuple[str, int, int]]] = []
        for minute in range(4):
            if minute == 2:
                ledger.exchanges.resend("K1", at=clock(minute))
            claimed = claim(ledger, clock(minute))
            counted.append(
                sorted((attempt.reference, attempt.attempt, attempt.counted_attempts) for attempt in claimed)
            )
            for attempt in claimed:
                ledger.exchanges.settle_soon(
                    attempt, Outcome.DEFERRED, at=clock(minute), due=clock(minute + 1)
                ).result()

        assert [
            [("K1", 1, 1), ("K2", 1, 1)],
            [("K1", 2, 2), ("K2", 2, 2)],
            [("K1", 3, 1), ("K2", 3, 3)],
            [("K1", 4, 2), ("K2", 4, 4)],
        ] == counted

    def test_an_order_refused_by_the_state(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """An accepted declaration cannot be ordered again, and the refused order is not logged."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = claim(ledger, clock())
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock()).result()
        with pytest.raises(InputError):
            ledger.exchanges.resend("K1", at=clock(1))

        assert (State.ACCEPTED, "accepted") == (state(ledger), ledger.story("K1")[0].entries[-1].event)

    @pytest.mark.parametrize("after", [State.QUEUED, State.ACCEPTED, State.CLOSED])
    def test_only_the_unknown_is_settled_as_sent(
        self, ledger: Ledger, clock: Clock, declaration: Make, after: State
    ) -> None:
        """In any other state the order is refused, and nothing of it is logged."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        if after is State.ACCEPTED:
            (claimed,) = claim(ledger, clock())
            ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock()).result()
        elif after is State.CLOSED:
            ledger.exchanges.close("K1", at=clock())
        before = ledger.story("K1")
        with pytest.raises(InputError) as caught:
            ledger.exchanges.resolve_as_sent("K1", at=clock(1))

        (problem,) = caught.value.problems
        assert before == ledger.story("K1")
        assert "ledger.refused" == problem.code
        assert f"The exchange is {after.value}; only one that is unknown can be resolved as sent." == problem.message

    def test_an_unknown_k(self, ledger: Ledger, clock: Clock) -> None:
        """An order for a K that was never used is refused."""
        with pytest.raises(UnknownError):
            ledger.exchanges.close("K9", at=clock())

    def test_two_parties_with_one_k(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """If two parties used a K, the order must name the party."""
        for party in (PARTY, "NL123456789.03.05"):
            ledger.exchanges.queue(declaration("K1", party=party), at=clock())
        with pytest.raises(InputError) as caught:
            ledger.exchanges.close("K1", at=clock())
        closed = ledger.exchanges.close("K1", at=clock(), party="NL123456789.03.05")

        assert ["ledger.which-party"] == [problem.code for problem in caught.value.problems]
        assert ("NL123456789.03.05", State.QUEUED) == (closed.party, state(ledger))


def test_a_window_holds_what_waits_and_lets_it_go(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """A service window of one system holds the declarations that wait for it, and no others."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    ledger.exchanges.queue(declaration("K2", system=AGS), at=clock())
    held = ledger.exchanges.hold(["DMS"], at=clock(1))
    during = [claimed.reference for claimed in claim(ledger, clock(1))]
    ledger.exchanges.let_go(["DMS"], at=clock(2))

    assert (1, ["K2"]) == (held, during)
    assert ["K1"] == [claimed.reference for claimed in claim(ledger, clock(2))]


def test_no_public_method_takes_an_event() -> None:
    """A method of its own orders each thing that happens to an exchange: no argument is an event of the state table."""
    methods = {
        f"{owner.__name__}.{name}"
        for owner in (Exchanges, Fetched, Ledger, Quarantine, Replies)
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and "Event" in str(inspect.signature(method))
    }

    assert set() == methods


def test_lists_exchanges(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """The list holds all exchanges, or those in the given states, oldest first."""
    for reference in ("K2", "K1"):
        ledger.exchanges.queue(declaration(reference), at=clock())
    claim(ledger, clock(), most=1)

    assert ["K2", "K1"] == [exchange.reference for exchange in ledger.exchanges.listed()]
    assert ["K1"] == [exchange.reference for exchange in ledger.exchanges.listed(State.QUEUED, State.HELD)]


class TestUnanswered:
    """Unanswered are the exchanges that Customs has or may have and did not reply to: accepted and unknown."""

    @pytest.fixture
    def mixed(self, ledger: Ledger, clock: Clock, declaration: Make) -> Ledger:
        """Queue an exchange for each state that an attempt can lead to, and one that waits."""
        outcomes = (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.DEFERRED)
        for number, outcome in enumerate(outcomes, 1):
            ledger.exchanges.queue(declaration(f"K{number}", system=AGS if number == 2 else DMS), at=clock())
            (claimed,) = claim(ledger, clock(number))
            ledger.exchanges.settle(claimed, outcome, at=clock(number), due=clock(99) if number == 4 else None)
        ledger.exchanges.queue(declaration("K5"), at=clock())
        return ledger

    def test_accepted_and_unknown(self, mixed: Ledger) -> None:
        """The list holds the accepted and the unknown, oldest first."""
        assert [("K1", State.ACCEPTED), ("K2", State.UNKNOWN)] == [
            (each.exchange.reference, each.exchange.state) for each in mixed.exchanges.unanswered()
        ]

    def test_narrowed(self, mixed: Ledger, clock: Clock) -> None:
        """The list can be narrowed by waiting time, by system, and by party in any case."""
        lists = [
            mixed.exchanges.unanswered(before=clock(2)),
            mixed.exchanges.unanswered(system="AGS"),
            mixed.exchanges.unanswered(party=PARTY.lower()),
            mixed.exchanges.unanswered(party="NL123456789.03.05"),
        ]

        assert [["K1"], ["K2"], ["K1", "K2"], []] == [
            [each.exchange.reference for each in unanswered] for unanswered in lists
        ]

    def test_needing_attention(self, mixed: Ledger) -> None:
        """The list holds what does not continue automatically, of all systems, oldest first."""
        assert (["K2", "K3"], ["K2"]) == (
            [exchange.reference for exchange in mixed.exchanges.needing_attention(most=9)],
            [exchange.reference for exchange in mixed.exchanges.needing_attention(most=1)],
        )
