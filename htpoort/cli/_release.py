"""
Put together where a message in quarantine belongs, as a person says it.

Never does: judge that; the ledger refuses what contradicts what it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from htpoort.cli import _input
from htpoort.directory import DeclarationSystem
from htpoort.envelope import RoutingEnvelope
from htpoort.party import PartyId
from htpoort.routing import Correlation, Routed

if TYPE_CHECKING:
    from htpoort.ledger import Held


def routed(held: Held, *, system: DeclarationSystem, party: PartyId, reference: str | None) -> Routed:
    """
    Make the routing of a message.

    Args:
        held: The message.
        system: The chosen one.
        party: The chosen one.
        reference: K; the message's own where not given.

    Returns:
        Where it belongs. Mailbox and process ID are the message's own where it has them.

    Raises:
        InputError: There is no K, or it cannot be one.
    """
    own = None if held.subject is None else RoutingEnvelope.parse(held.subject)
    envelope = _envelope(held, own, system=system, party=party, reference=reference)
    return Routed(
        system=system,
        party=party,
        reference=envelope.reference,
        correlation=Correlation.NOT_CHECKED,
        mailbox=held.mailbox or system.mailbox,
        envelope=envelope,
    )


def _envelope(
    held: Held, own: RoutingEnvelope | None, *, system: DeclarationSystem, party: PartyId, reference: str | None
) -> RoutingEnvelope:
    """Take the message's own envelope, or else make one of what the person says."""
    if own is None:
        if reference is None:
            raise _input.refusal("input.usage", f"Message {held.key} has no reference of its own; give --reference.")
        return RoutingEnvelope(sender=min(system.reply_ids), addressee=str(party), reference=reference)
    if reference is None:
        return own
    return RoutingEnvelope(sender=own.sender, addressee=own.addressee, reference=reference, s=own.s)
