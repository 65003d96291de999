"""
Compare the message that was sent with the one that the other system would have got.

Never does: send; what it compares are octets.
"""

from __future__ import annotations

import hashlib
from typing import final

import attrs

from htpoort.message import read

__all__ = ["Difference", "differences"]


@final
@attrs.frozen(kw_only=True)
class Difference:
    """
    Say one thing in which two messages differ.

    Args:
        what: ``envelope.A``, ``header.To``, ``body.octets`` or ``body.sha256``, for example.
        sent: In the message that was sent; empty where it has none.
        shadow: In the other.
    """

    what: str
    sent: str
    shadow: str


def differences(sent: bytes, shadow: bytes) -> tuple[Difference, ...]:
    r"""
    Tell every difference of two messages, in the order of envelope, headers and body.

    >>> sent = b"To: ags@htpoort.nl\r\nSubject: [V=NL1.02.05][A=DMS.NL][K=1][S=0]\r\n\r\n<MetaData/>\r\n"
    >>> shadow = sent.replace(b"ags@", b"dms@").replace(b"DMS.NL", b"DMS4.NL")
    >>> for found in differences(sent, shadow):
    ...     print(found.what, found.sent, found.shadow)
    envelope.A DMS.NL DMS4.NL
    header.To ags@htpoort.nl dms@htpoort.nl
    header.Subject [V=NL1.02.05][A=DMS.NL][K=1][S=0] [V=NL1.02.05][A=DMS4.NL][K=1][S=0]

    Args:
        sent: A whole message, as `htpoort.build` made it.
        shadow: The other one.

    Returns:
        What differs; the body by its length and hash, so that no payload stands in a report.
    """
    first, second = read(sent), read(shadow)
    pairs = [
        *_pairs(_envelope(sent), _envelope(shadow)),
        *_pairs(_headers(sent[: first.body_start]), _headers(shadow[: second.body_start])),
        *_pairs(_body(first.body), _body(second.body)),
    ]
    return tuple(Difference(what=what, sent=one, shadow=other) for what, one, other in pairs if one != other)


def _pairs(sent: dict[str, str], shadow: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(what, sent.get(what, ""), shadow.get(what, "")) for what in {**sent, **shadow}]


def _envelope(raw: bytes) -> dict[str, str]:
    envelope = read(raw).envelope
    if envelope is None:
        return {}
    values = (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
    return {f"envelope.{key}": value for key, value in zip("VAKS", values, strict=True)}


def _headers(block: bytes) -> dict[str, str]:
    """Give the headers by name; of those that come several times, each with its number."""
    text = block.decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ")
    found: dict[str, str] = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            seen = sum(key.partition("#")[0] == f"header.{name}" for key in found)
            found[f"header.{name}#{seen + 1}" if seen else f"header.{name}"] = value.strip()
    return found


def _body(body: bytes) -> dict[str, str]:
    return {"body.octets": str(len(body)), "body.sha256": hashlib.sha256(body).hexdigest()}
