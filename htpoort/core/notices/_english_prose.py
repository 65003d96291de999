"""Rules for notices in English that are written as prose, or name no system; see `_english_words`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from htpoort.core.notices import _english_words as w
from htpoort.core.notices._effects import states
from htpoort.core.notices._facts import Event, EventKind, Fact, Heading, TimeRole, Times
from htpoort.core.notices._rules import TIME, Found, rule
from htpoort.core.notices.notice import Access, Behaviour

__all__ = ["PROSE", "section_with_times"]

_LETTERS: Final = re.compile(r"[A-Z0-9]{3,6}")
_NO_SYSTEMS: Final = frozenset({
    "START", "BEGIN", "END", "SLUT", "EINDE", "FROM", "VAN", "FRA", "UNTIL", "TOT", "TIL", "DATE", "DATO", "DATUM",
    "TIME", "TID", "TIJD", "NEW", "NIEUW", "NOTE", "NYT", "OBS", "PRD", "TFE", "TEST", "UPDATE", "DAY", "DAG", "CET",
})  # fmt: skip
_FILES: Final = (
    r"(?:the |all )?(?:xml[ -]?|s2s[ -]?)?(?:files|messages|declarations)(?: (?:that are )?(?:sent|submitted))?"
)


def _is_system(name: str, found: Found) -> bool:
    """Whether a name is known, or is letters that are short for one."""
    return found.names.is_known(name) or (_LETTERS.fullmatch(name) is not None and name not in _NO_SYSTEMS)


def section_with_times(found: Found) -> Iterable[Fact] | None:
    """Begin a section whose heading gives its own times; only systems that are known have one."""
    systems = found.systems()
    if not systems or not all(_is_system(name, found) for name in systems):
        return None
    return Heading(systems), Times(TimeRole.WINDOW)


PROSE: Final = (
    rule(
        "section-with-times",
        rf"^{w.S} ?[:,(-]? ?(?:on )?{TIME}++[)\W]*$",
        effect=section_with_times,
        cues=TIME,
    ),
    rule(
        "files-rejected-here",
        rf"^{_FILES}{w.DURING} (?:will|are|is|shall) (?:either )?{w.FAIL}(?: ?(?:/|or|and) ?{w.FAIL})?{w.DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fail|reject|refused|dismissed|accepted",
    ),
    rule(
        "files-queued-here",
        rf"^{_FILES}{w.DURING} (?:(?:can|will|are) (?:still )?(?:be )?(?:sent|submitted|received|accepted),? (?:and|but) )?"
        rf"(?:they )?(?:(?:will|are) )?(?:(?:only|first|not) )?(?:be )?(?:(?:processed|handled|treated)(?: only)? {w.AFTER}"
        rf"|(?:queued|buffered|stored|kept)(?:,? and (?:will be )?(?:processed|handled))? {w.AFTER})",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="processed|handled|treated|queued|buffered|stored|kept",
    ),
    rule(
        "files-delayed-here",
        rf"^{_FILES}{w.DURING} (?:will|can|are) (?:still )?(?:be )?(?:received|accepted|processed)(?: as (?:normal|usual))?,? {w.LATE}{w.DURING}",
        effect=states(Behaviour.DELAYED, Access.FILE, general=True),
        cues="delayed|late",
    ),
    rule(
        "files-cannot-be-sent",
        rf"(?:xml )?files (?:cannot|can not|can no longer) be (?:sent|submitted|transmitted|uploaded) to {w.S}{w.DURING}(?=\W*$|,? and )",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="cannot|can not|no longer",
    ),
    rule(
        "not-online",
        rf"{w.START}{w.S} (?:(?:is|are|will be) {w.DOWN}|will not be (?:available|accessible)) online{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues=" online",
    ),
    rule(
        "no-online-access",
        rf"(?:there (?:is|will be) )?no online access(?: (?:to|for) {w.S})?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="no online",
    ),
    rule(
        "no-online-use",
        rf"it (?:is|will) (?:currently )?not (?:be )?possible to (?:log (?:in|on) (?:to|in)|use|access|sign in to|work in)"
        rf" {w.S}(?: online)?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="not possible|not be possible|not currently",
    ),
    rule(
        "no-file-access",
        rf"(?:there (?:is|will be) )?no (?:file|s2s) access(?: (?:to|for) {w.S})?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="no file|no s2s",
    ),
    rule(
        "system-down",
        rf"^(?:the )?(?:system|process|service|it) (?:is|will be) (?:completely |temporarily )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, general=True),
        cues="available|accessible|closed|down|out of service|offline",
    ),
    rule(
        "down-then",
        rf"^(?:(?:on |from )?{TIME}++,? ?)+(?:the (?:system|process) )?{w.S} (?:is|are|will be) (?:temporarily )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="available|accessible|closed|down|out of service|offline",
    ),
    rule(
        "takes-place",
        rf"{w.HAPPENING} (?:takes place|will take place|will be (?:held|carried out|performed)|(?:is|has been) (?:planned|scheduled)"
        rf"|runs|will run|lasts|will last)(?: (?:on|for|from))?(?= ?{TIME})",
        cues="place|held|carried|performed|planned|scheduled|run|last",
    ),
    rule(
        "called-off",
        rf"{w.HAPPENING}(?: {w.T})? (?:will|does|shall) not (?:take place|be carried out|be held)",
        Event(EventKind.CANCELLED),
        Times(TimeRole.WINDOW),
        cues="not take place|not be",
    ),
)
