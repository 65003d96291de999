"""Rule 1: what is rendered parses back to the same value, and canonical text renders back to itself."""

from __future__ import annotations

from hypothesis import given, strategies as st
from strategies import INSIDE, digits, values, writer_ids

from htpoort import PartyId, RoutingEnvelope, read
from htpoort.testing.strategies import party_ids, references, routing_envelopes


class TestRule1RoundTrip:
    """`parse(render(x)) == x`; canonical text renders back to itself."""

    @given(routing_envelopes())
    def test_value_to_text_to_value(self, envelope: RoutingEnvelope) -> None:
        """Whatever an envelope holds comes back from its line, strictly read and without a note."""
        again = RoutingEnvelope.parse(envelope.render(), strict=True)

        assert envelope == again
        assert () == again.notes
        assert envelope.render() == again.raw == str(envelope)

    @given(values, values, values, values)
    def test_text_to_value_to_text(self, sender: str, addressee: str, reference: str, s: str) -> None:
        """A canonical line renders back to itself."""
        line = f"[V={sender}][A={addressee}][K={reference}][S={s}]"

        assert line == RoutingEnvelope.parse(line).render()

    @given(st.text(INSIDE + "[]VAKS=\t\r\n\u00e9", max_size=60).map("[V={}][A=b][K=c][S=0]".format))
    def test_strict_text_is_canonical(self, line: str) -> None:
        """What the strict reader takes renders back to itself, and it takes all that renders back."""
        found = RoutingEnvelope.find(line)
        strict = found is not None and not found.notes

        assert strict is (found is not None and found.render() == line)
        assert not strict or line == RoutingEnvelope.parse(line, strict=True).render()

    @given(writer_ids, writer_ids, references(), digits)
    def test_official_form_of_a_reply(self, sender: str, addressee: str, reference: str, s: str) -> None:
        """A reply's line with its blanks means the same as the line without them."""
        blank = RoutingEnvelope.parse(f"[V= {sender}][A= {addressee}][K={reference}][S={s}]")

        assert RoutingEnvelope(sender=sender, addressee=addressee, reference=reference, s=s) == blank
        assert ["envelope.blank"] == [note.code for note in blank.notes]

    @given(routing_envelopes())
    def test_through_a_message(self, envelope: RoutingEnvelope) -> None:
        """An envelope in a Subject header comes back from the message."""
        raw = f"From: a@b.example\r\nSubject: {envelope}\r\n\r\n".encode("ascii")

        assert envelope == read(raw).envelope
        assert () == read(raw).problems

    @given(routing_envelopes())
    def test_reply_of_a_reply(self, envelope: RoutingEnvelope) -> None:
        """A reply swaps V and A and keeps K and S, so the reply of a reply is the request."""
        reply = envelope.reply()

        assert (envelope.addressee, envelope.sender) == (reply.sender, reply.addressee)
        assert (envelope.reference, envelope.s) == (reply.reference, reply.s)
        assert envelope == reply.reply()
        assert reply == RoutingEnvelope.parse(str(reply))

    @given(party_ids())
    def test_party(self, party: PartyId) -> None:
        """A party ID comes back from its text, as it was written."""
        again = PartyId.parse(str(party))

        assert party == again
        assert str(party) == str(again)
        assert party.covers(str(party).lower())
