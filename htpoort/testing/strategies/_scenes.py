"""
Draw who answers what to whom: the setup of a router, and one exchange in it.

Never does: write a message.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from htpoort._words import ascii_lower
from htpoort.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.errors import InputError
from htpoort.party import PartyId
from htpoort.routing import Correlation, SentRecord
from htpoort.testing.strategies._outcomes import Label, RoutedTo, RouterSetup
from htpoort.testing.strategies._values import (
    SENDABLE,
    bounds,
    declaration_systems,
    party_ids,
    references,
)

SMALLEST: Final = 131_072
"""Octets that a router must take, so that every message that is drawn as genuine or tolerated fits."""

LARGEST: Final = 1_048_576
"""Octets of the largest limit that messages are drawn beyond; a message of 50 MiB takes a test too long."""


# Made once: making strategies anew takes longer than drawing from them.
_PARTIES: Final = party_ids(max_groups=4, max_length=SENDABLE)
_REFERENCES: Final = references()
_SYSTEMS: Final = declaration_systems(published=False)


@st.composite
def router_setups(  # noqa: PLR0913 - one pair for each part that has a size
    draw: st.DrawFn,
    *,
    min_parties: int = 1,
    max_parties: int = 3,
    min_systems: int = 2,
    max_systems: int = 4,
    min_sent: int = 0,
    max_sent: int = 5,
    recorded: bool | None = None,
) -> RouterSetup:
    """
    Draw what a router is told.

    ``router_setups(max_parties=1, max_systems=2, recorded=False)`` draws the published systems and one party.

    Args:
        min_parties: The router's own parties, at least 1.
        max_parties: At most 20.
        min_systems: At least 2: AGS and DMS are always among them.
        max_systems: At most 20.
        min_sent: Transmissions that the router knows of; some of a party that is not the router's any more.
        max_sent: At most 100; fewer are drawn where two had one party and one K.
        recorded: Whether the router looks up what was sent; mostly where not given.

    Returns:
        Setups; they shrink to the published systems and one party.

    Raises:
        InvalidArgument: There is no such number; raised when the first one is drawn.
    """
    bounds("parties", min_parties, max_parties, lowest=1, highest=20)
    bounds("systems", min_systems, max_systems, lowest=2, highest=20)
    bounds("sent", min_sent, max_sent, lowest=0, highest=100)
    directory = _added(draw, min_systems - 2, max_systems - 2)
    parties = draw(st.lists(_PARTIES, min_size=min_parties, max_size=max_parties, unique_by=_lower))
    sent = None
    if draw(st.sampled_from([False, True, True, True])) if recorded is None else recorded:
        former = [
            party for party in draw(st.lists(_PARTIES, max_size=1)) if _lower(party) not in set(map(_lower, parties))
        ]
        senders = st.sampled_from([*parties, *former]).map(str)
        # A few K's for all, so that two parties often have one in common.
        pool = draw(st.lists(_REFERENCES, min_size=1, max_size=max(1, max_sent), unique=True))
        systems = st.sampled_from([system.name for system in directory])
        records = st.builds(SentRecord, system=systems, party=senders, reference=st.sampled_from(pool))
        most = min(max_sent, len(pool) * len(parties))
        sent = draw(
            st.lists(
                records,
                min_size=min(min_sent, most),
                max_size=most,
                unique_by=lambda record: (ascii_lower(record.party), record.reference),
            )
        )
    size_limit = draw(st.sampled_from([52_428_800, SMALLEST, 150_000]))
    return RouterSetup(directory=directory, parties=tuple(parties), sent=sent, size_limit=size_limit)


def _lower(party: PartyId) -> str:
    return ascii_lower(str(party))


def _added(draw: st.DrawFn, least: int, most: int) -> Directory:
    """Add systems to the published ones."""
    directory = HTPOORT
    for number in range(draw(st.integers(least, most))):
        system = draw(_SYSTEMS)
        try:
            directory = directory.add(system)
        except InputError:
            # It shares something with another. Drawing again might give the same for ever while an example shrinks.
            name = f"Another {number}"
            mailbox, process_id = f"another-{number}@customs.example", f"ANOTHER-{number}.NL"
            directory = directory.add(DeclarationSystem(name=name, mailbox=mailbox, process_id=process_id))
    return directory


st.register_type_strategy(RouterSetup, lambda _kind: router_setups())


@final
@attrs.frozen(kw_only=True)
class Scene:
    """
    Hold one answer: who answers, under which id, to whom, about what.

    Args:
        setup: What the router is told.
        system: Who answers.
        process_id: V.
        party: A, as the router was given it.
        reference: K.
        correlation: What the router must find out about K.
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
        """What the router must say."""
        return RoutedTo(
            system=self.system.name,
            party=str(self.party),
            reference=self.reference,
            correlation=self.correlation,
        )


def check(setup: RouterSetup, labels: Collection[Label]) -> list[Label]:
    """
    Refuse a setup or labels for which nothing can be drawn.

    Args:
        setup: As the user gave it.
        labels: The same.

    Returns:
        The labels in their own order.

    Raises:
        InvalidArgument: There is no system, only short messages are taken, or there is no label.
    """
    kinds = [label for label in Label if label in labels]
    if not kinds:
        message = "labels is empty; give one Label at least."
        raise InvalidArgument(message)
    if not setup.directory.systems:
        message = "setup: its directory is empty; nobody answers."
        raise InvalidArgument(message)
    if setup.size_limit < SMALLEST:
        message = f"setup: size_limit is {setup.size_limit}; the messages that are drawn need {SMALLEST} octets."
        raise InvalidArgument(message)
    return kinds


def matched(setup: RouterSetup) -> list[tuple[DeclarationSystem, PartyId, str]]:
    """
    List the answers that are about something that was sent.

    Args:
        setup: What the router is told.

    Returns:
        Who answers, to whom, about which K.
    """
    systems = {ascii_lower(system.name): system for system in setup.directory}
    parties = {_lower(party): party for party in setup.parties}
    return [
        (systems[ascii_lower(record.system)], parties[ascii_lower(record.party)], record.reference)
        for record in setup.sent or ()
        if ascii_lower(record.system) in systems and ascii_lower(record.party) in parties
    ]


def of_another_system(setup: RouterSetup) -> list[tuple[DeclarationSystem, PartyId, str]]:
    """
    List the answers of a system that the party did not send this K to.

    Args:
        setup: What the router is told.

    Returns:
        Who answers, to whom, about which K.
    """
    return [
        (other, party, reference)
        for _, party, reference in matched(setup)
        for other in setup.directory
        if ascii_lower(other.name) not in {ascii_lower(own.system) for own in setup.own(party, reference)}
    ]


def of_another_party(setup: RouterSetup) -> list[tuple[DeclarationSystem, PartyId, str]]:
    """
    List the answers to a party about a K that only others sent.

    Args:
        setup: What the router is told.

    Returns:
        Who answers, to whom, about which K.
    """
    known = dict.fromkeys(record.reference for record in setup.sent or ())
    return [
        (system, party, reference)
        for reference in known
        for party in setup.parties
        if not setup.own(party, reference)
        for system in setup.directory
    ]


def scene(draw: st.DrawFn, *, setup: RouterSetup, bodies: st.SearchStrategy[bytes]) -> Scene:
    """
    Draw an answer that must be routed.

    Args:
        draw: Of a composite strategy.
        setup: What the router is told.
        bodies: What stands in it.

    Returns:
        Scenes; they shrink to what was sent first.
    """
    sent = matched(setup)
    if sent and draw(st.integers(0, 3)) < 3:  # noqa: PLR2004 - three of four
        system, party, reference = draw(st.sampled_from(sent))
        correlation = Correlation.MATCHED
    else:
        system = draw(st.sampled_from(setup.directory.systems))
        party = draw(st.sampled_from(setup.parties))
        reference = draw(_REFERENCES.filter(lambda text: not setup.lookup(text)))
        correlation = Correlation.NOT_CHECKED if setup.sent is None else Correlation.UNKNOWN_REFERENCE
    return answering(
        draw, setup=setup, system=system, party=party, reference=reference, correlation=correlation, bodies=bodies
    )


def answering(  # noqa: PLR0913 - one argument for each thing that is known
    draw: st.DrawFn,
    *,
    setup: RouterSetup,
    system: DeclarationSystem,
    party: PartyId,
    reference: str,
    correlation: Correlation,
    bodies: st.SearchStrategy[bytes],
) -> Scene:
    """
    Draw how a known answer comes.

    Args:
        draw: Of a composite strategy.
        setup: What the router is told.
        system: Who answers.
        party: To whom.
        reference: About what.
        correlation: What the router must find out about K.
        bodies: What stands in it.

    Returns:
        Scenes; they shrink to a mail from a mailbox.
    """
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
