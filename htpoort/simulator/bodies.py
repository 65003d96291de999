"""
Write the bodies that answer a declaration, and read the declarant's own reference out of one.

Never does: claim to be a message of Customs; every body says that it is synthetic.
"""

from __future__ import annotations

import email
import re
from collections.abc import Mapping
from datetime import datetime
from email.message import Message
from typing import Final, cast
from xml.parsers import expat
from xml.sax.saxutils import escape

from htpoort import _mime
from htpoort._words import ascii_lower
from htpoort.directory import AGS, DMS, DeclarationSystem
from htpoort.envelope import RoutingEnvelope
from htpoort.simulator.scenarios import Kind

__all__ = ["body", "content_of", "lrn_of", "mrn"]

RESPONSE: Final = "urn:wco:datamodel:WCO:DMS.Response:1"
XML_CONTROL: Final = "urn:wco:datamodel:XML_Control:1"

_EDIFACT: Final = "application/EDIFACT"
_XML: Final = "application/xml"
_NOTE: Final = "Synthetic answer of a simulator, not of Customs."
_LONGEST_LRN: Final = 70  # twice the longest reference of EDIFACT; what is longer is something else

# ── the declaration ──────────────────────────────────────────────────────────


def content_of(raw: bytes) -> bytes:
    r"""
    Take the declaration out of its message.

    >>> content_of(b"Content-Transfer-Encoding: base64\r\n\r\nPE1ldGFEYXRhLz4=\r\n")
    b'<MetaData/>'

    Args:
        raw: The whole message. Any bytes are taken.

    Returns:
        The octets of the body, or of the first part of a multipart that is none itself, decoded.
    """
    try:
        parts = email.message_from_bytes(raw).walk()
        leaf = next(part for part in parts if not part.is_multipart())
        return _decoded(leaf)
    except Exception:  # noqa: BLE001 - the package raises what its documentation does not list
        return b""


def _decoded(part: Message) -> bytes:
    return cast("bytes", part.get_payload(decode=True))


class _Found(Exception):  # noqa: N818 - no error: it ends the parsing
    """End the parsing, because there is nothing more to look for."""


class _Search:
    """Look for ``Declaration/FunctionalReferenceID`` while a parser goes by."""

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
            raise _Found

    def data(self, text: str) -> None:
        if self._inside:
            self.text = f"{self.text}{text}"
            if len(self.text) > _LONGEST_LRN:
                raise _Found

    @staticmethod
    def refuse(*_about: object) -> None:
        # What no message needs, and what entities that grow without end are declared in.
        raise _Found


def lrn_of(payload: bytes) -> str | None:
    """
    Read the declarant's own reference (LRN) of a declaration.

    >>> lrn_of(b"<MetaData><Declaration><FunctionalReferenceID>LRN 1</FunctionalReferenceID></Declaration></MetaData>")
    'LRN 1'
    >>> lrn_of(b"UNB+UNOC:3+A+B'UNH+1+CUSDEC:D:96B:UN'BGM+929+LRN 2'")
    'LRN 2'

    Args:
        payload: The declaration, not encoded. Any bytes are taken.

    Returns:
        The text of XML's first ``Declaration/FunctionalReferenceID``, or of EDIFACT's first ``RFF+ABE``, or
        else the number of ``BGM``; 1 to 70 printable characters. None where there is none, or in XML with
        a document type. Never raises, in linear time.

    Source:
        In replies of DMS the place has been seen in the field. That it is the same in a declaration, and the
        places in EDIFACT, are inferred.
    """
    syntax, _ = _mime.content_type_of(payload)
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
    except _Found:
        return search.text
    # An encoding that there is not, or that expat cannot have, is no ExpatError.
    except (expat.ExpatError, LookupError, ValueError):
        pass
    return None


# ── EDIFACT ──────────────────────────────────────────────────────────────────

_HEAD: Final = 65_536
"""Octets in which a reference is looked for: it stands before the items of a declaration."""

_SIGNS: Final = ":+.? '"
"""What separates, where UNA says nothing: components, elements, decimals, releases, (reserved), ends (ISO 9735)."""


def _segments(payload: bytes) -> list[list[list[str]]]:
    """Split the head of an interchange into segments, elements and components, releases taken away."""
    text = payload[:_HEAD].decode("latin-1").lstrip("\xef\xbb\xbf\r\n\t ")
    signs = _SIGNS
    if text.startswith("UNA"):
        signs, text = text[3:9].ljust(6, "'"), text[9:]
    component, element, _, release, _, end = tuple(signs)
    # A blank says that nothing is released; no text has a NUL in it.
    release = release.replace(" ", "\0")
    given = re.compile(rf"{re.escape(release)}(.)", re.DOTALL)

    def components(part: str) -> list[str]:
        return [given.sub(r"\1", one) for one in _split(part, component, release)]

    segments = map(str.strip, _split(text, end, release))
    return [[components(part) for part in _split(segment, element, release)] for segment in segments]


def _split(text: str, separator: str, release: str) -> list[str]:
    """Split at the separators that are not released; what is released stays so."""
    sign, other = re.escape(separator), re.escape(release)
    # Each character is taken by one alternative only, so the time is linear.
    pattern = re.compile(rf"(?:[^{sign}{other}]++|{other}.?)*+", re.DOTALL)
    made: list[str] = []
    at = 0
    while True:
        match = cast("re.Match[str]", pattern.match(text, at))
        made.append(match[0])
        if match.end() == len(text):
            return made
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
    Put the release character before what would separate; what ISO 8859-1 has not becomes a question mark.

    >>> _released("O'Neill + 1?")
    "O?'Neill ?+ 1??"

    Source:
        ISO 9735, section 5.
    """
    known = text.encode("latin-1", "replace").decode("latin-1")
    return re.sub(r"([:+?'])", r"?\1", known)


# ── the answer ───────────────────────────────────────────────────────────────

_LETTERS: Final = "A?BCDEFGHIJK?LMNOPQRSTU?VWXYZ"
"""Letters by their value less 10: multiples of 11 stand for none (ISO 6346)."""


def mrn(number: int, date: datetime) -> str:
    """
    Make an id of the form of an MRN. No office has given it out: its middle is the word SYNTH.

    >>> from datetime import UTC
    >>> mrn(7, datetime(2026, 11, 2, tzinfo=UTC))[:17]
    '26NLSYNTH00000007'

    Args:
        number: Of the declaration, so that all answers to it have the same; from 0, the last 8 digits count.
        date: Its year goes in.

    Returns:
        Year, country, 13 letters and digits, and the check digit, together 18 characters.

    Source:
        Check digit after ISO 6346, as in the EU's working document DGXXI/0879/99 on the MRN.
    """
    start = f"{date.year % 100:02}NLSYNTH{number % 10**8:08}"
    values = [int(sign) if sign.isdigit() else 10 + _LETTERS.index(sign) for sign in start]
    return f"{start}{sum(value << at for at, value in enumerate(values)) % 11 % 10}"


def body(  # noqa: PLR0913 - one argument for each thing that goes in
    kind: Kind,
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
    Write the body of an answer, in the syntax of the system.

    Args:
        kind: What it says. Its own name stands where Customs has codes, which are not public.
        system: The system that answers: AGS in EDIFACT, DMS in XML, another in the syntax of the declaration,
            or in XML where that is neither.
        request: The envelope of the declaration.
        payload: The declaration, not encoded, in either syntax; the LRN is taken from it, where it can be found.
        number: Of the declaration, for the MRN.
        date: Of the answer, aware.
        taken: When the declaration was taken, for the MRN; *date* where not given.
        size: Octets that the body has at least, by filling.

    Returns:
        Well-formed XML in UTF-8, or EDIFACT in ISO 8859-1, in lines.

    Source:
        Names and namespaces of DMS as seen in the field. That AGS answers in EDIFACT is inferred; what it
        writes is a text like a CUSRES, and the rest of it is inferred.
    """
    lrn = lrn_of(payload)
    given = None if kind in _WITHOUT_MRN else mrn(number, taken or date)
    if is_edifact(system.process_id, payload):
        return _edifact(
            kind, request, {"ABE": lrn, "ABT": given}, f"{date:%y%m%d:%H%M+%j%H%M%S}{number % 10**5:05}", size
        )
    if kind is Kind.TECHNICAL_ERROR:
        return _xml(XML_CONTROL, "XML_Control", f"<Response>{_element('FunctionalReferenceID', lrn)}</Response>", size)
    declaration = _element("FunctionalReferenceID", lrn) + _element("ID", given)
    code = _element("FunctionCode", _said(kind))
    return _xml(RESPONSE, "Response", f"{code}<Declaration>{declaration}</Declaration>", size)


_SYNTAX: Final = {ascii_lower(AGS.process_id): _EDIFACT, ascii_lower(DMS.process_id): _XML}


def is_edifact(process_id: str, payload: bytes) -> bool:
    """Tell whether a system answers in EDIFACT; one that is neither AGS nor DMS does where the declaration is so."""
    return _SYNTAX.get(ascii_lower(process_id), _mime.content_type_of(payload)[0]) == _EDIFACT


_WITHOUT_MRN: Final = frozenset({Kind.REJECTION, Kind.TECHNICAL_ERROR})
"""A declaration that was not accepted has none."""


def _said(kind: Kind) -> str:
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
    # A comment may stand behind the root, too.
    return document if missing <= 0 else b"".join((document, b"<!--\r\n", _filling(b"%s\r\n", missing), b"-->\r\n"))


def _filling(form: bytes, size: int) -> bytes:
    line = form % _NOTE.encode()
    return line * (size // len(line) + 1)


def _edifact(
    kind: Kind, request: RoutingEnvelope, references: Mapping[str, str | None], prepared: str, size: int
) -> bytes:
    """Write an interchange of one message; *prepared* is its date, its time and its number, as UNB has them."""
    segments = [
        "UNH+1+CUSRES:D:96B:UN",
        f"BGM+962:::{_said(kind)}",
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
