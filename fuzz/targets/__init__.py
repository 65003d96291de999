"""
The targets: in each module *check*, which raises if a law is broken, and *seeds*, which yields the first inputs.

No target knows the fuzzer, so the tests run each over its seeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

NAMES: Final = (
    "envelope",
    "message",
    "routing",
    "notice",
    "toml",
    "file",
    "ftps_client",
    "pop3_client",
    "pop3_server",
    "smtp_receiver",
    "smtp_sender",
)
ROOT: Final = Path(__file__).parents[2]
SUBJECT: Final = "[V=NL123456789.02.05][A=DMS4.NL][K=20260001][S=0]"
REPLY: Final = "[V=DMS4.NL][A=NL123456789.02.05][K=20260001][S=0]"
SUBJECTS: Final = (
    SUBJECT,
    REPLY,
    f"Re: {REPLY.lower()} thanks",
    "[V= DMS4.NL][A= NL123456789.02.05][K= 20260001][S= 0]",
    "=?utf-8?q?=5BV=3DDMS4=2ENL=5D=5BA=3DNL123456789=2E02=2E05=5D=5BK=3D1=5D=5BS=3D0=5D?=",
    "[V=DMS4.NL]\r\n [A=NL123456789.02.05][X=1][K=1][S=0]",
    "[[V=][A=][K=[S=0]]",
)


def corpus(*patterns: str) -> Iterator[bytes]:
    """Yield the files of the folder that HTPOORT_CORPUS names, if it does."""
    folder = os.environ.get("HTPOORT_CORPUS")
    for pattern in patterns if folder else ():
        for path in sorted(Path(str(folder)).rglob(pattern)):
            yield path.read_bytes()


def messages() -> Iterator[bytes]:
    """Yield whole messages: ours in each layout, a few that are wrong, and the corpus."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only some targets need it

    from htpoort import DMS, Layout, build  # noqa: PLC0415 - imported when the fuzzer watches the imports

    for layout in get_args(Layout):
        built = build(
            system=DMS,
            mailbox="edi@forwarder.example",
            party="NL123456789.02.05",
            reference="20260001",
            payload=b"<Declaration>\xc3\xab</Declaration>",
            date=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            message_id="<1@forwarder.example>",
            layout=layout,
        ).data
        yield built
        yield built.replace(b"edi@forwarder.example", b"dms@htpoort.nl").replace(SUBJECT.encode(), REPLY.encode())
    for subject in SUBJECTS:
        yield f"From: DMS <dms@htpoort.nl>\r\nSubject: {subject}\r\n\r\n<a/>\r\n".encode()
    for sender in (b"dms@", b"dms@[", b"<", b"dms@htpoort.nl, x@y.example", b"<dms@htpoort.nl>x"):
        yield b"From: " + sender + b"\nSubject: " + REPLY.encode() + b"\n\n--b\n"
    yield (
        b"From: dms@htpoort.nl\r\nContent-Type: multipart/mixed; boundary=b\r\nSubject: "
        + REPLY.encode()
        + b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Type: application/xml; charset=utf-8\r\n\r\nPGEvPg==\r\n--b--\r\n"
    )
    yield from corpus("*.msg", "*.eml")
