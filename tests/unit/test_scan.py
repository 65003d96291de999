"""The header block: where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from htpoort import Router, read
from htpoort.core import _headers, grammar

LIMIT = grammar.HEADER_LIMIT


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
        assert start == _headers.scan(raw).body

    @given(st.lists(st.sampled_from([b"a", b":", b"\r\n", b"\n", b"\r", b" "])).map(b"".join))
    def test_router_and_reader_agree(self, raw: bytes) -> None:
        """The router and the reader of headers agree on it, whatever the router decides."""
        assert read(raw).body_start == Router(parties=["NL123456789.02.05"]).route_message(raw).body_start
