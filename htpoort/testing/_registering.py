"""Register the types of the core with Hypothesis; no strategy is built before one is asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from htpoort import DeclarationSystem, PartyId, RoutingEnvelope, Submission


def register() -> None:
    """
    Register the types, so that ``st.from_type(RoutingEnvelope)`` works without another import.

    Hypothesis calls this whenever it is imported, by the entry point group ``hypothesis``.
    """
    names: dict[type[Any], str] = {
        DeclarationSystem: "declaration_systems",
        PartyId: "party_ids",
        RoutingEnvelope: "routing_envelopes",
        Submission: "submissions",
    }
    for kind, name in names.items():
        st.register_type_strategy(kind, _drawn_by(name))


def _drawn_by(name: str) -> Any:  # noqa: ANN401 - a function of any type, which is what Hypothesis takes
    """Make the function that Hypothesis asks for a strategy."""

    def strategy(_kind: type[Any]) -> st.SearchStrategy[Any]:
        # Imported here, because nearly every program that loads Hypothesis never asks.
        from htpoort.testing import strategies  # noqa: PLC0415

        drawn: st.SearchStrategy[Any] = getattr(strategies, name)()
        return drawn

    return strategy
