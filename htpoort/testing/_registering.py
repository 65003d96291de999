"""
Tell Hypothesis which strategies draw the types of the core.

Never does: build a strategy before one is asked for; Hypothesis calls this whenever it is imported.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from htpoort import DeclarationSystem, PartyId, RoutingEnvelope, Submission


def register() -> None:
    """
    Register the types, so that ``st.from_type(RoutingEnvelope)`` works without another import.

    Source:
        Hypothesis' entry point group ``hypothesis``.
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
        # Here, because nearly every program with Hypothesis in it never asks.
        from htpoort.testing import strategies  # noqa: PLC0415

        found: st.SearchStrategy[Any] = getattr(strategies, name)()
        return found

    return strategy
