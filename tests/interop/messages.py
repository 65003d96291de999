"""Hold what is exchanged: one party, one mailbox, K of the three lengths, and what a reader makes of them."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from htpoort import DMS, RoutingEnvelope, Submission, build, read

PARTY: Final = "NL123456789.02.05"
MAILBOX: Final = "edi@forwarder.example"
PASSWORD: Final = "geheim"
PAYLOAD: Final = b"<MetaData/>\r\n"

REFERENCES: Final = {
    14: "22096222734662",
    32: "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
    35: "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345678",
}
"""K of the official examples, the longest seen in the field, and EDIFACT's longest."""


def declaration(length: int) -> Submission:
    """Build a declaration to DMS with a K of one of the lengths."""
    reference = REFERENCES[length]
    return build(
        system=DMS,
        party=PARTY,
        mailbox=MAILBOX,
        reference=reference,
        payload=PAYLOAD,
        date=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        message_id=f"<{reference}@forwarder.example>",
    )


def subject_of(envelope: RoutingEnvelope) -> str:
    """Write the expected Subject by hand."""
    return f"[V={envelope.sender}][A={envelope.addressee}][K={envelope.reference}][S={envelope.s}]"


# ── readers ──────────────────────────────────────────────────────────────────


def _one_line(raw: bytes, envelope: RoutingEnvelope) -> bool:
    """Read line by line, as a program that does not unfold."""
    head, _, _ = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if line.lower().startswith(b"subject:")]
    return lines == [f"Subject: {subject_of(envelope)}".encode()]


def _compat32(raw: bytes, envelope: RoutingEnvelope) -> bool:
    """Read with the standard library's old policy; versions of CPython differ in blanks at the ends."""
    found = email.message_from_bytes(raw, policy=email.policy.compat32)["Subject"]
    return str(found).strip() == subject_of(envelope)


def _default(raw: bytes, envelope: RoutingEnvelope) -> bool:
    """Read with the standard library's new policy, with the same allowance."""
    found = email.message_from_bytes(raw, policy=email.policy.default)["Subject"]
    return str(found).strip() == subject_of(envelope)


def _ours(raw: bytes, envelope: RoutingEnvelope) -> bool:
    """Read with htpoort."""
    return read(raw).envelope == envelope


READERS: Final[dict[str, Callable[[bytes, RoutingEnvelope], bool]]] = {
    "line by line": _one_line,
    "`email`, compat32": _compat32,
    "`email`, default": _default,
    "htpoort `read`": _ours,
}
"""Each checks whether it sees in a message the envelope that was sent."""


def cell(kept: dict[int, bool]) -> str:
    """Write the cell of a reader: one word if it is the same for every length of K."""
    words = {length: "yes" if same else "no" for length, same in kept.items()}
    if len(set(words.values())) == 1:
        return words[14]
    return ", ".join(f"{length} {word}" for length, word in words.items())
