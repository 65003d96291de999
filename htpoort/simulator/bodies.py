"""
Write the bodies of replies, and read the declarant's own reference from a declaration.

Every body is marked as synthetic, so that it cannot be mistaken for a message of Customs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast
from xml.parsers import expat
from xml.sax.saxutils import escape

from htpoort.core import render
from htpoort.core.directory import AGS, DMS, DeclarationSystem
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.payload import read_payload
from htpoort.core.text import ascii_lower
from htpoort.simulator.scenarios import ReplyKind

__all__ = ["body", "content_of", "lrn_of", "mrn"]

RESPONSE: Final = "urn:wco:datamodel:WCO:DMS.Response:1"
XML_CONTROL: Final = "urn:wco:datamodel:XML_Control:1"

_EDIFACT: Final = "application/EDIFACT"
_XML: Final = "application/xml"
_NOTE: Final = "Synthetic reply of a simulator, not of Customs."
_DEEPEST: Final = 8  # messages in messages that are read
_LONGEST_LRN: Final = 70  # twice the longest reference of EDIFACT; a longer text is something else

# ── the declaration ──────────────────────────────────────────────────────────


def content_of(raw: bytes) -> bytes:
    r"""
    Extract the declaration from its message.

    >>> content_of(b"Content-Transfer-Encoding: base64\r\n\r\nPE1ldGFEYXRhLz4=\r\n")
    b'<MetaData/>'

    Args:
        raw: The whole message; any octets.

    Returns:
        The decoded octets of the body; of a multipart or an attached message, those of its first part that
        is neither. Empty if there is none, or if none can be decoded for sure.
    """
    for _ in range(_DEEPEST):
        part = next((part for part in read_payload(raw).parts if part.octets is not None), None)
        if part is None or part.octets is None:
            break
        if part.content_type != "message/rfc822":
            return part.octets
        raw = part.octets
    return b""


class _ParsingOver(Exception):  # noqa: N818 - not an error: it ends the parsing
    """End the parsing, because there is nothing left to find."""


class _Search:
    """Find ``Declaration/FunctionalReferenceID`` while a parser reads a document."""

    def __init__(self) -> None:
        self.text: str | None = None
        self._open: list[str] = []
        self._inside = False

    def start(self, name: str, _attributes: object) -> None:
        self._open.append(name.rpartition(":")[2])
        if self._open[-2:] == ["Declaration", "FunctionalReferenceID"]:
            self._inside, self.text = True, ""

    def end(self, _name: str) -> None:
        self._open.pop()
        if self._inside:
            raise _ParsingOver

    def data(self, text: str) -> None:
        if self._inside:
            self.text = f"{self.text}{text}"
            if len(self.text) > _LONGEST_LRN:
                raise _ParsingOver

    @staticmethod
    def refuse(*_about: object) -> None:
        # No message needs a document type, and it could declare entities that grow without end.
        raise _ParsingOver


def lrn_of(payload: bytes) -> str | None:
    """
    Read the declarant's own reference (LRN) of a declaration.

    >>> lrn_of(b"<MetaData><Declaration><FunctionalReferenceID>LRN 1</FunctionalReferenceID></Declaration></MetaData>")
    'LRN 1'
    >>> lrn_of(b"UNB+UNOC:3+A+B'UNH+1+CUSDEC:D:96B:UN'BGM+929+LRN 2'")
    'LRN 2'

    Args:
        payload: The declaration, not encoded; any octets.

    Returns:
        The text of the first ``Declaration/FunctionalReferenceID`` in XML; in EDIFACT that of the first ``RFF+ABE``,
        or else the number of ``BGM``; 1 to 70 printable characters. None if there is none, or in XML with
        a document type. Never raises, and takes linear time.

    Source:
        The place in replies of DMS has been seen in the field. That it is the same in a declaration, and the
        places in EDIFACT, are inferred.
    """
    syntax, _ = render.content_type_of(payload)
    reader = {_XML: _lrn_of_xml, _EDIFACT: _lrn_of_edifact}.get(syntax)
    text = ((reader and reader(payload)) or "").strip()
    return text if 0 < len(text) <= _LONGEST_LRN and text.isprintable() else None


def _lrn_of_xml(payload: bytes) -> str | None:
    search, parser = _Search(), expat.ParserCreate()
    parser.StartElementHandler = search.start
    parser.EndElementHandler = search.end
    parser.CharacterDataHandler = search.data
    parser.StartDoctypeDeclHandler = search.refuse
    try:
        parser.Parse(payload, True)  # noqa: FBT003 - it takes no keyword
    except _ParsingOver:
        return search.text
    # An encoding that does not exist, or that expat does not support, is not an ExpatError.
    except (expat.ExpatError, LookupError, ValueError):
        pass
    return None


# ── EDIFACT ──────────────────────────────────────────────────────────────────

_HEAD: Final = 65_536
"""Octets that are searched for a reference: it comes before the items of a declaration."""

_SIGNS: Final = ":+.? '"
"""The signs without UNA: component, element, decimal, release, (reserved), end (ISO 9735)."""


def _segments(payload: bytes) -> list[list[list[str]]]:
    """Split the head of an interchange into segments, elements and components, without release characters."""
    text = payload[:_HEAD].decode("latin-1").lstrip("\xef\xbb\xbf\r\n\t ")
    signs = _SIGNS
    if text.startswith("UNA"):
        signs, text = text[3:9].ljust(6, "'"), text[9:]
    component, element, _, release, _, end = tuple(signs)
    # A blank means that there is no release character; no text has a NUL in it.
    release = release.replace(" ", "\0")
    released = re.compile(rf"{re.escape(release)}(.)", re.DOTALL)

    def components(part: str) -> list[str]:
        return [released.sub(r"\1", one) for one in _split(part, component, release)]

    segments = map(str.strip, _split(text, end, release))
    return [[components(part) for part in _split(segment, element, release)] for segment in segments]


def _split(text: str, separator: str, release: str) -> list[str]:
    """Split at the separators that are not released; keep the release characters."""
    sign, other = re.escape(separator), re.escape(release)
    # Only one alternative matches each character, so the time is linear.
    pattern = re.compile(rf"(?:[^{sign}{other}]++|{other}.?)*+", re.DOTALL)
    parts: list[str] = []
    at = 0
    while True:
        match = cast("re.Match[str]", pattern.match(text, at))
        parts.append(match[0])
        if match.end() == len(text):
            return parts
        at = match.end() + 1


def _lrn_of_edifact(payload: bytes) -> str | None:
    numbers: list[str] = []
    for name, *elements in _segments(payload):
        if name == ["RFF"] and elements and elements[0][0] == "ABE" and len(elements[0]) > 1:
            return elements[0][1]
        if name == ["BGM"] and len(elements) > 1:
            numbers.append(elements[1][0])
    return numbers[0] if numbers else None


def _released(text: str) -> str:
    """
    Put the release character before signs; a character that ISO 8859-1 lacks becomes a question mark.

    >>> _released("O'Neill + 1?")
    "O?'Neill ?+ 1??"

    Source:
        ISO 9735, section 5.
    """
    known = text.encode("latin-1", "replace").decode("latin-1")
    return re.sub(r"([:+?'])", r"?\1", known)


# ── the reply ───────────────────────────────────────────────────────────────

_LETTERS: Final = "A?BCDEFGHIJK?LMNOPQRSTU?VWXYZ"
"""Letters by their value minus 10: multiples of 11 have no letter (ISO 6346)."""


def mrn(number: int, date: datetime) -> str:
    """
    Make an identifier in the form of an MRN. No office has issued it: it has SYNTH in the middle.

    >>> from datetime import UTC
    >>> mrn(7, datetime(2026, 11, 2, tzinfo=UTC))[:17]
    '26NLSYNTH00000007'

    Args:
        number: Of the declaration, so that all replies to it share the MRN; from 0, the last 8 digits are used.
        date: For its year.

    Returns:
        Year, country, 13 letters and digits, and the check digit, together 18 characters.

    Source:
        Check digit after ISO 6346, as in the EU's working document DGXXI/0879/99 on the MRN.
    """
    start = f"{date.year % 100:02}NLSYNTH{number % 10**8:08}"
    values = [int(sign) if sign.isdigit() else 10 + _LETTERS.index(sign) for sign in start]
    return f"{start}{sum(value << at for at, value in enumerate(values)) % 11 % 10}"


def body(  # noqa: PLR0913 - one argument for each thing that goes in
    kind: ReplyKind,
    *,
    system: DeclarationSystem,
    request: RoutingEnvelope,
    payload: bytes,
    number: int,
    date: datetime,
    taken: datetime | None = None,
    size: int = 0,
) -> bytes:
    """
    Write the body of a reply, in the syntax of the system.

    Args:
        kind: What it says. The codes of Customs are not public, so its name is used in their place.
        system: The system that replies: AGS in EDIFACT, DMS in XML, another in the syntax of the declaration,
            or in XML if that is neither.
        request: The envelope of the declaration.
        payload: The declaration, not encoded, in either syntax; the LRN is read from it, if it has one.
        number: Of the declaration, for the MRN.
        date: Of the reply, aware.
        taken: When the declaration was accepted, for the MRN; by default *date*.
        size: The least number of octets; a shorter body is padded.

    Returns:
        Well-formed XML in UTF-8, or EDIFACT in ISO 8859-1, in lines.

    Source:
        Names and namespaces of DMS as seen in the field. That AGS replies in EDIFACT is inferred, and so is
        the text, which resembles a CUSRES.
    """
    lrn = lrn_of(payload)
    mrn_or_none = None if kind in _WITHOUT_MRN else mrn(number, taken or date)
    if is_edifact(system.process_id, payload):
        return _edifact(
            kind, request, {"ABE": lrn, "ABT": mrn_or_none}, f"{date:%y%m%d:%H%M+%j%H%M%S}{number % 10**5:05}", size
        )
    if kind is ReplyKind.TECHNICAL_ERROR:
        return _xml(XML_CONTROL, "XML_Control", f"<Response>{_element('FunctionalReferenceID', lrn)}</Response>", size)
    declaration = _element("FunctionalReferenceID", lrn) + _element("ID", mrn_or_none)
    code = _element("FunctionCode", _synthetic(kind))
    return _xml(RESPONSE, "Response", f"{code}<Declaration>{declaration}</Declaration>", size)


_SYNTAX: Final = {ascii_lower(AGS.process_id): _EDIFACT, ascii_lower(DMS.process_id): _XML}


def is_edifact(process_id: str, payload: bytes) -> bool:
    """Return whether a system replies in EDIFACT; a third system does if the declaration is EDIFACT."""
    return _SYNTAX.get(ascii_lower(process_id), render.content_type_of(payload)[0]) == _EDIFACT


_WITHOUT_MRN: Final = frozenset({ReplyKind.REJECTION, ReplyKind.TECHNICAL_ERROR})
"""A declaration that was not accepted has none."""


def _synthetic(kind: ReplyKind) -> str:
    return f"SYNTHETIC {kind.upper()}"


def _element(name: str, text: str | None) -> str:
    return "" if text is None else f"<{name}>{escape(text)}</{name}>"


def _xml(namespace: str, root: str, content: str, size: int) -> bytes:
    """Write a document, one element of the first two levels to a line."""
    lines = content.replace("><", ">\r\n<")
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- {_NOTE} -->\r\n'
        f'<{root} xmlns="{namespace}">\r\n{lines}\r\n</{root}>\r\n'
    ).encode()
    missing = size - len(document)
    # A comment may follow the root, too.
    return document if missing <= 0 else b"".join((document, b"<!--\r\n", _filling(b"%s\r\n", missing), b"-->\r\n"))


def _filling(form: bytes, size: int) -> bytes:
    line = form % _NOTE.encode()
    return line * (size // len(line) + 1)


def _edifact(
    kind: ReplyKind, request: RoutingEnvelope, references: Mapping[str, str | None], prepared: str, size: int
) -> bytes:
    """Write an interchange of one message; *prepared* is its date, its time and its number, as UNB has them."""
    segments = [
        "UNH+1+CUSRES:D:96B:UN",
        f"BGM+962:::{_synthetic(kind)}",
        f"FTX+AAI+++{_released(_NOTE)}",
        *(f"RFF+{what}:{_released(text)}" for what, text in references.items() if text is not None),
    ]
    filling = _filling(b"FTX+AAI+++%s'\r\n", size) if size else b""
    count = len(segments) + filling.count(b"'") + 1
    head = ("UNA:+.? ", f"UNB+UNOC:3+SYNTHETIC+{_released(request.sender)}+{prepared}", *segments)
    tail = (f"UNT+{count}+1", f"UNZ+1+{prepared.rpartition('+')[2]}")
    return _lines(head) + filling + _lines(tail)


def _lines(segments: tuple[str, ...]) -> bytes:
    return "".join(f"{segment}'\r\n" for segment in segments).encode("latin-1")
