"""Router.route_message: any octets are routed or quarantined, and routed only if the addressee is ours."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.targets import messages
from htpoort import HTPOORT, Quarantined, Routed, Router, RoutingEnvelope, read

_PARTY = "NL123456789.02.05"
_ROUTER = Router(parties=[_PARTY])
_MAILBOXES = {system.mailbox: system for system in HTPOORT}


def seeds() -> Iterator[bytes]:
    """Yield messages."""
    yield from messages()


def check(data: bytes) -> None:
    """Route, with and without the sender of the dialogue."""
    result = _ROUTER.route_message(data)
    assert isinstance(result, Routed | Quarantined)
    other = _ROUTER.route_message(data, mail_from="someone@else.example")
    assert isinstance(other, Quarantined), other
    if isinstance(result, Routed):
        assert str(result.party) == _PARTY
        assert result.system in _MAILBOXES.values()
        assert result.envelope.sender.lower() == result.system.process_id.lower()
        assert RoutingEnvelope.parse(result.envelope.render(), strict=True) == result.envelope
        assert data.endswith(read(data).body)
    assert result.payload is not None if isinstance(result, Routed) else result.reason
