"""
Read and compare party IDs, such as NL123456789.02.05, and find one among those that are known.

This module never verifies check digits. The eleven-test fails on the official examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar, cast, final

import attrs

from htpoort.core import grammar
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.text import ascii_lower

__all__ = ["PartyId"]

PartyT = TypeVar("PartyT")


def _parts(matched: re.Match[str]) -> tuple[str, str, tuple[str, ...]]:
    return matched[1], matched[2], tuple(matched[3].split(".")[1:])


def _lower(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(group.lower() for group in groups)


@final
@attrs.frozen(kw_only=True)
class PartyId:
    """
    The ID of one declarant (*aangever*): V of a request, A of a reply.

    Party IDs that differ only in the case of ASCII letters are equal.

    >>> party = PartyId.parse("NL123456789.02.05")
    >>> party.country, party.number, party.groups
    ('NL', '123456789', ('02', '05'))
    >>> str(party)
    'NL123456789.02.05'

    Args:
        country: Two ASCII letters.
        number: 1 to 15 ASCII digits; nine in the official example.
        groups: The groups after the dots: up to 8, each of 1 to 16 ASCII letters and digits. The first seems to be the
            sequence number (*volgnummer*), the second the message flow; both are inferred.

    Raises:
        InputError: The parts do not make a party ID.

    Source:
        Official page "Hoe bereid ik me voor op DMS?" for the example; more and fewer groups are seen in the field.
    """

    country: str = attrs.field(eq=str.lower)
    number: str
    groups: tuple[str, ...] = attrs.field(default=(), eq=_lower)

    def __attrs_post_init__(self) -> None:
        groups = cast("object", self.groups)
        text = ".".join(map(str, (f"{self.country}{self.number}", *self.groups))) if isinstance(groups, tuple) else ""
        matched = grammar.PARTY.fullmatch(text)
        # The whole may look right although its parts do not: NL1 and 23, or a group "02.05".
        if matched is None or _parts(matched) != (self.country, self.number, self.groups):
            raise _refusal(text)

    @classmethod
    def parse(cls, text: str) -> PartyId:
        """
        Read a party ID.

        Args:
            text: For example ``NL123456789.02.05``; a message carries at most 35 characters.

        Returns:
            The party ID; its `str` is exactly *text*.

        Raises:
            InputError: *text* is not a party ID, or not a str.
        """
        try:
            matched = grammar.PARTY.fullmatch(text)
        except TypeError:
            message = f"text is {type(text).__name__}; give a str."
            raise InputError("", (Problem("input.type", message),)) from None
        if matched is None:
            raise _refusal(text)
        country, number, groups = _parts(matched)
        return cls(country=country, number=number, groups=groups)

    def covers(self, other: PartyId | str) -> bool:
        """
        Check whether two IDs name the same party, even if one has fewer groups.

        IDs in message bodies have fewer or more groups than the Subject, so equality would lose replies.

        >>> PartyId.parse("NL123456789.02.05").covers("NL123456789.02")
        True
        >>> PartyId.parse("NL123456789.02.05").covers("NL123456789.03")
        False

        Args:
            other: A party ID, or any text.

        Returns:
            True if country and number are the same and the groups of one begin with those of the other; False for a
            text that is not a party ID.
        """
        if isinstance(other, str):
            if not grammar.PARTY.fullmatch(other):
                return False
            other = PartyId.parse(other)
        shared = min(len(self.groups), len(other.groups))
        own, others = _lower(self.groups[:shared]), _lower(other.groups[:shared])
        return (self.country.lower(), self.number, own) == (other.country.lower(), other.number, others)

    def __str__(self) -> str:
        return ".".join((f"{self.country}{self.number}", *self.groups))


def _refusal(text: str) -> InputError:
    """Explain that a text is not a party ID."""
    message = "This is not a party ID; write two letters, digits and groups after dots, as in NL123456789.02.05."
    return InputError(text, (Problem("party.form", message, 0, len(text)),))


def read_parties(values: Iterable[PartyId | str]) -> tuple[PartyId, ...]:
    """
    Read the parties of a router or a dispatcher.

    Args:
        values: Party IDs, at least one.

    Returns:
        Each party once, in order.

    Raises:
        InputError: There is no value, or some are not party IDs. The error lists every problem.
    """
    parties: dict[str, PartyId] = {}
    problems: list[Problem] = []
    single: object = values  # a str is an iterable of str too
    for value in [single] if isinstance(single, str) else values:
        try:
            party = value if isinstance(value, PartyId) else PartyId.parse(str(value))
        except InputError as error:
            problems.extend(
                attrs.evolve(problem, message=f"parties: {value!r} {problem.message.removeprefix('This ')}")
                for problem in error.problems
            )
        else:
            parties[str(party).lower()] = party
    if isinstance(single, str):
        problems.append(Problem("input.type", f"parties is the str {single!r}; give a list of party IDs."))
    elif not parties and not problems:
        message = "parties is empty; give at least one party ID, or every reply is quarantined."
        problems.append(Problem("input.parties", message))
    if problems:
        raise InputError("", tuple(problems))
    return tuple(parties.values())


def find_party(parties: Iterable[PartyT], text: str, place: str) -> PartyT:
    """
    Find a party among those that are known.

    >>> parties = read_parties(["NL123456789.02.05"])
    >>> str(find_party(parties, "nl123456789.02.05", "parties"))
    'NL123456789.02.05'
    >>> find_party(parties, "NL000000000", "parties")
    Traceback (most recent call last):
        ...
    htpoort.core.errors.UnknownError: party 'NL000000000' is not in parties. ...

    Args:
        parties: The known parties; also users of a file gateway, which have the place of a party.
        text: A party ID, in any case.
        place: Where the parties are listed, for the error.

    Returns:
        The party, as *parties* spells it.

    Raises:
        UnknownError: It is none of them.
    """
    known = {ascii_lower(str(party)): party for party in parties}
    if (found := known.get(ascii_lower(text))) is None:
        raise UnknownError("party", text, place, tuple(sorted(map(str, known.values()))))
    return found
