"""Describe a router to the strategies: its directory, its parties, and what was sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, final

import attrs
from hypothesis import strategies as st

from htpoort.core import grammar
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.errors import InputError
from htpoort.core.party import PartyId, read_parties
from htpoort.core.routing import Correlation, Quarantined, Reason, Routed, Router, SentRecord
from htpoort.core.text import ascii_lower
from htpoort.testing.strategies._values import SENDABLE, bounds, declaration_systems, party_ids, references

SMALLEST_LIMIT: Final = 131_072
"""Octets that a router must accept, so that each genuine reply fits."""


def _records(values: Iterable[SentRecord] | None) -> tuple[SentRecord, ...] | None:
    return None if values is None else tuple(values)


@final
@attrs.frozen(kw_only=True)
class RouterSetup:
    """
    What a router knows, so that the strategies can write replies for it.

    >>> RouterSetup(parties=["NL123456789.02.05"]).router().directory is HTPOORT
    True

    Args:
        directory: The systems whose replies the router accepts; the published ones by default.
        parties: The declarants that the router accepts replies for; at least one.
        sent: Everything that was sent; None for a router that does not look it up.
        size_limit: The longest message that the router accepts, in octets.

    Raises:
        InputError: *parties* is empty, or one of them is not a party ID.
    """

    directory: Directory = HTPOORT
    parties: tuple[PartyId, ...] = attrs.field(converter=read_parties)
    sent: tuple[SentRecord, ...] | None = attrs.field(default=None, converter=_records)
    size_limit: int = grammar.MESSAGE_LIMIT

    def lookup(self, reference: str) -> tuple[SentRecord, ...]:
        """
        Look up a reference among what was sent.

        Args:
            reference: K, compared exactly.

        Returns:
            Its records, one for each party that used it.
        """
        return tuple(record for record in self.sent or () if record.reference == reference)

    def own(self, party: PartyId, reference: str) -> tuple[SentRecord, ...]:
        """
        Look up what one party sent under a reference.

        Args:
            party: Compared without regard to case.
            reference: K, compared exactly.

        Returns:
            Its records, one for each system.
        """
        return tuple(record for record in self.lookup(reference) if ascii_lower(record.party) == lower(party))

    def router(self) -> Router:
        """
        Make a `Router` of htpoort with this setup.

        Returns:
            A router to compare your own with.
        """
        sent = None if self.sent is None else self.lookup
        return Router(directory=self.directory, parties=self.parties, sent=sent, size_limit=self.size_limit)


@final
@attrs.frozen(kw_only=True)
class RoutedTo:
    """
    The process that a reply belongs to.

    Args:
        system: The name of the system that replies, as in the directory.
        party: The declarant, as the router was given it.
        reference: K, as in the reply.
        correlation: Whether that reference was sent.
    """

    system: str
    party: str
    reference: str
    correlation: Correlation


@final
@attrs.frozen(kw_only=True)
class QuarantinedFor:
    """
    The reason for which a message is quarantined.

    Args:
        reason: The first thing that is wrong.
    """

    reason: Reason


def verdict(result: Routed | Quarantined) -> RoutedTo | QuarantinedFor:
    """
    Reduce the result of htpoort's router to what is compared.

    >>> router = RouterSetup(parties=["NL123456789.02.05"]).router()
    >>> verdict(router.route(mailbox="dms@htpoort.nl", subject="Out of office"))
    QuarantinedFor(reason=<Reason.NO_ENVELOPE: 'no-envelope'>)

    Args:
        result: What `Router.route_message` returned.

    Returns:
        A value that equals `ReplyMessage.expected` if the router is right.
    """
    if isinstance(result, Quarantined):
        return QuarantinedFor(reason=result.reason)
    return RoutedTo(
        system=result.system.name, party=str(result.party), reference=result.reference, correlation=result.correlation
    )


def lower(party: PartyId) -> str:
    """
    Write a party ID in the form that is compared.

    Args:
        party: In any case.

    Returns:
        The same in lower case.
    """
    return ascii_lower(str(party))


Origin: TypeAlias = tuple[DeclarationSystem, PartyId, str]
"""The system that replies, the party it replies to, and K."""


def matching(setup: RouterSetup) -> list[Origin]:
    """
    List the replies that match what was sent.

    Args:
        setup: What the router knows.

    Returns:
        One for each record of a system and a party that the router has.
    """
    systems = {ascii_lower(system.name): system for system in setup.directory}
    parties = {lower(party): party for party in setup.parties}
    return [
        (systems[ascii_lower(record.system)], parties[ascii_lower(record.party)], record.reference)
        for record in setup.sent or ()
        if ascii_lower(record.system) in systems and ascii_lower(record.party) in parties
    ]


def from_another_system(setup: RouterSetup) -> list[Origin]:
    """
    List the replies of a system that the party did not send this K to.

    Args:
        setup: What the router knows.

    Returns:
        One for each other system of each record.
    """
    return [
        (other, party, reference)
        for _, party, reference in matching(setup)
        for other in setup.directory
        if ascii_lower(other.name) not in {ascii_lower(own.system) for own in setup.own(party, reference)}
    ]


def to_another_party(setup: RouterSetup) -> list[Origin]:
    """
    List the replies to a party about a K that only other parties sent.

    Args:
        setup: What the router knows.

    Returns:
        One for each such party and each system.
    """
    known = dict.fromkeys(record.reference for record in setup.sent or ())
    return [
        (system, party, reference)
        for reference in known
        for party in setup.parties
        if not setup.own(party, reference)
        for system in setup.directory
    ]


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
    Draw what a router knows.

    ``router_setups(max_parties=1, max_systems=2, recorded=False)`` draws the published systems and one party.

    Args:
        min_parties: The router's own parties, at least 1.
        max_parties: At most 20.
        min_systems: At least 2: AGS and DMS are always among them.
        max_systems: At most 20.
        min_sent: Transmissions that the router knows of; some are of a party that the router no longer has.
        max_sent: At most 100; fewer are drawn if two have the same party and K.
        recorded: Whether the router looks up what was sent; by default most do.

    Returns:
        Setups; they shrink to the published systems and one party.

    Raises:
        InvalidArgument: No setup has these sizes; raised when the first value is drawn.
    """
    bounds("parties", min_parties, max_parties, lowest=1, highest=20)
    bounds("systems", min_systems, max_systems, lowest=2, highest=20)
    bounds("sent", min_sent, max_sent, lowest=0, highest=100)
    directory = _added(draw, min_systems - 2, max_systems - 2)
    parties = draw(st.lists(_PARTIES, min_size=min_parties, max_size=max_parties, unique_by=lower))
    sent = None
    if draw(st.sampled_from([False, True, True, True])) if recorded is None else recorded:
        former = [
            party for party in draw(st.lists(_PARTIES, max_size=1)) if lower(party) not in set(map(lower, parties))
        ]
        senders = st.sampled_from([*parties, *former]).map(str)
        # Few K's for all of them, so that two parties often share one.
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
    size_limit = draw(st.sampled_from([52_428_800, SMALLEST_LIMIT, 150_000]))
    return RouterSetup(directory=directory, parties=tuple(parties), sent=sent, size_limit=size_limit)


def _added(draw: st.DrawFn, least: int, most: int) -> Directory:
    """Add systems to the published ones."""
    directory = HTPOORT
    for number in range(draw(st.integers(least, most))):
        system = draw(_SYSTEMS)
        try:
            directory = directory.add(system)
        except InputError:
            # It shares something with another. While an example shrinks, drawing again might never find a free one.
            name = f"Another {number}"
            mailbox, process_id = f"another-{number}@customs.example", f"ANOTHER-{number}.NL"
            directory = directory.add(DeclarationSystem(name=name, mailbox=mailbox, process_id=process_id))
    return directory


st.register_type_strategy(RouterSetup, lambda _kind: router_setups())
