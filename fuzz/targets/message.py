"""read and its payload: any octets are a message, and the body is a part of them."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.targets import messages
from htpoort import Part, read, read_payload


def seeds() -> Iterator[bytes]:
    """Yield messages."""
    yield from messages()


def check(data: bytes) -> None:
    """Read everything that a message has."""
    received = read(data)
    assert received.raw == data
    assert data.endswith(received.body)
    payload = received.payload
    assert payload == read_payload(data)
    part = payload.part
    if isinstance(part, Part):
        assert 0 <= part.start <= part.stop <= len(data)
    for problem in payload.problems:
        assert problem.code
        assert problem.message
