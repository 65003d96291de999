"""Rule 4: a reply is routed only if mailbox, process ID, addressee and what was sent agree."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import assume, given, strategies as st
from strategies import parties, reply, systems, values, writer_ids

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    Correlation,
    DeclarationSystem,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    Router,
    SentRecord,
)
from htpoort.testing.strategies import references

OTHER = {"AGS": DMS, "DMS": AGS}
mailboxes = st.sampled_from([
    *("ncts@htpoort.nl", "ags@htpoort.example", "a@b.example", "ags@htpoort.nl.example", "x.dms@htpoort.nl"),
])


def sent_by(system: DeclarationSystem, party: str, reference: str) -> Router:
    """Make a router that knows one transmission and two parties."""
    record = SentRecord(system=system.name, party=party, reference=reference)
    return Router(parties=[party, "NL000000000.00.05"], sent={reference: record}.get)


def reason(found: Routed | Quarantined) -> Reason:
    """Say why a reply is in quarantine."""
    assert isinstance(found, Quarantined)
    return found.reason


class TestRule4FourWayCheck:
    """
    A reply is routed only if mailbox, process ID, addressee and (where known) the exchange agree.

    Change any one field and it is quarantined with the right reason; it never reaches another party or system.
    """

    @given(systems, parties, references())
    def test_all_four_agree(self, system: DeclarationSystem, party: str, reference: str) -> None:
        """Where all agree it goes to that system and party, matched."""
        found = sent_by(system, party, reference).route_message(reply(system, party=party, reference=reference))

        assert isinstance(found, Routed)
        assert (system, PartyId.parse(party), reference) == (found.system, found.party, found.reference)
        assert Correlation.MATCHED is found.correlation

    @given(systems, parties, references(), mailboxes)
    def test_unknown_mailbox(self, system: DeclarationSystem, party: str, reference: str, mailbox: str) -> None:
        """A mailbox of no system: unknown mailbox."""
        raw = reply(system, party=party, reference=reference, mailbox=mailbox)

        assert Reason.UNKNOWN_MAILBOX is reason(sent_by(system, party, reference).route_message(raw))

    @given(systems, parties, references())
    def test_mailbox_of_the_other_system(self, system: DeclarationSystem, party: str, reference: str) -> None:
        """The mailbox of the other system: mailbox and process disagree."""
        raw = reply(system, party=party, reference=reference, mailbox=OTHER[system.name].mailbox)

        assert Reason.MAILBOX_PROCESS_DISAGREE is reason(sent_by(system, party, reference).route_message(raw))

    @given(systems, parties, references(), writer_ids)
    def test_unknown_process(self, system: DeclarationSystem, party: str, reference: str, process_id: str) -> None:
        """A process ID of no system: unknown process."""
        assume(HTPOORT.answering_as(process_id) is None)
        raw = reply(system, party=party, reference=reference).replace(
            f"V= {system.process_id}]".encode(), f"V= {process_id}]".encode()
        )

        assert Reason.UNKNOWN_PROCESS is reason(sent_by(system, party, reference).route_message(raw))

    @given(systems, parties, references())
    def test_process_of_the_other_system(self, system: DeclarationSystem, party: str, reference: str) -> None:
        """The process ID of the other system: mailbox and process disagree."""
        raw = reply(OTHER[system.name], party=party, reference=reference, mailbox=system.mailbox)

        assert Reason.MAILBOX_PROCESS_DISAGREE is reason(sent_by(system, party, reference).route_message(raw))

    @given(systems, parties, references(), parties | values)
    def test_unknown_addressee(self, system: DeclarationSystem, party: str, reference: str, stranger: str) -> None:
        """An addressee that is not one of the parties, even one that only begins like one: unknown addressee."""
        assume(stranger.lower() not in {party.lower(), "nl000000000.00.05"})
        router = sent_by(system, party, reference)

        for addressee in (stranger, party + ".1", party[:-3]):
            subject = f"[V= {system.process_id}][A= {addressee}][K={reference}][S=0]"
            assert Reason.UNKNOWN_ADDRESSEE is reason(router.route(mailbox=system.mailbox, subject=subject))

    @given(systems, parties, references())
    def test_other_system(self, system: DeclarationSystem, party: str, reference: str) -> None:
        """Mailbox and process ID of the other system than K was sent to: other system."""
        raw = reply(OTHER[system.name], party=party, reference=reference)

        assert Reason.OTHER_SYSTEM is reason(sent_by(system, party, reference).route_message(raw))

    @given(systems, parties, references())
    def test_other_party(self, system: DeclarationSystem, party: str, reference: str) -> None:
        """Another party of the router than the one that sent K: other party, and that party's name is not shown."""
        assume(party != "NL000000000.00.05")
        found = sent_by(system, party, reference).route_message(
            reply(system, party="NL000000000.00.05", reference=reference)
        )

        assert Reason.OTHER_PARTY is reason(found)
        assert party not in repr(found)

    @given(systems, parties, references(), references())
    def test_unknown_reference(self, system: DeclarationSystem, party: str, reference: str, other: str) -> None:
        """Another K, be it in the case of one letter only, is routed by mailbox and process ID and marked."""
        router = sent_by(system, party, reference)

        for unknown in {other, reference.swapcase()} - {reference}:
            found = router.route_message(reply(system, party=party, reference=unknown))
            assert isinstance(found, Routed)
            assert (system, unknown, Correlation.UNKNOWN_REFERENCE) == (
                found.system,
                found.reference,
                found.correlation,
            )

    @given(parties, st.lists(references(), min_size=2, max_size=6, unique=True), st.data())
    def test_late_reply_after_the_move(self, party: str, ks: list[str], data: st.DataObject) -> None:
        """A late AGS reply after the move to DMS is routed to AGS, because its K was sent there."""
        moved = data.draw(st.integers(1, len(ks) - 1))
        sent = {k: ("AGS" if at < moved else "DMS") for at, k in enumerate(ks)}
        router = Router(
            parties=[party],
            sent={k: SentRecord(system=name, party=party, reference=k) for k, name in sent.items()}.get,
        )
        for k in data.draw(st.permutations(ks)):
            found = router.route_message(reply(HTPOORT.system(sent[k]), party=party, reference=k))
            assert isinstance(found, Routed)
            assert (sent[k], k, Correlation.MATCHED) == (found.system.name, found.reference, found.correlation)

    @given(systems, systems, parties, parties, references(), st.sampled_from([str.upper, str.lower, str.swapcase]))
    def test_nothing_else_is_ever_routed(  # noqa: PLR0913, PLR0917 - the four fields, twice
        self,
        by_mailbox: DeclarationSystem,
        by_process: DeclarationSystem,
        party: str,
        addressee: str,
        reference: str,
        case: Callable[[str], str],
    ) -> None:
        """Whatever is drawn, what is routed agrees in everything, whatever the case of its letters."""
        router = Router(parties=[party])
        written = {"mailbox": by_mailbox.mailbox, "process": by_process.process_id, "party": addressee}
        mailbox, process, to = (case(text) for text in written.values())
        found = router.route(mailbox=mailbox, subject=f"[V= {process}][A= {to}][K={reference}][S=0]")

        assert isinstance(found, Routed) is (by_mailbox is by_process and party == addressee)
        assert isinstance(found, Quarantined) or found.system is by_mailbox
