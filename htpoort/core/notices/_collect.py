"""
Collect what the sentences of one text state, section after section.

This module makes no rows and resolves no contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar

import attrs

from htpoort.core.errors import Problem
from htpoort.core.notices import _facts as facts
from htpoort.core.notices._authorities import Authority
from htpoort.core.notices._facts import EventKind, TimeRole
from htpoort.core.notices._processes import process_names
from htpoort.core.notices._rules import LINK, LONGEST_SENTENCE, REFERENCE, TIME, SentenceReading, masked
from htpoort.core.notices._systems import same_system
from htpoort.core.notices._text import Line, Passage
from htpoort.core.notices._times import Period, read_periods
from htpoort.core.notices.notice import Access, NoticeKind

__all__ = ["CUT", "Collected", "Placed", "SentenceReader", "TimedPeriod", "collect"]

F = TypeVar("F")

_OF_MESSAGES: Final = re.compile(r"messag|bericht|declarati|aangift|notificati|melding|filings?\b|lodg")
"""What a sentence has that is about what declarants send."""

_MOVES: Final = re.compile(
    r"\b(?:moved|postponed|rescheduled|brought forward|changed|flyttet|udskudt|rykket|fremrykket|ændret|verplaatst"
    r"|verschoven|uitgesteld|verzet|gewijzigd)\b"
)

_EMPTY_BOXES: Final = frozenset("☐□▢")
_WORDS_OF_MESSAGE: Final = 5  # at most, of a name that reads like a sentence: "Invalidation request"
_MOST_FACTS: Final = 500  # of one text, each compared with the others; no notice has a tenth of them
_LONGEST_MESSAGE: Final = 80  # characters of the name of a message that has no bullet

_URL = re.compile(
    r"(?:https?://|www\.)[^\s()<>]+|\b[a-z0-9-]+(?:\.[a-z0-9-]+){0,4}\.(?:dk|nl|eu|com|org|example)\b(?:/[^\s()<>]*)?"
)
CUT: Final = re.compile(r"\[(?:cut|truncated|afgekort|afgebroken|forkortet)[^\]\n]{0,40}\]")
"""The remark of a collector that the rest was not kept."""

_TIME: Final = re.compile(
    r"[0-9]|day|dag|midn|middern|noon|night|nacht|nat\b|tomorrow|morgen|gister|går|aften|avond|ochtend|middag"
)
"""What every day or hour has something of; looking for one takes longest of all."""

_UPDATE: Final = re.compile(
    rf"(?:new |ny )?(?:updated?|opdatering|opdateret)(?: (?:at|on|the|per|kl\.?|den|d\.))*:? ?(?={TIME})"
)


@attrs.frozen(kw_only=True)
class Placed(Generic[F]):
    """
    A fact and its place.

    Args:
        fact: The fact.
        section: Number of its section; 0 before the first heading.
        index: Number of its sentence.
        passage: Its sentence.
        access: The access that the heading above it names.
    """

    fact: F
    section: int
    index: int
    passage: Passage
    access: Access | None = None


@attrs.frozen(kw_only=True)
class TimedPeriod:
    """A period, and what its times are the times of."""

    period: Period
    role: TimeRole
    section: int
    index: int
    passage: Passage


@attrs.define
class Collected:
    """What the sentences of one text state, in the order in which they stand."""

    sections: list[tuple[str, ...]] = attrs.field(factory=lambda: [()])
    statements: list[Placed[facts.Statement]] = attrs.field(factory=list)
    asks: list[Placed[facts.Asks]] = attrs.field(factory=list)
    permits: list[Placed[facts.Permits]] = attrs.field(factory=list)
    events: list[Placed[facts.Event]] = attrs.field(factory=list)
    stated: set[EventKind] = attrs.field(factory=set)
    periods: list[TimedPeriod] = attrs.field(factory=list)
    named: tuple[str, ...] = ()
    sizes: list[int] = attrs.field(factory=lambda: [0])
    mentioned: list[str] = attrs.field(factory=list)
    subjects: list[str] = attrs.field(factory=list)
    messages: list[str] = attrs.field(factory=list)
    unticked: list[str] = attrs.field(factory=list)
    kinds: list[NoticeKind] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    unread: list[tuple[int, int]] = attrs.field(factory=list)
    references: list[str] = attrs.field(factory=list)
    of_messages: bool = False
    titled: bool = False

    @property
    def limited_to(self) -> tuple[str, ...]:
        """The messages that the text is limited to; of a list with boxes those that are ticked, if any is."""
        return tuple(each for each in self.messages if each not in self.unticked) or tuple(self.messages)

    def has(self, *kinds: EventKind) -> bool:
        """Return whether a sentence states one of these events."""
        return not self.stated.isdisjoint(kinds)


def _pieces(line: Line, breaks: re.Pattern[str]) -> Iterator[Passage]:
    """Cut a line into sentences, also where a line end was lost before a word that begins one."""
    for sentence in line.sentences:
        # A small letter is the middle of a sentence.
        inner = [m.start() for m in breaks.finditer(sentence.folded) if not sentence.text[m.start()].islower()]
        places = [0, *inner]
        if places == [0]:
            yield sentence
            continue
        for start, stop in zip(places, [*places[1:], len(sentence.text)], strict=True):
            yield sentence.part(start, stop)


@attrs.frozen(kw_only=True)
class _Sentence:
    """A sentence with its times and what its rules gave; its places are those of the first that reads so."""

    periods: tuple[Period, ...]
    references: tuple[str, ...]
    reading: SentenceReading
    updated: bool
    listed: tuple[str, ...] | None


_UNREAD: Final = _Sentence(periods=(), references=(), reading=SentenceReading(), updated=False, listed=None)


class SentenceReader:
    """
    Reads sentences.

    Args:
        authority: Whose rules to apply.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    def read(self, passage: Passage) -> _Sentence:
        """Read one sentence."""
        if len(passage.text) > LONGEST_SENTENCE:
            return _UNREAD
        return _sentence_of(passage.text, self.authority)


@lru_cache(maxsize=2048)
def _sentence_of(text: str, authority: Authority) -> _Sentence:
    """Read a sentence; notices, and the texts of each, repeat the same sentences."""
    passage = Passage(text=text, offsets=range(len(text) + 1))
    folded = passage.folded
    masks = [(*match.span(), LINK) for pattern in (_URL, CUT) for match in pattern.finditer(folded)]
    references: list[str] = []
    if authority.reference is not None:
        for match in authority.reference.finditer(folded):
            masks.append((*match.span(), REFERENCE))
            references.append(passage.text[match.start() : match.end()])
    found = read_periods(passage.text) if _TIME.search(folded) is not None else ()
    periods = tuple(
        period for period in found if not any(start < period.stop and period.start < stop for start, stop, _ in masks)
    )
    masks += [(period.start, period.stop, TIME) for period in periods]
    reading = authority.rules.read(passage, masks)
    plain = not masks and not reading.rules
    return _Sentence(
        periods=periods,
        references=tuple(references),
        reading=reading,
        listed=authority.names.listed(passage.text) if plain else None,
        updated=_UPDATE.match(masked(folded, masks)) is not None,
    )


class _Collector:
    """Walks over the sentences of one text."""

    def __init__(
        self, sentences: Sequence[tuple[Passage, _Sentence, str]], authority: Authority, header: Sequence[str]
    ) -> None:
        self._sentences = sentences
        self._authority = authority
        self._listing: facts.Listing | None = None
        self._in_messages = False
        self._bulleted: bool | None = None
        self._access: Access | None = None
        self._single: TimedPeriod | None = None
        self._index = 0
        self._passage = Passage(text="", offsets=(0,))
        self.result = Collected()
        self._printed = {name.casefold() for name in header}
        for _, sentence, _ in sentences:
            for fact in sentence.reading.facts:
                if isinstance(fact, facts.Statement):
                    self._printed.update(name.casefold() for name in fact.systems)

    def walk(self) -> Collected:
        """Take each sentence in turn."""
        for index, (passage, sentence, bullet) in enumerate(self._sentences):
            self._index, self._passage = index, passage
            if len(self.result.statements) + len(self.result.periods) > _MOST_FACTS:
                self.result.unread.append((passage.start, passage.stop))
                continue
            self.result.references += [each for each in sentence.references if each not in self.result.references]
            if not self._as_message(sentence, bullet) and not self._as_names(sentence, bullet):
                self._listing, self._in_messages = None, False
                self._as_sentence(sentence)
        return self.result

    def _as_message(self, sentence: _Sentence, bullet: str) -> bool:
        """Read an item of a list of messages that was announced."""
        text = self._passage.text.strip(" .;,")
        if not self._in_messages or sentence.periods:
            return False
        if sentence.reading.rules and not (bullet and text.count(" ") < _WORDS_OF_MESSAGE):
            return False
        if not bullet and (self._passage.text.endswith(".") or len(text) > _LONGEST_MESSAGE):
            return False
        if bullet in _EMPTY_BOXES:
            self.result.unticked.append(text)
        if text not in self.result.messages:
            self.result.messages.append(text)
        return True

    def _as_names(self, sentence: _Sentence, bullet: str) -> bool:
        """Read a line that only lists systems: an item of a list that was announced, or the head of a section."""
        if sentence.periods or sentence.references or sentence.reading.rules or not self._passage.text:
            return False
        if self._listing is not None and self._listing.subject:
            return self._as_subjects(self._listing, bullet)
        systems = sentence.listed
        if not systems:
            return False
        if self._listing is not None:
            statement = facts.Statement(systems=systems, behaviour=self._listing.behaviour, general=True)
            self.result.statements.append(self._placed(statement))
            return True
        following = self._sentences[self._index + 1][1].reading.facts if self._index + 1 < len(self._sentences) else ()
        known = all(self._authority.names.is_known(name) or name.casefold() in self._printed for name in systems)
        if self._passage.text.endswith(".") or not (
            known or any(isinstance(fact, facts.AccessHeading) for fact in following[:1])
        ):
            return False
        self._begin(systems)
        return True

    def _as_subjects(self, listing: facts.Listing, bullet: str) -> bool:
        """Read an item of the list of what the notice is about; each item has a bullet if the first has one."""
        systems = process_names(self._passage.text, lead=True)
        if systems is None or self._bulleted not in {None, bool(bullet)}:
            return False
        self._bulleted = bool(bullet)
        self._add_subjects(systems, listed=True)
        statement = facts.Statement(behaviour=listing.behaviour, general=True)
        self.result.statements.append(self._placed(statement))
        return True

    def _add_subjects(self, systems: Sequence[str], *, listed: bool = False) -> None:
        """Note what the notice is about; in a list, names of one form are names of different systems."""
        subjects = self.result.subjects
        self.result.mentioned += systems
        subjects += [
            name
            for name in systems
            if name not in subjects and (listed or not any(same_system(name, other) for other in subjects))
        ]

    def _begin(self, systems: tuple[str, ...]) -> None:
        self.result.sections.append(systems)
        self.result.sizes.append(0)
        self._access = None

    def _placed(self, fact: F) -> Placed[F]:
        section = len(self.result.sections) - 1
        return Placed(fact=fact, section=section, index=self._index, passage=self._passage, access=self._access)

    def _as_sentence(self, sentence: _Sentence) -> None:
        reading = sentence.reading
        if not reading.understood:
            self.result.unread.append((self._passage.start, self._passage.stop))
        named = tuple(n for fact in reading.facts if isinstance(fact, facts.Statement) for n in fact.systems)
        for fact in reading.facts:
            self._add(attrs.evolve(fact, systems=named) if isinstance(fact, facts.Asks) and fact.of_sentence else fact)
        if not reading.understood or reading.facts:
            self.result.sizes[-1] += 1
        if "page" not in reading.rules and _OF_MESSAGES.search(self._passage.folded) is not None:
            self.result.of_messages = True
        if not reading.turned:
            self._add_times(sentence)

    def _add(self, fact: facts.Fact) -> None:
        result = self.result
        if isinstance(fact, facts.Statement):
            result.statements.append(self._placed(fact))
        elif isinstance(fact, facts.Asks):
            result.asks.append(self._placed(fact))
        elif isinstance(fact, facts.Permits):
            result.permits.append(self._placed(fact))
        elif isinstance(fact, facts.Event):
            result.events.append(self._placed(fact))
            result.stated.add(fact.kind)
        elif isinstance(fact, facts.Remark):
            result.problems.append(Problem(fact.code, fact.message, self._passage.start, self._passage.stop))
        elif isinstance(fact, facts.KindWord):
            result.kinds.append(fact.kind)
        else:
            self._set(fact)

    def _set(self, fact: facts.Fact) -> None:
        """Note what counts for the sentences that follow."""
        if isinstance(fact, facts.Heading):
            self._begin(fact.systems)
        elif isinstance(fact, facts.AccessHeading):
            self._access = fact.access
        elif isinstance(fact, facts.Listing):
            self._listing, self._bulleted = fact, None
        elif isinstance(fact, facts.MessageList):
            self._in_messages = not fact.names
            self.result.messages += [name for name in fact.names if name not in self.result.messages]
        elif isinstance(fact, facts.Subject):
            self._add_subjects(fact.systems)
        elif isinstance(fact, facts.Named):
            self.result.named = self.result.named or fact.systems
            self.result.titled = self.result.titled or fact.title
            self.result.mentioned += fact.systems

    def _add_times(self, sentence: _Sentence) -> None:
        """Note the times of a sentence, and what they are the times of."""
        roles = [fact.role for fact in sentence.reading.facts if isinstance(fact, facts.Times)]
        ended = any(fact == facts.Event(EventKind.ENDED) for fact in sentence.reading.facts)
        if ended and not sentence.periods and self._single is not None:
            # A line with one time, and below it a word that it is over: that time is the end.
            self.result.periods[self.result.periods.index(self._single)] = attrs.evolve(self._single, role=TimeRole.END)
        self._single = None
        if not roles and not sentence.reading.understood and not sentence.reading.rules:
            return
        periods = list(sentence.periods)
        if sentence.updated and periods and not (ended and len(periods) == 1):
            self._note(periods.pop(0), TimeRole.UPDATE)
        for number, period in enumerate(periods):
            # Beside a reference stands when it was written.
            usual = TimeRole.OTHER if sentence.references and not sentence.reading.rules else TimeRole.WINDOW
            role = roles[min(number, len(roles) - 1)] if roles else usual
            if (
                not sentence.reading.understood
                and not roles
                and len(periods) > 1
                and _MOVES.search(self._passage.folded)
            ):
                # Which of its times is the new one is not known.
                role = TimeRole.OTHER
            self._note(period, role)
        last = self.result.periods[-1] if periods and len(periods) == 1 else None
        if last is not None and last.role is TimeRole.WINDOW and last.period.closes is None:
            self._single = last

    def _note(self, period: Period, role: TimeRole) -> None:
        section = len(self.result.sections) - 1
        self.result.periods.append(
            TimedPeriod(period=period, role=role, section=section, index=self._index, passage=self._passage)
        )


def collect(
    lines: Sequence[Line], reader: SentenceReader, *, header: Sequence[str] = (), title: Passage | None = None
) -> Collected:
    """
    Collect what the lines of one text state.

    Args:
        lines: Its lines.
        reader: Reads its sentences.
        header: The systems that its header lists.
        title: A title that stands outside of the lines.

    Returns:
        All of it.
    """
    passages = [(title, "")] if title is not None else []
    for line in lines:
        passages += [(piece, line.bullet) for piece in _pieces(line, reader.authority.breaks)]
    sentences = [(passage, reader.read(passage), bullet) for passage, bullet in passages]
    return _Collector(sentences, reader.authority, header).walk()
