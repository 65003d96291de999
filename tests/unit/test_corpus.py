"""Messages from outside this project: each gives a value, none is routed."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from htpoort import Quarantined, Received, Router, read

ROUTER = Router(parties=["NL123456789.02.05"])

UGLY = {
    "nothing": b"",
    "one octet": b"\x00",
    "only line ends": b"\r\n\r\n\n\n\r\r",
    "binary": bytes(range(256)) * 300,
    "mbox": b"From dms@htpoort.nl Mon Nov  2 09:05:07 2026\nFrom: dms@htpoort.nl\nSubject: hi\n\n",
    "no headers": b"Dear Customs,\r\n\r\nwhere is my reply?\r\n",
    "out of office": b"From: dms@htpoort.nl\r\nSubject: Afwezig: [ticket 12]\r\n\r\n",
    "bounce": b"From: <>\r\nSubject: Undelivered\r\nContent-Type: multipart/report\r\n\r\n--x\r\n",
    "latin-1": b"From: Andr\xe9 <a@b.example>\r\nSubject: Verg\xfcnning [K=1]\r\n\r\n",
    "latin-1 name": b"Fr\xf6m: a\r\nSubject: b\r\n\r\n",
    "defective word": b"From: a@b.example\r\nSubject: =?utf-8?b?=5BV?= =?x-unknown?q?a?= =?utf-8?q?\r\n\r\n",
    "colon only": b":\r\n:\r\n\r\n",
    "blank lines in headers": b"From: dms@htpoort.nl\r\n \r\nSubject: a\r\n\t\r\n\r\n",
    "mixed ends": b"From: dms@htpoort.nl\rSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]\r\r",
    "very long line": b"Subject: " + b"[V=" * 10_000 + b"\r\nFrom: a@b.example\r\n\r\n",
    "many headers": b"Received: x\r\n" * 6_000 + b"\r\n",
    "half an envelope": b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05]\r\n\r\n",
    "our request, come back": b"From: a@b.example\r\nSubject: [V=NL123456789.02.05][A=DMS4.NL][K=1][S=0]\r\n\r\n",
}  # fmt: skip


def standard_library() -> dict[str, bytes]:
    """Read the messages of CPython's own tests; empty where this Python came without them."""
    folder = Path(sysconfig.get_path("stdlib")) / "test" / "test_email" / "data"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


@pytest.fixture(scope="module")
def messages(corpus: Path | None) -> dict[str, bytes]:
    """Give every foreign message that this machine has, and our own ugly ones."""
    foreign = [] if corpus is None else sorted(path for path in corpus.rglob("*") if path.is_file())
    return {**UGLY, **standard_library(), **{str(path): path.read_bytes() for path in foreign}}


def test_each_gives_a_value(messages: dict[str, bytes], record_property: pytest.RecordProperty) -> None:
    """`read` raises on none of them, and gives the message back as it came."""
    record_property("messages", len(messages))
    for raw in messages.values():
        received = read(raw)
        assert isinstance(received, Received)
        assert raw == received.raw

    assert UGLY.keys() <= messages.keys()


def test_none_routes(messages: dict[str, bytes]) -> None:
    """Each is in quarantine with a reason; none reaches a process."""
    routed = [name for name, raw in messages.items() if not isinstance(ROUTER.route_message(raw), Quarantined)]

    assert [] == routed


def test_none_routes_with_lf_or_crlf(messages: dict[str, bytes]) -> None:
    """The same holds where a mail server changed all line ends."""
    for end in (b"\n", b"\r\n"):
        changed = {name: end.join(raw.splitlines()) for name, raw in messages.items()}
        assert [] == [name for name, raw in changed.items() if not isinstance(ROUTER.route_message(raw), Quarantined)]


def test_each_can_be_pointed_at(messages: dict[str, bytes]) -> None:
    """Every problem lies inside what was read, and is a sentence."""
    for raw in messages.values():
        for problem in read(raw).problems:
            assert 0 <= problem.start <= problem.stop <= len(raw)
            assert problem.message.endswith(".")
