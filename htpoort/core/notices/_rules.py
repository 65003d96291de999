"""
Apply rules to sentences: a rule is a name, a pattern, and what a sentence states that it matches.

A sentence is understood if its rules, its times and words without a meaning of their own cover all of it. If other
words are left, the facts stand and the sentence counts as unread; if a word that can turn the sense is among them
(*not*, *except*, *only*), nothing of the sentence stands.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Final

import attrs

from htpoort.core.notices._facts import Fact
from htpoort.core.notices._systems import SystemNames
from htpoort.core.notices._text import Passage

__all__ = [
    "LINK",
    "LONGEST_SENTENCE",
    "REFERENCE",
    "TIME",
    "Effect",
    "Found",
    "Rule",
    "RuleSet",
    "SentenceReading",
    "masked",
    "rule",
    "sentence_rule",
]

TIME: Final = "\x01"
REFERENCE: Final = "\x02"
LINK: Final = "\x03"
"""What a pattern sees in place of each character of a time, of a reference, and of an address of a page."""


@attrs.frozen
class Found:
    """
    A match of a rule.

    Args:
        match: The match in the folded text, which has as many characters as the printed one.
        text: The printed text.
        names: The names of systems that the authority prints.
    """

    match: re.Match[str]
    text: str
    names: SystemNames

    def has(self, group: str) -> bool:
        """Return whether a group of the pattern took part."""
        return self.match[group] is not None

    def printed(self, group: str) -> str:
        """Return what a group matched, as printed; empty if it took no part."""
        start, stop = self.match.span(group)
        return self.text[start:stop] if start >= 0 else ""

    def systems(self, group: str = "systems") -> tuple[str, ...] | None:
        """Return the names that a group lists; empty if it took no part; None if it holds anything but names."""
        return self.names.listed(self.printed(group)) if self.has(group) else ()


Effect = Callable[[Found], "Iterable[Fact] | None"]
"""What a match states; None if it is no match after all, such as a list of systems that holds no names."""

_WORDS: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
LONGEST_SENTENCE: Final = 2_000  # characters; no notice has one, and each pattern is tried on it

_TURNING_WORDS: Final = """
    not no never none neither nor except excepting excluding unless without only however but although instead
    apart cannot can't won't isn't aren't doesn't don't hardly other than yet longer previously formerly ikke
    ingen intet aldrig undtagen undtaget medmindre uden kun dog men bortset heller niet geen nooit behalve tenzij
    zonder alleen echter maar uitgezonderd noch"""
_TURNING: Final = frozenset(_TURNING_WORDS.split())
"""Words that can turn the sense of a sentence."""

_EMPTY_WORDS: Final = """
    a an and are as at be been by during for from has have in is it its of on or please note that the their them
    then there this to will with within we you your our also still due because while which these those at all
    service window servicewindow servicewindows prd period maintenance system systems customs danish update
    updated currently now information attention dear user users og at er en et den det de der i på til fra af for
    om med som under ved vi man kan vil skal bliver være har blive servicevindue servicevinduet prd perioden obs
    bemærk venligst opdatering opdateret toldsystemer toldsystemerne gennemfører gennemføres afholder afholdes via
    oplysning het een van en de te dat die dit deze is zijn wordt worden voor op aan in bij met tot om als ook nog
    u uw wij"""
_EMPTY: Final = frozenset(_EMPTY_WORDS.split())
"""Words that state nothing by themselves."""


@attrs.frozen(kw_only=True, slots=False)
class Rule:
    """
    One thing that a sentence can state.

    Args:
        name: Its name; unique.
        source: The pattern that it matches, anywhere in a sentence.
        effect: What the sentence then states.
        cues: One of these stands in every sentence that it matches, in lower case; empty: it is always tried.
    """

    name: str
    source: str
    effect: Effect
    cues: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern; made when a sentence has a cue, because making all of them takes a tenth of a second."""
        return re.compile(self.source)


@cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)


def rule(name: str, pattern: str, *facts: Fact, cues: str = "", effect: Effect | None = None) -> Rule:
    """
    Make a rule.

    Args:
        name: Its name; unique.
        pattern: What it matches: small letters, plain dashes and quotes, as `fold` writes them.
        *facts: What the sentence states; none for a sentence that may be skipped.
        cues: Words, separated by ``|``, of which one stands in every sentence that it matches.
        effect: Gives the facts, if they depend on the match.
    """
    return Rule(
        name=name,
        source=pattern,
        effect=effect or (lambda _found: facts),
        cues=tuple(cue for cue in cues.split("|") if cue),
    )


def sentence_rule(
    name: str,
    *needs: str,
    facts: tuple[Fact, ...] = (),
    cues: str = "",
    harmless: str = "",
    effect: Effect | None = None,
) -> Rule:
    """
    Make a rule that takes a whole sentence in which several things stand, in any order.

    Args:
        name: Its name; unique.
        *needs: Patterns, each of which the sentence must match.
        facts: What the sentence states.
        cues: Words, separated by ``|``, of which one stands in every sentence that it matches.
        harmless: A pattern of phrases that are left out first, since they do not turn the sense: *no return message*.
        effect: Gives the facts, if they depend on the sentence.
    """

    def checked(found: Found) -> Iterable[Fact] | None:
        sentence = found.match.string
        if harmless:
            sentence = _compiled(harmless).sub(" ", sentence)
        patterns = [_compiled(need) for need in needs]
        if not all(pattern.search(sentence) for pattern in patterns):
            return None
        for pattern in patterns:
            sentence = pattern.sub(" ", sentence)
        if _TURNING.intersection(_WORDS.findall(sentence)):
            return None
        return effect(found) if effect is not None else facts

    return rule(name, r"(?s)^.+$", effect=checked, cues=cues)


@attrs.frozen
class SentenceReading:
    """
    What one sentence states.

    Args:
        facts: In the order in which they stand.
        understood: Whether nothing of it was left.
        rules: The names of the rules that matched.
        turned: Whether a word that was left can turn the sense; then there are no facts.
    """

    facts: tuple[Fact, ...] = ()
    understood: bool = False
    rules: tuple[str, ...] = ()
    turned: bool = False


@attrs.frozen
class RuleSet:
    """The rules of an authority, tried in order; of two that overlap the earlier one stands."""

    rules: tuple[Rule, ...]
    names: SystemNames
    neutral: frozenset[str] = frozenset()
    """Words that state nothing beside a rule that matched."""
    _by_cue: dict[str, frozenset[int]] = attrs.field(init=False, repr=False, eq=False)
    _without_cue: frozenset[int] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        by_cue: dict[str, set[int]] = {}
        for number, each in enumerate(self.rules):
            for cue in each.cues:
                by_cue.setdefault(cue, set()).add(number)
        object.__setattr__(self, "_by_cue", {cue: frozenset(numbers) for cue, numbers in by_cue.items()})
        without = frozenset(number for number, each in enumerate(self.rules) if not each.cues)
        object.__setattr__(self, "_without_cue", without)

    def _candidates(self, folded: str) -> list[Rule]:
        """List the rules whose cues a sentence has: trying each of them would take ten times as long."""
        numbers = set(self._without_cue)
        for cue, those in self._by_cue.items():
            if cue in folded:
                numbers |= those
        return [self.rules[number] for number in sorted(numbers)]

    def read(self, sentence: Passage, masks: Iterable[tuple[int, int, str]] = ()) -> SentenceReading:
        """
        Read one sentence.

        Args:
            sentence: It.
            masks: Spans that are read otherwise, and what patterns see in their place.

        Returns:
            What it states.
        """
        folded = masked(sentence.folded, masks)
        taken: list[tuple[int, int, str, tuple[Fact, ...]]] = []
        for candidate in self._candidates(folded):
            match = candidate.pattern.search(folded)
            if match is None or any(match.start() < stop and start < match.end() for start, stop, *_ in taken):
                continue
            facts = candidate.effect(Found(match, sentence.text, self.names))
            if facts is not None:
                taken.append((*match.span(), candidate.name, tuple(facts)))
        taken.sort(key=operator.itemgetter(0, 1))
        left = _words_left(folded, [each[:2] for each in taken])
        names = tuple(name for _, _, name, _ in taken)
        if left & _TURNING:
            return SentenceReading(rules=names, turned=True)
        facts_of_all = tuple(fact for *_, each in taken for fact in each)
        return SentenceReading(facts_of_all, not left - _EMPTY - (self.neutral if names else frozenset()), names)


def masked(folded: str, masks: Iterable[tuple[int, int, str]]) -> str:
    """Put as many of a mask's characters in place of each span."""
    for start, stop, letter in masks:
        folded = folded[:start] + letter * (stop - start) + folded[stop:]
    return folded


def _words_left(sentence: str, spans: Iterable[tuple[int, int]]) -> frozenset[str]:
    """List the words outside of *spans*."""
    pieces: list[str] = []
    position = 0
    for start, stop in sorted(spans):
        pieces.append(sentence[position : max(position, start)])
        position = max(position, stop)
    pieces.append(sentence[position:])
    return frozenset(word for piece in pieces for word in _WORDS.findall(piece))
