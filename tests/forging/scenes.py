"""Scenes: which system replies to which party about which K."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

import attrs
from forging.results import Label
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from htpoort import Correlation, DeclarationSystem, PartyId
from htpoort.testing.strategies import RoutedTo, RouterSetup
from htpoort.testing.strategies._replies import checked, origin

LARGEST: Final = 1_048_576
"""Octets of the largest limit that messages are drawn beyond; a message of 50 MiB takes a test too long."""


@final
@attrs.frozen(kw_only=True)
class Scene:
    """
    One reply before it is written.

    Args:
        setup: What the router knows.
        system: The system that replies.
        process_id: V.
        party: A, as the router was given it.
        reference: K.
        correlation: What the router must find about K.
        mail_from: MAIL FROM, or None.
        body: The body.
    """

    setup: RouterSetup
    system: DeclarationSystem
    process_id: str
    party: PartyId
    reference: str
    correlation: Correlation
    mail_from: str | None
    body: bytes

    @property
    def expected(self) -> RoutedTo:
        """What the router must decide."""
        return RoutedTo(
            system=self.system.name,
            party=str(self.party),
            reference=self.reference,
            correlation=self.correlation,
        )


def check(setup: RouterSetup, labels: Collection[Label]) -> list[Label]:
    """Refuse a setup or labels that nothing can be drawn for; give the labels in their own order."""
    kinds = [label for label in Label if label in labels]
    if not kinds:
        message = "labels is empty; give at least one Label."
        raise InvalidArgument(message)
    checked(setup)
    return kinds


def scene(draw: st.DrawFn, *, setup: RouterSetup, bodies: st.SearchStrategy[bytes]) -> Scene:
    """Draw a reply that must be routed; scenes shrink to what was sent first."""
    (system, party, reference), correlation = origin(draw, setup)
    return scene_of(
        draw, setup=setup, system=system, party=party, reference=reference, correlation=correlation, bodies=bodies
    )


def scene_of(  # noqa: PLR0913 - one argument for each thing that is known
    draw: st.DrawFn,
    *,
    setup: RouterSetup,
    system: DeclarationSystem,
    party: PartyId,
    reference: str,
    correlation: Correlation,
    bodies: st.SearchStrategy[bytes],
) -> Scene:
    """Draw how a known reply arrives; scenes shrink to a message from a POP3 mailbox."""
    return Scene(
        setup=setup,
        system=system,
        process_id=draw(st.sampled_from(sorted(system.reply_ids))),
        party=party,
        reference=reference,
        correlation=correlation,
        mail_from=draw(st.sampled_from([None, system.mailbox])),
        body=draw(bodies),
    )
