"""
Names of processes as the Dutch National Customs Helpdesk prints them: `Entry of goods to the EU (ICS2)`.

A name may hold commas and *en*, so a list is cut only where a name surely ends. Names are kept as printed.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["process_names"]

_SURE: Final = r"(?<=\))\s*(?:,|;|/|\+|&)?\s*(?:(?:and|en|as well as|alsook)\s+)?(?=[^\s)])"
_CUT: Final = re.compile(rf"\s*;\s*|\s+[-–—]\s+(?=[A-Z])|{_SURE}")
_SHORT: Final = re.compile(r"[A-Z][A-Za-z0-9&-]{0,8}(?:\s(?:fase|phase|release|[0-9.]{1,4}))*")
_SHORT_CUT: Final = re.compile(r"\s*[,/+&]\s*|\s+(?:and|en)\s+")
_LEAD: Final = re.compile(r"(?:the|het|de|process|processes|proces|processen)\s+", re.IGNORECASE)
_NO_NAME_WORDS: Final = """
    scheduled planned emergency gepland onderhoud maintenance
    all alle als are be below berichten beschikbaar can dat dit er following geen has have hebben heeft
    if is kunt mag may messages moet must niet no not onderstaande only our should since sinds result
    verwachting mogelijk waarschijnlijk
    vermoedelijk expected probably possibly likely consequence opgelost verholpen uitgesteld geannuleerd
    afgelast verplaatst verzet resolved solved fixed postponed cancelled ended again weer that there this
    tot u unavailable until uw vanaf volgende was we when wij will worden wordt you your"""
_NO_NAME: Final = frozenset(_NO_NAME_WORDS.split())
_LONGEST: Final = 12  # words


def process_names(phrase: str, *, lead: bool = False) -> tuple[str, ...] | None:
    """
    Read a list of processes.

    Args:
        phrase: As printed, for example `Transport (NCTS), EU Trader Portal`.
        lead: Whether *Process* before a name belongs to it, as in a list.

    Returns:
        The names as printed, each once; None if a part is no name.
    """
    names: list[str] = []
    for part in _parts(phrase.strip(" .:;,*•-–—\"'")):
        name = " ".join(part.split())
        while not lead and (match := _LEAD.match(name)) is not None:
            name = name[match.end() :]
        if not _is_name(name):
            return None
        if name not in names:
            names.append(name)
    return tuple(names) or None


def _parts(phrase: str) -> list[str]:
    """Cut a phrase outside of brackets; a list of short names, such as `AGS, DMS`, at its commas."""
    short = _SHORT_CUT.split(phrase)
    if len(short) > 1 and all(_SHORT.fullmatch(part) for part in short):
        return short
    parts: list[str] = []
    start = 0
    for match in _CUT.finditer(phrase):
        if phrase.count("(", start, match.start()) > phrase.count(")", start, match.start()):
            continue
        parts.append(phrase[start : match.start()])
        start = match.end()
    parts.append(phrase[start:])
    return [part for part in (each.strip(" ,;") for each in parts) if part]


def _is_name(name: str) -> bool:
    """Whether a phrase can be a name: it begins with a capital or a digit, and holds no word of a sentence."""
    words = re.findall(r"[^\W_]+", name.casefold())
    begins = name[:1].isupper() or name[:1].isdigit()
    return begins and 0 < len(words) <= _LONGEST and not _NO_NAME.intersection(words)
