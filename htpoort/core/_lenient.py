"""
Read an envelope that is not in the canonical form, and report everything that is wrong with it.

This module never raises. Every text gives a reading.
"""

from __future__ import annotations

import re
from typing import Final, final

import attrs

from htpoort.core import _headers, grammar
from htpoort.core.errors import Problem

_NAMES: Final = {"V": "the sender", "A": "the addressee", "K": "the reference", "S": "always 0 so far"}


@final
@attrs.frozen
class Reading:
    """
    The result of one pass over a text.

    Args:
        text: The text unfolded and decoded; offsets count in it.
        values: V, A, K and S; valid only if *problems* is empty.
        problems: Why there is no valid envelope.
        notes: What was forgiven.
    """

    text: str
    values: tuple[str, str, str, str]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def value_problems(key: str, value: str, start: int) -> list[Problem]:
    """Find what is wrong with one value; offsets count from *start*."""
    problems: list[Problem] = []
    if not value:
        problems.append(Problem("envelope.value-empty", f"The value of {key} is empty.", start, start))
    if len(value) > grammar.VALUE_LIMIT:
        message = f"The value of {key} has {len(value)} characters; at most {grammar.VALUE_LIMIT} are accepted."
        problems.append(Problem("envelope.value-too-long", message, start, start + len(value)))
    problems.extend(
        Problem(
            "envelope.value-character",
            f"The value of {key} holds U+{ord(character):04X}; only printable ASCII without brackets is accepted.",
            start + offset,
            start + offset + 1,
        )
        for offset, character in enumerate(value)
        if not " " <= character <= "~" or character in "[]"
    )
    return problems


def blank_note(length: int) -> Problem:
    """Note blanks around keys, values or brackets, as in the official example of a reply."""
    return Problem("envelope.blank", "There are blanks around keys, values or brackets.", 0, length)


def _key_problems(text: str, groups: dict[str, list[re.Match[str]]]) -> list[Problem]:
    """Find missing and repeated keys."""
    if not any(groups.values()):
        return [Problem("envelope.absent", "There is no [V=…][A=…][K=…][S=…] in this text.", 0, len(text))]
    if all(len(matches) > 1 for matches in groups.values()):
        # The keys of the second one may be in any order.
        start = min(matches[1].start() for matches in groups.values())
        stop = max(matches[-1].end() for matches in groups.values())
        return [Problem("envelope.two", "There are two envelopes; it is unclear which one counts.", start, stop)]
    end = max(matches[-1].end() for matches in groups.values() if matches)
    return [
        Problem("envelope.key-missing", f"The key {key} ({_NAMES[key]}) is missing.", end, end)
        for key, matches in groups.items()
        if not matches
    ] + [
        Problem("envelope.key-repeated", f"The key {key} appears {len(matches)} times.", match.start(), match.end())
        for key, matches in groups.items()
        for match in matches[1:]
    ]


def _order_notes(text: str, matches: list[re.Match[str]]) -> list[Problem]:
    """Note the order of the keys, and any text around the groups."""
    notes: list[Problem] = []
    order = [match[1].upper() for match in matches if match[1].upper() in grammar.KEYS]
    if order != sorted(order, key=grammar.KEYS.index):
        message = f"The keys are in the order {' '.join(order)}."
        notes.append(Problem("envelope.key-order", message, matches[0].start(), matches[-1].end()))
    edges = [0, *(edge for match in matches for edge in match.span()), len(text)]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if text[start:stop].strip(" \t"):
            notes.append(Problem("envelope.text-around", "There is text beside the envelope.", start, stop))
        elif start != stop:
            notes.append(blank_note(len(text)))
    return notes


def _group(match: re.Match[str]) -> tuple[str, list[Problem], list[Problem]]:
    """Read one `[key=value]`: the value, its problems, its notes."""
    notes: list[Problem] = []
    letter, inner = match[1], match[2]
    key, value = letter.upper(), inner.strip(" \t")
    if key not in grammar.KEYS:
        notes.append(Problem("envelope.key-unknown", f"The key {letter} is not known.", *match.span()))
        return value, [], notes
    if letter != key:
        notes.append(Problem("envelope.key-case", f"The key {letter} is in lower case.", *match.span(1)))
    if value != inner or match.end(1) - match.start() != len(letter) + 1 or match.start(2) != match.end(1) + 1:
        notes.append(blank_note(len(match.string)))
    problems = value_problems(key, value, match.start(2) + len(inner) - len(inner.lstrip(" \t")))
    if not match[3]:
        problems.append(Problem("envelope.unclosed", f"The bracket of {key} is not closed.", *match.span()))
    return value, problems, notes


def _unread_problems(text: str, known: set[int], *, mixed: bool) -> list[Problem]:
    """
    Find what other programs may read differently: words that stay encoded, odd characters in further groups.

    *mixed* means that encoded words stood beside characters above ASCII: then some programs decode no word.
    """
    problems: list[Problem] = []
    if mixed:
        message = "Encoded words are mixed with characters above ASCII; another program may read another envelope."
        problems.append(Problem("envelope.unread-word", message, 0, len(text), "RFC 2047"))
    if word := grammar.UNREAD_WORD.search(text):
        message = "An encoded word cannot be decoded reliably; another program may read another envelope in it."
        problems.append(Problem("envelope.unread-word", message, *word.span(), "RFC 2047"))
    if not known or (text.isascii() and text.isprintable()):
        return problems
    for group in grammar.BRACKETED.finditer(text):
        if group.start() not in known and (odd := grammar.UNPRINTABLE.search(group[0])):
            index = group.start() + odd.start()
            message = f"A bracket group holds U+{ord(odd[0]):04X}; another program may read another envelope in it."
            problems.append(Problem("envelope.group-character", message, index, index + 1))
    return problems


def _plain(text: str) -> tuple[str, list[Problem]]:
    """Unfold and decode a text, and note what that changed."""
    notes: list[Problem] = []
    unfolded = _headers.unfold(text)
    decoded = _headers.decode(unfolded)
    if unfolded != text:
        notes.append(Problem("envelope.folded", "The Subject was folded.", 0, len(decoded)))
    if decoded != unfolded:
        notes.append(Problem("envelope.encoded-word", "The Subject was in encoded words.", 0, len(decoded)))
    return decoded, notes


def span_of(text: str, key: str) -> tuple[int, int]:
    """
    Find the place of a value in a text that holds an envelope.

    >>> span_of("Re: [V=a][A=b][K= c ][S=0]", "K")
    (18, 19)

    Args:
        text: The text that was read.
        key: V, A, K or S.

    Returns:
        Start and stop, in the text unfolded and decoded.
    """
    plain = text if grammar.CANONICAL.fullmatch(text) else _headers.decode(_headers.unfold(text))
    inner = next(match for match in grammar.GROUP.finditer(plain) if match[1].upper() == key)
    start = inner.start(2) + len(inner[2]) - len(inner[2].lstrip(" \t"))
    return start, start + len(inner[2].strip(" \t"))


def read(text: str) -> Reading:
    """
    Read a text that may hold an envelope.

    >>> read("[v= a][A=b][K=c][S=0]").values
    ('a', 'b', 'c', '0')

    Args:
        text: The value of a Subject header.

    Returns:
        The reading, in time proportional to the length of the text.
    """
    if len(text) > grammar.TEXT_LIMIT:
        message = f"The text has {len(text)} characters; at most {grammar.TEXT_LIMIT} are read."
        problem = Problem("envelope.too-long", message, grammar.TEXT_LIMIT, len(text))
        return Reading(text, ("", "", "", ""), (problem,), ())
    # What looks like an encoded word in a canonical line is part of a value.
    canonical = grammar.CANONICAL.fullmatch(text) is not None
    plain, notes = (text, list[Problem]()) if canonical else _plain(text)
    matches = list(grammar.GROUP.finditer(plain))
    groups: dict[str, list[re.Match[str]]] = {key: [] for key in grammar.KEYS}
    values: dict[str, str] = dict.fromkeys(grammar.KEYS, "")
    problems: list[Problem] = []
    for match in matches:
        value, of_value, notes_of_value = _group(match)
        problems.extend(of_value)
        notes.extend(notes_of_value)
        if (key := match[1].upper()) in groups:
            groups[key].append(match)
            values[key] = value
    problems = _key_problems(plain, groups) + problems
    if not canonical:
        mixed = not text.isascii() and plain != _headers.unfold(text)
        known = {match.start() for found in groups.values() for match in found}
        problems += _unread_problems(plain, known, mixed=mixed)
    if not problems:
        notes.extend(_order_notes(plain, matches))
    return Reading(
        plain, (values["V"], values["A"], values["K"], values["S"]), tuple(problems), tuple(dict.fromkeys(notes))
    )
