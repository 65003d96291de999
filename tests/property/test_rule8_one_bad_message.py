"""Rule 8: one bad message stops nothing. The core is tested here, the agent in tests/agent."""

from __future__ import annotations

from hypothesis import given, strategies as st
from strategies import hostile_texts, parties, reply, systems

from htpoort import DeclarationSystem, Quarantined, Routed, Router
from htpoort.testing.strategies import references

Good = tuple[DeclarationSystem, str, str]
genuine = st.tuples(systems, parties, references())
bad = (
    st.binary(max_size=200)
    | hostile_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | genuine.map(lambda good: reply(good[0], party="NL1", reference=good[2]))
    | genuine.map(lambda good: reply(good[0], mailbox="ags@htpoort.nl <evil@x>", party=good[1], reference=good[2]))
    | genuine.map(lambda good: reply(good[0], mailbox="evil@x.example", party=good[1], reference=good[2]))
    | genuine.map(lambda good: reply(good[0], party=good[1], reference=good[2]).replace(b"\r\n\r\n", b"\r\n"))
    | genuine.map(lambda good: reply(good[0], party=good[1], reference=good[2]).replace(b"[K=", b"[K=1][K="))
)


class TestRule8OneBadMessageStopsNothing:
    """One bad message stops nothing. It goes to quarantine with a reason; the rest flows."""

    @given(st.lists(genuine | bad, max_size=12))
    def test_batch(self, batch: list[Good | bytes]) -> None:
        """In a batch with bad messages in between, each good one reaches its process, and each bad one quarantine."""
        router = Router(parties=[good[1] for good in batch if isinstance(good, tuple)] or ["NL123456789.02.05"])
        for message in batch:
            if isinstance(message, bytes):
                found = router.route_message(message)
                assert isinstance(found, Quarantined)
                assert found.problems
            else:
                system, party, reference = message
                routed = router.route_message(reply(system, party=party, reference=reference))
                assert isinstance(routed, Routed)
                assert (system, party, reference) == (routed.system, str(routed.party), routed.reference)

    @given(genuine, bad)
    def test_a_router_remembers_nothing(self, good: Good, message: bytes) -> None:
        """A decision does not depend on what came before it."""
        system, party, reference = good
        raw = reply(system, party=party, reference=reference)
        used, fresh = Router(parties=[party]), Router(parties=[party])
        used.route_message(message)

        assert fresh.route_message(raw) == used.route_message(raw)
        assert fresh == used
