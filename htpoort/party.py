"""
Read and compare party IDs, such as NL123456789.02.05.

Never does: check digits. The eleven-test fails on the official examples.
"""

from __future__ import annotations

import re
from typing import cast, final

import attrs

from htpoort import _grammar
from htpoort.errors import InputError, Problem

__all__ = ["PartyId"]


def _parts(matched: re.Match[str]) -> tuple[str, str, tuple[str, ...]]:
    return matched[1], matched[2], tuple(matched[3].split(".")[1:])


def _lower(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(group.lower() for group in groups)


@final
@attrs.frozen(kw_only=True)
class PartyId:
    """
    Name one declarant (*aangever*) as it stands in V of a request and in A of a reply.

    Two party IDs are equal where they differ in the case of ASCII letters only.

    >>> party = PartyId.parse("NL123456789.02.05")
    >>> party.country, party.number, party.groups
    ('NL', '123456789', ('02', '05'))
    >>> str(party)
    'NL123456789.02.05'

    Args:
        country: Two ASCII letters.
        number: 1 to 15 ASCII digits; nine in the official example.
        groups: What follows, without its dots: up to 8 groups of 1 to 16 ASCII letters and digits. The
            first looks like the sequence number (*volgnummer*), the second like the message flow; both inferred.

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
        matched = _grammar.PARTY.fullmatch(text)
        # The whole may read well although its parts do not: NL1 and 23, or a group "02.05".
        if matched is None or _parts(matched) != (self.country, self.number, self.groups):
            raise _refusal(text)

    @classmethod
    def parse(cls, text: str) -> PartyId:
        """
        Read a party ID.

        Args:
            text: For example ``NL123456789.02.05``; at most 35 characters are ever sent.

        Returns:
            The party ID; `str` gives *text* back as it was.

        Raises:
            InputError: *text* is not a party ID.
        """
        matched = _grammar.PARTY.fullmatch(text)
        if matched is None:
            raise _refusal(text)
        country, number, groups = _parts(matched)
        return cls(country=country, number=number, groups=groups)

    def covers(self, other: PartyId | str) -> bool:
        """
        Say whether two ids name the same party, one of them perhaps with fewer groups.

        Ids in message bodies carry fewer or more groups than the Subject, so equality would lose replies.

        >>> PartyId.parse("NL123456789.02.05").covers("NL123456789.02")
        True
        >>> PartyId.parse("NL123456789.02.05").covers("NL123456789.03")
        False

        Args:
            other: A party ID, or a text that may not be one.

        Returns:
            True where country and number are the same and the groups of one begin with those of the
            other; False for a text that is not a party ID.
        """
        if isinstance(other, str):
            if not _grammar.PARTY.fullmatch(other):
                return False
            other = PartyId.parse(other)
        shared = min(len(self.groups), len(other.groups))
        own, others = _lower(self.groups[:shared]), _lower(other.groups[:shared])
        return (self.country.lower(), self.number, own) == (other.country.lower(), other.number, others)

    def __str__(self) -> str:
        return ".".join((f"{self.country}{self.number}", *self.groups))


def _refusal(text: str) -> InputError:
    """Tell why a text is no party ID."""
    message = "This is not a party ID; write two letters, digits and groups after dots, as in NL123456789.02.05."
    return InputError(text, (Problem("party.form", message, 0, len(text)),))
