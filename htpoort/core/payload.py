"""
Take the payload out of a message: find its parts, and undo their transfer encodings.

Never does: choose between parts, decode a character set, guess what a broken encoding meant, or raise on what a peer
sent.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final, final

import attrs

from htpoort.core import _headers, grammar
from htpoort.core.errors import Problem
from htpoort.core.render import content_type_of
from htpoort.core.text import ascii_lower, one_line

__all__ = ["Part", "Payload", "read_payload"]

_MIME: Final = "RFC 2045"
_PARTS: Final = "RFC 2046"
_UNCHANGED: Final = frozenset({"7bit", "8bit", "binary"})
_ENDINGS: Final = {"text/plain": "txt", "application/pdf": "pdf"}
_UNKNOWN: Final = "application/octet-stream"


@final
@attrs.frozen(kw_only=True)
class Part:
    """
    One part of a message that may be the payload.

    Args:
        octets: The decoded octets; None if the transfer encoding cannot be undone for sure.
        content_type: Type and subtype in lower case, as declared; ``text/plain`` if the part declares none, and
            ``application/octet-stream`` if what it declares cannot be read.
        charset: The character set as declared; None if none is. The octets are not converted.
        file_name: The file name as declared, on one printable line; None if there is none. The sender chose it: do not
            use it as a path.
        start: Offset of its first encoded octet in the message.
        stop: Offset behind its last encoded octet.
        problems: What is wrong with it. Offsets count in the message.
    """

    octets: bytes | None = attrs.field(repr=False)
    content_type: str
    charset: str | None
    file_name: str | None
    start: int
    stop: int
    problems: tuple[Problem, ...]

    @property
    def ending(self) -> str:
        """
        An ending for a file of this part: ``xml``, ``edi``, ``txt``, ``pdf`` or ``bin``.

        It follows from the octets, then from the content type, and never from the name that the sender chose.
        """
        guessed = content_type_of(self.octets or b"")[1]
        return guessed if guessed != "bin" else _ENDINGS.get(self.content_type, guessed)


@final
@attrs.frozen(kw_only=True)
class Payload:
    """
    What a message carries.

    If there is one part, the properties are those of that part. If there are several, none is chosen: the properties
    are None, and *parts* has all of them.

    Args:
        parts: The parts that may be the payload, in their order. A multipart is not one, but its parts are; an attached
            message is one. A blank text beside other parts is not one.
        problems: Everything that is wrong, also with the parts. The codes begin with ``payload.``, and offsets count in
            the message.
    """

    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]

    @property
    def part(self) -> Part | None:
        """The only part; None if there is none, or several."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def octets(self) -> bytes | None:
        """The decoded octets of the only part; None if they are not known for sure."""
        return None if self.part is None else self.part.octets

    @property
    def content_type(self) -> str | None:
        """Type and subtype of the only part."""
        return None if self.part is None else self.part.content_type

    @property
    def charset(self) -> str | None:
        """The character set of the only part, as declared."""
        return None if self.part is None else self.part.charset

    @property
    def file_name(self) -> str | None:
        """The file name of the only part, as declared; do not use it as a path."""
        return None if self.part is None else self.part.file_name

    @property
    def ending(self) -> str | None:
        """An ending for a file of the only part; see `Part.ending`."""
        return None if self.part is None else self.part.ending


def read_payload(raw: bytes) -> Payload:
    r"""
    Take the payload out of a message.

    >>> payload = read_payload(
    ...     b"Content-Transfer-Encoding: base64\r\n\r\nPE1ldGFEYXRhLz4=\r\n"
    ... )
    >>> payload.octets, payload.content_type, payload.ending
    (b'<MetaData/>', 'text/plain', 'xml')

    Args:
        raw: The whole message, with lines ended by CRLF or LF; any bytes.

    Returns:
        The parts, decoded, and everything that is wrong; no part if *raw* is empty. At most 100 parts are read, nested
        at most 8 deep. Never raises, and takes linear time.
    """
    if not raw:
        return Payload(parts=(), problems=(Problem("payload.absent", "There is no message."),))
    reader = _Reader(raw)
    reader.read(0, len(raw), 0, "text/plain")
    found = [part for part in reader.parts if not _is_blank(part)] or reader.parts
    problems = [problem for part in found for problem in part.problems]
    if len(found) > 1:
        message = f"There are {len(found)} parts that may be the payload; choose by content type or file name."
        problems.insert(0, Problem("payload.several", message, 0, len(raw)))
    return Payload(parts=tuple(found), problems=tuple(problems))


def _is_blank(part: Part) -> bool:
    """Check whether a part is the empty text that some programs put before or after an attachment."""
    return (
        part.octets is not None
        and not part.octets.strip()
        and part.content_type.startswith("text/")
        and part.file_name is None
        and not part.problems
    )


# ── the headers of a part ────────────────────────────────────────────────────


@attrs.frozen
class _Value:
    """Hold a header value: its first word in lower case, and its parameters."""

    word: str
    parameters: dict[str, str | None]
    """The values by name in lower case; None if a name is repeated, because programs differ on which one counts."""
    whole: bool
    """Whether all of it could be read."""


def _parsed(text: str) -> _Value:
    """Read `word; name=value; …`."""
    head = grammar.MIME_WORD.match(text)
    if head is None:
        return _Value("", {}, whole=False)
    parameters: dict[str, str | None] = {}
    at = head.end()
    while match := grammar.MIME_PARAMETER.match(text, at):
        at = match.end()
        if match[1] is not None:
            name = ascii_lower(match[1])
            value = match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2])
            parameters[name] = None if name in parameters else value
    return _Value(ascii_lower(head[1]), parameters, whole=at == len(text))


_ESCAPED: Final = re.compile(r"\\(.)")
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def _file_name(value: _Value, name: str) -> tuple[str | None, bool]:
    """Read the parameter that holds a file name; return it, and whether it is declared but unclear."""
    parameters = value.parameters
    if name in parameters:
        text = parameters[name]
        return (None, True) if text is None else (_headers.decode(_utf8(text)), False)
    if f"{name}*" in parameters:
        text = _extended(parameters[f"{name}*"] or "")
        return text, text is None
    pieces: list[str] = []
    encoded = False
    while True:
        number = len(pieces)
        plain, percent = parameters.get(f"{name}*{number}"), parameters.get(f"{name}*{number}*")
        if plain is None and percent is None:
            break
        encoded = encoded or percent is not None
        pieces.append((plain or "").replace("%", "%25") if percent is None else percent)
    if not pieces:
        return None, not value.whole
    text = _extended("".join(pieces) if encoded else f"utf-8''{''.join(pieces)}")
    return text, text is None


def _extended(text: str) -> str | None:
    """
    Decode `charset'language'text`; None if it cannot be decoded for sure.

    Source:
        RFC 2231, sections 3 and 4.
    """
    charset, _, rest = text.partition("'")
    _, mark, encoded = rest.partition("'")
    codec = _headers.CHARSETS.get(ascii_lower(charset))
    if not mark or codec is None:
        return None
    octets = _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), encoded.encode("latin-1"))
    try:
        return octets.decode(codec)
    except UnicodeDecodeError:
        return None


def _utf8(text: str) -> str:
    """Read octets above ASCII as UTF-8; header values hold them one by one, so that a boundary stays exact."""
    return text.encode("latin-1").decode("utf-8", "replace")


_NOTHING: Final = _Value("", {}, whole=True)


@attrs.frozen
class _Head:
    """Hold the headers of a part that matter, and where its body begins."""

    body: int
    content: _Value = _NOTHING
    encoding: str = "7bit"
    disposition: _Value = _NOTHING
    problem: Problem | None = None
    """Why programs may read the part differently."""


def _head(raw: bytes, start: int, stop: int, default: str) -> _Head:
    """Read the header block of a part; *default* is its content type if it declares none."""
    content = _Value(default, {}, whole=True)
    if raw.startswith((b"\n", b"\r\n"), start):
        return _Head(min(raw.index(b"\n", start) + 1, stop), content)
    # The line end before a boundary belongs to the boundary, and may be the empty line of a part without a body.
    empty = grammar.HEADER_END.search(raw, start, min(stop + 2, start + grammar.HEADER_LIMIT + 4))
    if empty is None:
        message = "There is no empty line after the headers."
        return _Head(start, problem=Problem("payload.header", message, start, stop, _MIME))
    block = b"\n" + raw[start : empty.start() + 1]
    body = min(empty.end(), stop)
    problem = None
    if _headers.line_problems(block):
        message = "The headers have a line or an octet that programs read differently."
        problem = Problem("payload.header", message, start, body, _MIME)
    texts: list[str | None] = []
    folded = block.lower()
    for name in ("Content-Type", "Content-Transfer-Encoding", "Content-Disposition"):
        text, repeated = _headers.value_of(block, folded, name)
        texts.append(text)
        if repeated:
            message = f"There is a second {name} header; it is unclear which one counts."
            problem = Problem("payload.header", message, start, body, _MIME)
    return _Head(
        body,
        content if texts[0] is None else _parsed(texts[0]),
        "7bit" if texts[1] is None else ascii_lower(texts[1]),
        _NOTHING if texts[2] is None else _parsed(texts[2]),
        problem,
    )


# ── the parts ────────────────────────────────────────────────────────────────


class _Reader:
    """Collect the parts of a message; what is not read becomes a part without octets, so that nothing is left out."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.parts: list[Part] = []
        self._count = 0

    def read(self, start: int, stop: int, depth: int, default: str, cut: tuple[Problem, ...] = ()) -> None:
        """Read a part with its headers; *cut* says why its end is not known."""
        self._count += 1
        if self._count > grammar.PART_LIMIT + 1:  # the message itself is no part
            message = f"There are more than {grammar.PART_LIMIT} parts; the others are not read."
            self._add(_Head(start), stop, None, Problem("payload.too-many", message, start, stop))
            return
        head = _head(self.raw, start, stop, default)
        if head.problem is not None:
            self._add(head, stop, None, head.problem, *cut)
        elif not head.content.word.startswith("multipart"):
            octets, problems = _decoded(self.raw, head, stop)
            self._add(head, stop, None if cut else octets, *problems, *cut)
        elif problem := _unsplit(head, stop, depth):
            self._add(head, stop, None, problem, *cut)
        else:
            self._split(head, stop, depth)
            if cut:
                self._add(_Head(stop), stop, None, *cut)

    def _split(self, head: _Head, stop: int, depth: int) -> None:
        """Read the parts of a multipart."""
        default = "message/rfc822" if head.content.word == "multipart/digest" else "text/plain"
        boundary = (head.content.parameters["boundary"] or "").encode("latin-1")
        before = self._count
        start: int | None = None
        for line, following, closes in _delimiters(self.raw, boundary, head.body, stop):
            if start is not None:
                self.read(start, max(line, start), depth + 1, default)
            start = None if closes else following
            if closes or self._count > grammar.PART_LIMIT + 1:
                break
        else:
            if start is not None:
                message = "The multipart has no end; the message may have been cut."
                cut = Problem("payload.not-closed", message, stop, stop, _PARTS)
                self.read(start, stop, depth + 1, default, (cut,))
        if self._count == before:
            message = "The multipart has no part: its boundary does not occur."
            self._add(head, stop, None, Problem("payload.boundary", message, head.body, stop, _PARTS))

    def _add(self, head: _Head, stop: int, octets: bytes | None, *problems: Problem) -> None:
        word = head.content.word
        name, unclear = _file_name(head.disposition, "filename")
        if name is None and not unclear:
            name, unclear = _file_name(head.content, "name")
            unclear = unclear and head.content.whole  # otherwise the content type is reported
        if unclear:
            message = "The file name is declared in a form that programs read differently."
            problems = (*problems, Problem("payload.file-name", message, head.body, head.body, "RFC 2231"))
        self.parts.append(
            Part(
                octets=octets,
                content_type=word if "/" in word else _UNKNOWN,
                charset=head.content.parameters.get("charset"),
                file_name=(name and one_line(name)) or None,
                start=head.body,
                stop=stop,
                problems=problems,
            )
        )


def _unsplit(head: _Head, stop: int, depth: int) -> Problem | None:
    """Find why a multipart cannot be split."""
    if head.encoding not in _UNCHANGED:
        message = "The multipart declares a transfer encoding, which no multipart may have."
        return Problem("payload.encoding", message, head.body, stop, _MIME)
    parameters = head.content.parameters
    boundary = parameters.get("boundary")
    # RFC 2231 allows a boundary in pieces; no writer uses it, and not every reader knows it.
    unclear = not head.content.whole or any(name.startswith("boundary*") for name in parameters)
    if not boundary or unclear or len(boundary) > grammar.BOUNDARY_LIMIT:
        message = "The multipart has no boundary that can be read."
        return Problem("payload.boundary", message, head.body, stop, _PARTS)
    if depth >= grammar.DEPTH_LIMIT:
        message = f"Parts are nested more than {grammar.DEPTH_LIMIT} deep; those further inside are not read."
        return Problem("payload.too-deep", message, head.body, stop)
    return None


def _delimiters(raw: bytes, boundary: bytes, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
    """
    Find the lines that separate the parts of a multipart.

    Yields:
        Where the part before ends, where the next one starts, and whether the line closes the multipart.
    """
    mark = b"\n--" + boundary
    at = start - 1  # the line end before the body
    while (at := raw.find(mark, at, stop)) >= 0:
        match = grammar.DELIMITER_END.match(raw, at + len(mark), stop)
        if match is None:
            at += len(mark)
            continue
        # The line end before a boundary belongs to the boundary.
        yield at - (raw[at - 1 : at] == b"\r"), match.end(), match[1] is not None
        at = match.end() - 1


# ── transfer encodings ───────────────────────────────────────────────────────

_Decoded = tuple[bytes | None, tuple[tuple[str, str], ...]]
"""The octets, None if the encoding cannot be undone for sure; code and message of what is wrong."""


def _decoded(raw: bytes, head: _Head, stop: int) -> tuple[bytes | None, list[Problem]]:
    """Undo the transfer encoding of a part."""
    encoded = raw[head.body : stop]
    if head.encoding in _UNCHANGED:
        octets, wrong = _of_unchanged(encoded, head)
    elif head.encoding == "base64":
        octets, wrong = _of_base64(encoded)
    elif head.encoding == "quoted-printable":
        octets, wrong = _of_quoted(encoded)
    else:
        message = f"The transfer encoding {one_line(head.encoding)[:40]!r} is unknown; decode the part by hand."
        octets, wrong = None, (("encoding", message),)
    if "/" not in head.content.word or not head.content.whole:
        wrong = (("content-type", "The Content-Type cannot be read, or not all of it."), *wrong)
    return octets, [Problem(f"payload.{code}", message, head.body, stop, _MIME) for code, message in wrong]


def _of_unchanged(encoded: bytes, head: _Head) -> _Decoded:
    """Take octets as they are, without a line end that a writer had to add to a body."""
    if head.encoding == "7bit" and not encoded.isascii():
        return encoded, (("eight-bit", "The part is declared as 7bit, but has octets above 127; they are kept."),)
    end = b"\r\n" if encoded.endswith(b"\r\n") else b"\n"
    declared = head.disposition.parameters.get("size")
    return encoded.removesuffix(end) if declared == str(len(encoded) - len(end)) else encoded, ()


def _of_base64(encoded: bytes) -> _Decoded:
    """Undo base64, of which blanks and line ends are no part."""
    text = encoded.translate(None, b" \t\r\n")
    missing = -len(text) % 4
    try:
        octets = binascii.a2b_base64(text + b"=" * missing, strict_mode=True)
    except binascii.Error:
        message = "The part is declared as base64, but is not; decode it by hand, or have it sent again."
        return None, (("base64", message),)
    if missing:
        return octets, (("base64-padding", "The base64 has no padding at its end; check that the payload is whole."),)
    return octets, ()


def _of_quoted(encoded: bytes) -> _Decoded:
    """Undo quoted-printable; blanks at the end of a line were added on the way (RFC 2045, section 6.7)."""
    if grammar.BROKEN_QUOTED.search(encoded):
        message = (
            "The part is declared as quoted-printable, but has an = that encodes nothing; decode it by hand, or have "
            "it sent again."
        )
        return None, (("quoted-printable", message),)
    lines = encoded.split(b"\n")
    for at, line in enumerate(lines):
        end = b"\r" if line.endswith(b"\r") else b""
        lines[at] = line.removesuffix(end).rstrip(b" \t") + end
    octets = binascii.a2b_qp(b"\n".join(lines))
    if not encoded.isascii():
        return octets, (("eight-bit", "The part is quoted-printable, but has octets above 127; they are kept."),)
    return octets, ()
