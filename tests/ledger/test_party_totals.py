"""What the ledger knows of each party and system, for a move to another system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from htpoort import AGS, InputError, OldSystemFacts, Outcome, PartyId, PartyTotals, Router, Submission
from htpoort.ledger import Ledger

PARTY = "NL123456789.02.05"
CLIENT = "NL123456789.03.05"
LEASE = timedelta(minutes=2)
DAY = 24 * 60
FROM_AGS = {"mailbox": "ags@htpoort.nl", "process_id": "DMS.NL"}

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]


def test_party_totals(ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write) -> None:
    """The totals show, for each party and system, what was sent, what is open since when, and the replies."""
    for minute, reference in enumerate(("K1", "K2", "K3")):
        ledger.exchanges.queue(declaration(reference, system=AGS), at=clock(minute))
    claimed = ledger.exchanges.claim_soon(("AGS",), owner="a", most=2, at=clock(5), lease=LEASE).result()
    for attempt in claimed:
        ledger.exchanges.settle_soon(attempt, Outcome.ACCEPTED, at=clock(6)).result()
    ledger.replies.take_in(router, reply("K1", **FROM_AGS), mail_from=None, at=clock(7))
    ledger.replies.take_in(router, reply("K1", body="<further/>", **FROM_AGS), mail_from=None, at=clock(9))
    ledger.exchanges.queue(declaration("K4", party=CLIENT), at=clock(10))
    # A reply to a K that was never sent counts too: it shows that the system still sends to the party.
    ledger.replies.take_in(router, reply("K9"), mail_from=None, at=clock(11))

    assert ledger.party_totals([PartyId.parse(PARTY), CLIENT.lower()]) == {
        (PARTY.lower(), "AGS"): PartyTotals(sent=2, open=2, oldest=clock(1), replies=2, last_reply=clock(9)),
        (PARTY.lower(), "DMS"): PartyTotals(replies=1, last_reply=clock(11)),
        (CLIENT.lower(), "DMS"): PartyTotals(open=1, oldest=clock(10)),
    }


def test_only_the_parties_asked_for(ledger: Ledger, clock: Clock, declaration: Make) -> None:
    """The totals hold no party that was not asked for."""
    ledger.exchanges.queue(declaration("K1"), at=clock())

    assert ledger.party_totals([CLIENT]) == ledger.party_totals([]) == {}


class TestLastReply:
    """When the last reply of a system came, to any party."""

    def test_of_every_party_and_copies_too(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """An answer, a reply to a K that was never sent, and a copy all count, at their arrival."""
        ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
        moments: list[datetime | None] = []
        for minute, raw in enumerate((
            reply("K9"),
            reply("K1", **FROM_AGS),
            reply("K9", party=CLIENT, **FROM_AGS),
            reply("K1", **FROM_AGS),
            reply("K9"),
            b"junk",
        )):
            ledger.replies.take_in(router, raw, mail_from=None, at=clock(minute))
            moments.append(ledger.last_reply("AGS", after=clock(-1)))

        assert moments == [None, clock(1), clock(2), clock(3), clock(3), clock(3)]
        assert ledger.last_reply("DMS", after=clock(-1)) == clock(4)

    def test_after(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A reply that came at the given moment or before it does not count."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(5))

        assert [ledger.last_reply("DMS", after=clock(minute)) for minute in (4, 5)] == [clock(5), None]

    def test_a_copy_of_what_was_pruned(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A copy of a pruned reply may be of any system, so it counts for each system until it is pruned too."""
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock())
        (waiting,) = ledger.replies.claim_soon("DMS", owner="a", most=1, at=clock(), lease=LEASE).result()
        ledger.replies.mark_delivered_soon(waiting.key, at=clock()).result()
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(40 * DAY))
        moments: list[datetime | None] = []
        for day in (35, 45):
            ledger.prune(before=clock(day * DAY), at=clock(90 * DAY), days=30)
            moments += [ledger.last_reply(system, after=clock(30 * DAY)) for system in ("AGS", "DMS")]

        assert moments == [clock(40 * DAY), clock(40 * DAY), None, None]


@pytest.mark.parametrize("number", [1, 501, 1_200])
def test_any_number_of_parties(ledger: Ledger, clock: Clock, declaration: Make, number: int) -> None:
    """One call takes any number of parties."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    parties = [PARTY, *(f"NL{other:09}.02.05" for other in range(1, number))]

    assert ledger.party_totals(parties) == {(PARTY.lower(), "DMS"): PartyTotals(open=1, oldest=clock())}


class TestOldSystemFacts:
    """old_system_facts collects what the whole ledger knows of a system that is being left."""

    def test_of_every_party(
        self, ledger: Ledger, router: Router, clock: Clock, declaration: Make, reply: Write
    ) -> None:
        """Open exchanges, undelivered replies and quarantine count for every party, totals for those asked for."""
        ledger.exchanges.queue(declaration("K1", system=AGS), at=clock())
        ledger.exchanges.queue(declaration("K2", system=AGS, party=CLIENT), at=clock())
        ledger.exchanges.queue(declaration("K3"), at=clock())
        ledger.replies.take_in(router, reply("K9", party=CLIENT, **FROM_AGS), mail_from=None, at=clock(5))
        ledger.replies.take_in(router, b"junk", mail_from=None, at=clock(6))
        party = PartyId.parse(PARTY)

        assert ledger.old_system_facts("AGS", parties=[party], at=clock(DAY), quiet_days=2) == OldSystemFacts(
            system="AGS",
            at=clock(DAY),
            quiet_days=2,
            parties=(party,),
            totals=ledger.party_totals([PARTY]),
            open=2,
            undelivered=1,
            last_reply=clock(5),
            quarantined=1,
            known=True,
        )

    def test_parties_as_text(self, ledger: Ledger, clock: Clock) -> None:
        """Parties may be given as text, in any case; what is not a party ID is refused, each with its reason."""
        facts = ledger.old_system_facts("AGS", parties=["nl123456789.02.05"], at=clock())
        with pytest.raises(InputError) as caught:
            ledger.old_system_facts("AGS", parties=["bad", PARTY, "worse"], at=clock())

        assert ["nl123456789.02.05"] == [str(party) for party in facts.parties]
        assert ["parties: 'bad' is not a party ID", "parties: 'worse' is not a party ID"] == [
            problem.message.partition(";")[0] for problem in caught.value.problems
        ]

    @pytest.mark.parametrize(("quiet_days", "heard"), [(1, False), (3, True), (10**10, True)])
    def test_the_last_reply_counts_for_the_quiet_days(  # noqa: PLR0913, PLR0917 - one fixture for each thing
        self, ledger: Ledger, router: Router, clock: Clock, reply: Write, quiet_days: int, heard: object
    ) -> None:
        """A reply before the quiet days is no reason to wait, but shows that this ledger receives from the system."""
        ledger.replies.take_in(router, reply("K9", **FROM_AGS), mail_from=None, at=clock())
        facts = ledger.old_system_facts("AGS", parties=[], at=clock(2 * DAY), quiet_days=quiet_days)

        assert (heard, True) == (facts.last_reply is not None, facts.known)

    def test_of_an_unknown_system(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A system of which the ledger holds nothing is not known, even if it holds another."""
        ledger.exchanges.queue(declaration("K1"), at=clock())

        assert not ledger.old_system_facts("AGS", parties=[], at=clock()).known
