"""RoutingEnvelope.parse: reads or refuses, and what it reads can be written and read strictly."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.targets import SUBJECTS
from htpoort import EnvelopeError, RoutingEnvelope


def seeds() -> Iterator[bytes]:
    """Yield Subjects."""
    yield from (subject.encode() for subject in SUBJECTS)


def check(data: bytes) -> None:
    """Read, write and read again."""
    text = data.decode("utf-8", "surrogateescape")
    found = RoutingEnvelope.find(text)
    try:
        envelope = RoutingEnvelope.parse(text)
    except EnvelopeError as error:
        assert found is None
        assert error.problems
        for problem in error.problems:
            assert 0 <= problem.start <= problem.stop <= len(error.text), problem
        return
    assert found == envelope
    written = envelope.render()
    again = RoutingEnvelope.parse(written, strict=True)
    assert again == envelope
    assert again.render() == written
    assert not again.notes
    try:
        strict = RoutingEnvelope.parse(text, strict=True)
    except EnvelopeError as error:
        assert error.problems
        assert envelope.notes
    else:
        assert strict == envelope
        assert strict.render() == text
