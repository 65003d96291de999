"""
Names of systems as a notice prints them: lists of them, other forms of one, and slips.

This module keeps names as printed, and never corrects one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import attrs

__all__ = ["SystemNames", "base_and_bracket", "same_system"]

_BRACKETED = re.compile(r"([^()]+?)\s*\(([^()]+)\)")
_SEPARATOR = re.compile(
    r"\s*[,/;+&]\s*(?:and\s+|or\s+|og\s+|eller\s+|en\s+)?|\s+(?:and|or|og|eller|en)\s+"
    r"|\s*\bas well as\b\s*|\s*\bsamt\b\s*",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:the|all|both|den|det|de|alle|het|our|your|\w{0,20}systemet|system)\s+", re.IGNORECASE)
_GENERIC = re.compile(r"\s+(?:systems?|systemernes?|systemet|systemen|process(?:es)?|proces)$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_][\w.&'-]*|\([^()]*\)")
_SMALL_WORDS: Final = """
    of to in for from the a an and into til for af i fra van de het en in naar uit voor goods"""
_SMALL: Final = frozenset(_SMALL_WORDS.split())
_NO_NAME_WORDS: Final = """
    are is can may has have been be does was were shall should must er kan skal har bliver zijn wordt worden
    affected all any at before during each every file files following from if it message messages not once online
    only our please service that these they this those use we when will within without you your access available
    unavailable date time update updated new systems system
    systemet systemerne toldsystemet toldsystemerne processes processen adgang
    der det filer ikke kun som vi er vil under"""
_NO_NAME: Final = frozenset(_NO_NAME_WORDS.split())
_TWO = 2
_LONGEST_LIST = 1_000  # characters
_LONGEST = 8  # words of a name


@lru_cache(maxsize=4096)
def base_and_bracket(name: str) -> tuple[str, str]:
    """Split ``Import Control System (ICS)`` into the name and what stands in brackets; both in lower case."""
    if (match := _BRACKETED.fullmatch(name)) is not None:
        return match[1].casefold(), match[2].casefold()
    return name.casefold(), ""


def _initials(words: str) -> str:
    return "".join(word[0] for word in words.split())


@lru_cache(maxsize=4096)
def same_system(one: str, other: str) -> bool:
    """Return whether two printed names are forms of one: with and without brackets, or either of both alone."""
    first, second = base_and_bracket(one), base_and_bracket(other)
    if first == second or first[0] == second[0]:
        return True
    return bool((first[1] and first[1] in second) or (second[1] and second[1] in first))


def short_form(name: str) -> str:
    """Return what a name has in brackets as its own initials, in lower case; empty if it has none."""
    base, bracket = base_and_bracket(name)
    return bracket if bracket == _initials(base) else ""


def _one_letter_apart(one: str, other: str) -> bool:
    """Return whether one letter was exchanged, lost, added, or swapped with the next."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rests = one[start:], other[start:]
    return (
        rests[0][1:] == rests[1][1:]
        or rests[0][1:] == rests[1]
        or rests[0] == rests[1][1:]
        or (rests[0][:2] == rests[1][:2][::-1] and rests[0][2:] == rests[1][2:])
    )


@attrs.frozen
class SystemNames:
    """
    The names that an authority prints.

    Args:
        known: The names as printed.
        categories: What stands in lists of systems and is none, in lower case.
    """

    known: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    _by_key: dict[str, str] = attrs.field(init=False, repr=False, eq=False)
    _parted: tuple[str, ...] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_by_key", {name.casefold(): name for name in self.known})
        parted = tuple(key for key in self._by_key if _SEPARATOR.search(key) is not None)
        object.__setattr__(self, "_parted", parted)

    def is_known(self, name: str) -> bool:
        """Return whether it is one of the table, in any case."""
        return name.casefold() in self._by_key

    def suggestion(self, name: str, printed: Iterable[str]) -> str | None:
        """Find the name that *name* is probably a slip of: one letter apart from a known or a printed one."""
        key = name.casefold()
        if key in self._by_key or len(key) < 5:  # noqa: PLR2004  # short names are one letter apart by right
            return None
        candidates = {**self._by_key, **{other.casefold(): other for other in printed if other != name}}
        return next((other for near, other in candidates.items() if _one_letter_apart(key, near)), None)

    def known_start(self, phrase: str) -> str:
        """Return the longest known name that a phrase begins with, as printed; empty if there is none."""
        lowered = phrase.casefold()
        names = (key for key in self._by_key if lowered == key or lowered.startswith(f"{key} "))
        return phrase[: len(max(names, key=len, default=""))]

    def listed(self, phrase: str) -> tuple[str, ...] | None:
        """
        Read a list of names.

        Args:
            phrase: Such as ``Import, Export and NCTS (Transit)`` or ``DMS Import/DMS Export``.

        Returns:
            The names as printed, each once, without categories; None if any part of it is no name.
        """
        if len(phrase) > _LONGEST_LIST:
            return None
        names: list[str] = []
        phrase = phrase.strip(" \t\r\n.:,*•-–")
        if self.is_known(phrase):
            return (phrase,)
        parts = self._parts(phrase)
        for part in parts:
            name = " ".join(part.split())
            if (article := _ARTICLE.match(name)) is not None:
                name = name[article.end() :]
            if (generic := _GENERIC.search(name)) is not None:
                name = name[: generic.start()]
            if name.casefold().startswith("e-") and self.is_known(name[2:]):
                name = name[2:]
            if not self._plain(name) and not self._is_shaped(name):
                return None
            if name not in names and name.casefold() not in self.categories:
                names.append(name)
        return tuple(names) if parts else None

    def _plain(self, name: str) -> bool:
        return self.is_known(name) or name.casefold() in self.categories

    def _is_shaped(self, name: str) -> bool:
        words = _WORD.findall(name)
        if not words or len(words) > _LONGEST or not (name[0].isupper() or name[0].isdigit()):
            return False
        if words[-1] in _SMALL or self._is_two(name):
            return False
        base, bracket = base_and_bracket(name)
        if bracket and bracket == _initials(base):
            return True  # `Import Control System (ICS)`
        if any(word.casefold() in _NO_NAME for word in words) or not any(c.isalpha() for c in name):
            return False
        if len(words) == 1 or (len(words) == _TWO and words[0].isupper()):
            return True  # `DMS eksport`
        return all(word[0].isupper() or word[0] in "(0123456789" or word in _SMALL for word in words)

    def _is_two(self, name: str) -> bool:
        """Return whether a known name follows another: a word between them was lost."""
        words = name.split(" ")
        halves = ((" ".join(words[:place]), " ".join(words[place:])) for place in range(1, len(words)))
        return any(self.is_known(first) and self.is_known(second) for first, second in halves)

    def _parts(self, phrase: str) -> list[str]:
        """Split at commas, slashes and words for *and* that stand outside brackets and outside known names."""
        parts: list[str] = []
        start = 0
        for match in _SEPARATOR.finditer(phrase):
            head, tail = phrase[start : match.start()], phrase[start:]
            if head.count("(") > head.count(")") or self._known_beyond(tail, match.end() - start):
                continue
            parts.append(head)
            start = match.end()
        parts.append(phrase[start:])
        return [part for part in parts if part.strip()]

    def _known_beyond(self, tail: str, separator: int) -> bool:
        """Return whether *tail* begins with a known name that goes on beyond the separator."""
        return any(len(key) > separator and tail[: len(key)].casefold() == key for key in self._parted)
