"""
Whether programs of other authors take the same payload out of a message as our reader does.

Two of them change line ends of what is not base64, as they do for texts, so line ends are compared alike there.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from interop.messages import MAILBOX, PARTY
from interop.readers import PartReaders, part_readers

from htpoort import Part, build, read_payload
from htpoort.testing.strategies import ReplyMessage, reply_messages

PAYLOADS: Final = {
    "XML": b"<MetaData/>\r\n",
    "XML, no line end": b"<MetaData/>",
    "XML, LF": b"<MetaData>\n\xc3\xa9 </MetaData>\n",
    "EDIFACT": b"UNB+UNOC:3+A+B'\r\nUNZ+1'\r\n",
    "every octet": bytes(range(256)),
    "what servers change": b"<a>\r\n.\r\nFrom x \r\n</a>\r\n\r\n",
    "a boundary": b"<a>\r\n--=_htpoort--\r\n</a>\r\n",
}

OTHERWISE: Final = {
    ("mimetools-testmsgs--multi-weirdspace.msg", "mailparser"): "It drops the blanks in a boundary.",
    ("testmsgs--weird-boundary.msg", "MIME::Tools"): "It drops the blanks at the end of a boundary.",
    ("mimetools-testmsgs--double-semicolon.msg", "Email::MIME"): "It reads no parameter after two semicolons.",
    ("mimetools-testmsgs--double-semicolon2.msg", "Email::MIME"): "It reads no parameter after two semicolons.",
}
"""Foreign messages that a program reads otherwise, and why; the others that are asked agree with us."""

WITHOUT_HEADERS: Final = re.compile(rb"(?:\A|\n)--[^\n]*\n\r?\n\Z")
"""A boundary and the empty line after it."""


@pytest.fixture(scope="module")
def readers() -> Iterator[PartReaders]:
    """Yield the readers, each started once."""
    with part_readers() as found:
        yield found


def alike(octets: bytes) -> bytes:
    """Write every line end as LF."""
    return re.sub(rb"\r*\n", b"\n", octets)


@pytest.mark.parametrize("layout", ["body", "attachment"])
@pytest.mark.parametrize("encoding", [None, "quoted-printable", "base64"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_built(name: str, layout: str, encoding: str | None, readers: PartReaders) -> None:
    """Each finds the payload of `build`, and nothing else; mailparser finds the same octets."""
    payload = PAYLOADS[name]
    raw = build(
        system="DMS",
        party=PARTY,
        mailbox=MAILBOX,
        reference="22096222734662",
        payload=payload,
        date=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        message_id="<1@forwarder.example>",
        layout=layout,  # type: ignore[arg-type]
        transfer_encoding=encoding,  # type: ignore[arg-type]
    ).data
    found = readers.read(raw)
    added = b"\r\n" if b"\r\nContent-Disposition: inline; size=" in raw else b""

    assert payload == read_payload(raw).octets
    assert {"mailparser", "Email::MIME", "MIME::Tools"} == found.keys()
    assert [payload + added] == found["mailparser"]
    for parts in found.values():
        assert [alike(payload + added)] == [alike(octets) for octets in parts]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(message=reply_messages(reasons=[], forms=["base64", "quoted-printable", "attachment-base64"]))
def test_what_is_drawn(message: ReplyMessage, readers: PartReaders) -> None:
    """Each finds the payload of a reply that is drawn."""
    for parts in readers.read(message.raw).values():
        assert [alike(message.payload)] == [alike(octets) for octets in parts]


def foreign(corpus: Path | None) -> list[Path]:
    """List the messages from outside this project that this machine has."""
    python = Path(sysconfig.get_path("stdlib")) / "test" / "test_email" / "data"
    files = [*python.glob("*.txt"), *python.glob("*.eml")]
    return sorted([*files, *([] if corpus is None else corpus.rglob("*.msg"))])


def comparable(raw: bytes, reader: str) -> list[Part]:
    """List the parts that we decode and of which a program keeps the octets."""
    parts = [part for part in read_payload(raw).parts if part.octets is not None]
    if reader == "mailparser":  # makes strings of texts
        return [part for part in parts if not part.content_type.startswith(("text/", "message/"))]
    if reader == "Email::MIME":  # looks for headers in the first paragraph of a part that has none
        return [part for part in parts if WITHOUT_HEADERS.search(raw[: part.start]) is None]
    return parts


def test_messages_of_others(readers: PartReaders, corpus: Path | None, record_property: pytest.RecordProperty) -> None:
    """
    What we decode in a message of the corpora, every reader decodes alike, but for the listed ones.

    Where we find one part, a reader that shows texts too finds no other.
    """
    missing: set[tuple[str, str]] = set()
    compared = 0
    for path in foreign(corpus):
        raw = path.read_bytes()
        whole = read_payload(raw).octets
        for name, found in readers.read(raw).items():
            ours = {alike(part.octets or b"") for part in comparable(raw, name)}
            theirs = {alike(octets) for octets in found if name == "mailparser" or octets.strip()}
            alone = whole is None or name == "mailparser" or not ours or len(theirs) <= 1
            compared += len(ours)
            if not alone or not {octets for octets in ours if octets.strip()} <= theirs:
                missing.add((path.name, name))
    record_property("compared", compared)

    assert missing <= OTHERWISE.keys()
