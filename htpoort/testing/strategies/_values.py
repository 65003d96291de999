"""
Draw the values of the core: party IDs, references, envelopes, systems, submissions.

Their sets of characters are typed here a second time, not taken from the core, so that a test shows a difference.
"""

from __future__ import annotations

import functools
import operator
import string
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from htpoort import AGS, DMS, DeclarationSystem, Mark, PartyId, RoutingEnvelope, Submission, build

ALNUM: Final = string.digits + string.ascii_letters
"""Digits first: a failing example shrinks to what comes first."""

INSIDE: Final = ALNUM + "".join(sorted(set(map(chr, range(0x20, 0x7F))) - {*ALNUM, "[", "]"}))
"""Printable ASCII without brackets."""

SENDABLE: Final = 35
"""Characters of V, A and K that `build` sends."""

READABLE: Final = 256
"""Characters of the longest value that the reader takes."""

_ANY_TEXT: Final = INSIDE + "[]\t\n\0\x1b\x7f\xa0\xe9\xdf\u0130\u20ac\u2028\u212a\ufeff\N{GRINNING FACE}"
"""Some characters of every kind, for texts that are only displayed."""

_GROUP: Final = 16
_ZONES: Final = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))

DATES: Final = st.datetimes(
    min_value=datetime(1900, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - the same
    timezones=_ZONES,
)
"""Aware datetimes that a Date header can hold."""


def bounds(name: str, least: int, most: int, *, lowest: int, highest: int) -> None:
    """
    Refuse a range of sizes that is empty or too wide.

    Args:
        name: The name of the argument, after ``min_`` and ``max_``.
        least: The smallest size that the caller gives.
        most: The largest.
        lowest: The smallest size that is possible.
        highest: The largest that is possible.

    Raises:
        InvalidArgument: The range is empty, or not within the possible one.
    """
    if not lowest <= least <= most <= highest:
        message = f"min_{name}={least}, max_{name}={most}: give {lowest} <= min_{name} <= max_{name} <= {highest}."
        raise InvalidArgument(message)


@functools.cache  # a strategy that is made anew for each value is checked anew: that takes longer than drawing from it
def texts(alphabet: str, *, min_size: int = 0, max_size: int) -> st.SearchStrategy[str]:
    """
    Draw texts from an alphabet.

    `hypothesis.strategies.text` makes a table of all Unicode characters, whatever its alphabet. The first time in a
    folder, that takes longer than the health check of Hypothesis allows.

    Args:
        alphabet: The characters.
        min_size: In characters.
        max_size: In characters.

    Returns:
        Texts; they shrink to few characters, and to the first of *alphabet*.
    """
    octets = st.binary(min_size=min_size, max_size=max_size)  # one choice for a text, not two for each character
    return octets.map(lambda drawn: "".join(alphabet[octet % len(alphabet)] for octet in drawn))


_COUNTRIES: Final = texts(string.ascii_uppercase + string.ascii_lowercase, min_size=2, max_size=2)


@st.composite
def references(draw: st.DrawFn, *, min_length: int = 1, max_length: int = SENDABLE) -> str:
    """
    Draw references (*kenmerken*), K as `build` takes it.

    ``references(min_length=29)`` draws those with which Python's `email` folds the Subject.

    Args:
        min_length: In characters, at least 1.
        max_length: In characters, at most 35.

    Returns:
        Letters and digits; they shrink to few and to ``0``.

    Raises:
        InvalidArgument: No value has such a length; raised when the first one is drawn.
    """
    bounds("length", min_length, max_length, lowest=1, highest=SENDABLE)
    return draw(texts(ALNUM, min_size=min_length, max_size=max_length))


@st.composite
def party_ids(  # noqa: PLR0913 - one pair for each part that has a size
    draw: st.DrawFn,
    *,
    country: str | None = None,
    min_digits: int = 1,
    max_digits: int = 15,
    min_groups: int = 0,
    max_groups: int = 8,
    min_group_length: int = 1,
    max_group_length: int = _GROUP,
    max_length: int | None = None,
) -> PartyId:
    """
    Draw party IDs.

    By default everything that a `PartyId` can hold. ``party_ids(max_length=35)`` draws what `build` takes, and
    ``party_ids(country="NL", min_digits=9, max_digits=9, min_groups=2, max_groups=2, max_group_length=2)`` IDs
    like the official example. Check digits are random, as in the official examples.

    Args:
        country: Two ASCII letters; any two by default.
        min_digits: Digits of the number, at least 1.
        max_digits: At most 15.
        min_groups: Groups after the number, at least 0.
        max_groups: At most 8.
        min_group_length: Letters and digits of one group, at least 1.
        max_group_length: At most 16.
        max_length: Characters of the whole text, with its dots; no limit by default.

    Returns:
        Party IDs; they shrink to few digits and groups.

    Raises:
        InvalidArgument: No party ID has such sizes; raised when the first one is drawn.
    """
    bounds("digits", min_digits, max_digits, lowest=1, highest=15)
    bounds("groups", min_groups, max_groups, lowest=0, highest=8)
    bounds("group_length", min_group_length, max_group_length, lowest=1, highest=_GROUP)
    shortest = 2 + min_digits + min_groups * (1 + min_group_length)
    room = 2 + 15 + 8 * (1 + _GROUP) if max_length is None else max_length
    if room < shortest:
        message = f"max_length={max_length}: the shortest of these party IDs has {shortest} characters."
        raise InvalidArgument(message)
    room -= shortest
    number = draw(texts(string.digits, min_size=min_digits, max_size=min(max_digits, min_digits + room)))
    room -= len(number) - min_digits
    groups: list[str] = []
    more = min(max_groups - min_groups, room // (1 + min_group_length))
    for at in range(draw(st.integers(min_groups, min_groups + more))):
        if at >= min_groups:
            if room < 1 + min_group_length:
                break
            room -= 1 + min_group_length
        longest = min(max_group_length, min_group_length + room)
        groups.append(draw(texts(ALNUM, min_size=min_group_length, max_size=longest)))
        room -= len(groups[-1]) - min_group_length
    return PartyId(country=draw(_COUNTRIES) if country is None else country, number=number, groups=tuple(groups))


@st.composite
def envelope_values(draw: st.DrawFn, *, min_length: int = 1, max_length: int = READABLE) -> str:
    """
    Draw values of V, A, K or S that the reader takes.

    Args:
        min_length: In characters, at least 1.
        max_length: In characters, at most 256.

    Returns:
        Printable ASCII without brackets, and without a blank at either end.

    Raises:
        InvalidArgument: No value has such a length; raised when the first one is drawn.
    """
    bounds("length", min_length, max_length, lowest=1, highest=READABLE)
    drawn = draw(texts(INSIDE, min_size=min_length, max_size=max_length))
    # Replacing the blanks keeps the length, and rejects no example.
    return drawn.lstrip(" ").rjust(len(drawn), "0").rstrip(" ").ljust(len(drawn), "0")


def plain_values(*, max_length: int = READABLE) -> st.SearchStrategy[str]:
    """
    Draw values that mean the same with and without decoding.

    Args:
        max_length: In characters, at most 256.

    Returns:
        Values that do not look like an encoded word, also after the equals sign; programs might decode it.
    """
    return envelope_values(max_length=max_length).filter(lambda text: "=?" not in f"={text}".replace(" ", ""))


@st.composite
def routing_envelopes(  # noqa: PLR0913 - one for each value
    draw: st.DrawFn,
    *,
    senders: st.SearchStrategy[str] | None = None,
    addressees: st.SearchStrategy[str] | None = None,
    references: st.SearchStrategy[str] | None = None,
    s_values: st.SearchStrategy[str] | None = None,
    min_length: int = 1,
    max_length: int = READABLE,
) -> RoutingEnvelope:
    """
    Draw routing envelopes.

    By default everything that can be read; the writer takes less. For envelopes of requests to DMS, write
    ``routing_envelopes(senders=party_ids(max_length=35).map(str), addressees=st.just("DMS4.NL"))``.

    Args:
        senders: V.
        addressees: A.
        references: K.
        s_values: S.
        min_length: Characters of each value without a strategy, at least 1.
        max_length: The same, at most 256.

    Returns:
        Envelopes; each value shrinks by itself.

    Raises:
        InvalidArgument: No value has such a length; raised when the first one is drawn.
        InputError: A strategy of yours draws a value that an envelope cannot hold.
    """
    values = envelope_values(min_length=min_length, max_length=max_length)
    return RoutingEnvelope(
        sender=draw(values if senders is None else senders),
        addressee=draw(values if addressees is None else addressees),
        reference=draw(values if references is None else references),
        s=draw(values if s_values is None else s_values),
    )


_LABEL: Final = texts(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
_ATOM: Final = texts(string.ascii_lowercase + string.digits + string.ascii_uppercase + "-_+", min_size=1, max_size=12)
_LABELS: Final = st.lists(_LABEL, min_size=1, max_size=2)
_ATOMS: Final = st.lists(_ATOM, min_size=1, max_size=2)


@st.composite
def mailboxes(draw: st.DrawFn) -> str:
    """
    Draw mailboxes below ``.example``, which do not exist.

    Returns:
        ASCII, a dot-atom on both sides.
    """
    local = ".".join(draw(_ATOMS))
    return f"{local}@{'.'.join(draw(_LABELS))}.example"


def process_ids() -> st.SearchStrategy[str]:
    """
    Draw process IDs.

    Returns:
        1 to 35 letters, digits, dots, hyphens and underscores.
    """
    return texts(ALNUM + "._-", min_size=1, max_size=SENDABLE)


_MAILBOXES: Final = mailboxes()
_PUBLISHED: Final = st.booleans().map(operator.not_)
_NAME_ENDS: Final = texts(ALNUM + " ._-", max_size=20).map(lambda text: text.rstrip(" "))


@st.composite
def declaration_systems(
    draw: st.DrawFn,
    *,
    published: bool = True,
    min_reply_ids: int = 1,
    max_reply_ids: int = 3,
) -> DeclarationSystem:
    """
    Draw declaration systems.

    AGS, DMS, or one with a mailbox below ``.example``; ``declaration_systems(published=False)`` draws the last only.
    Some reply under other process IDs than the one that they are addressed by.

    Args:
        published: Whether AGS and DMS are among them; they have one reply ID each.
        min_reply_ids: Process IDs that a system replies under, at least 1.
        max_reply_ids: At most 35.

    Returns:
        Systems; they shrink to AGS.

    Raises:
        InvalidArgument: No system has such a number; raised when the first one is drawn.
    """
    bounds("reply_ids", min_reply_ids, max_reply_ids, lowest=1, highest=35)
    if published and min_reply_ids == 1 and draw(_PUBLISHED):
        return draw(st.sampled_from([AGS, DMS]))
    process_id = draw(process_ids())
    ids = st.just(process_id) | process_ids()
    reply_ids = st.frozensets(ids, min_size=min_reply_ids, max_size=max_reply_ids)
    name = draw(st.sampled_from(ALNUM)) + draw(_NAME_ENDS)
    return DeclarationSystem(
        name=name,
        mailbox=draw(_MAILBOXES),
        process_id=process_id,
        reply_ids=draw(reply_ids),
        title=draw(texts(_ANY_TEXT, max_size=20)),
        source=draw(texts(_ANY_TEXT, max_size=20)),
        mark=draw(st.sampled_from(Mark)),
        closed=draw(st.none() | st.dates()),
    )


@st.composite
def submissions(  # noqa: PLR0913 - one for each thing that a message has
    draw: st.DrawFn,
    *,
    systems: st.SearchStrategy[DeclarationSystem] | None = None,
    parties: st.SearchStrategy[PartyId] | None = None,
    references: st.SearchStrategy[str] | None = None,
    payloads: st.SearchStrategy[bytes] | None = None,
    min_length: int = 1,
    max_length: int = 1_000,
) -> Submission:
    """
    Draw messages as `build` makes them.

    ``submissions(systems=st.just(DMS), payloads=st.just(b"<MetaData/>"))`` draws one declaration to DMS in many
    envelopes.

    Args:
        systems: The systems that they go to; any by default.
        parties: The senders; by default any whose ID has at most 35 characters.
        references: K.
        payloads: The declarations; by default XML, EDIFACT and any octets.
        min_length: Octets of a payload, if there is no strategy for it; at least 1.
        max_length: The same, at most 1,000,000.

    Returns:
        Submissions; they shrink to AGS and a short payload.

    Raises:
        InvalidArgument: No value has such a length; raised when the first one is drawn.
        InputError: A strategy of yours draws a value that `build` refuses.
    """
    bounds("length", min_length, max_length, lowest=1, highest=1_000_000)
    if payloads is None:
        payloads = declarations(min_length=min_length, max_length=max_length)
    layout: Literal["body", "attachment"] = "attachment" if draw(st.booleans()) else "body"
    mailbox = draw(_MAILBOXES)
    return build(
        system=draw(declaration_systems() if systems is None else systems),
        party=draw(party_ids(max_length=SENDABLE) if parties is None else parties),
        mailbox=mailbox,
        reference=draw(_references() if references is None else references),
        payload=draw(payloads),
        date=draw(DATES),
        message_id=f"<{draw(_references())}@{mailbox.partition('@')[2]}>",
        layout=layout,
        s=draw(st.sampled_from(string.digits)),
    )


_references = references  # the argument of the same name hides it


def declarations(*, min_length: int, max_length: int) -> st.SearchStrategy[bytes]:
    """
    Draw payloads: beginnings of XML or EDIFACT, and any octets.

    Args:
        min_length: In octets.
        max_length: In octets.

    Returns:
        Payloads.
    """
    octets = st.binary(min_size=min_length, max_size=max_length)
    starts = st.sampled_from([b"<MetaData/>", b"UNB+UNOC:3+SYNTHETIC'\r\n"])
    return st.tuples(starts, octets).map(lambda parts: b"".join(parts)[:max_length]) | octets
