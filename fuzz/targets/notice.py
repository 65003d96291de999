"""read_notice: any text is a notice or none, and what is stated has a place in the text."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fuzz.targets import ROOT, corpus
from htpoort.notices import notice_json, read_notice


def seeds() -> Iterator[bytes]:
    """Yield the notices of the tests, and those of the corpus."""
    for path in sorted((ROOT / "tests/unit/notices").glob("*.txt")):
        yield path.read_bytes()
    yield from corpus("*.txt")


def check(data: bytes) -> None:
    """Read and show."""
    text = data.decode("utf-8", "surrogateescape")
    notice = read_notice(text)
    assert notice.text == text
    json.dumps(notice_json(notice))
    for problem in notice.problems:
        assert 0 <= problem.start <= problem.stop <= len(text), problem
    for start, stop in notice.unread:
        assert 0 <= start <= stop <= len(text)
    assert read_notice(text) == notice
