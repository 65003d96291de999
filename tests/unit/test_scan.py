"""The header block: where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from htpoort import _grammar, _scan

LIMIT = _grammar.HEADER_LIMIT


class TestBody:
    """The body begins after the first empty line of a header block that is not too long."""

    @pytest.mark.parametrize(
        ("raw", "start"),
        [
            (b"From: a\r\n\r\nbody", 11),
            (b"From: a\n\nbody", 9),
            (b"From: a\r\n\r\n", 11),
            (b"From: a\r\n", 9),
            (b"", 0),
            (b"a" * (LIMIT + 9) + b"\r\n\r\nbody", LIMIT + 17),
        ],
        ids=["CRLF", "LF", "no body", "no end", "nothing", "too long"],
    )
    def test_begins(self, raw: bytes, start: int) -> None:
        """Where no header block ends, or only beyond the limit, there is no body."""
        assert start == _scan.body(raw)

    @given(st.lists(st.sampled_from([b"a", b":", b"\r\n", b"\n", b"\r", b" "])).map(b"".join))
    def test_agrees_with_the_scan(self, raw: bytes) -> None:
        """It is what a scan of all headers gives."""
        assert _scan.scan(raw).body == _scan.body(raw)
