"""Draw values and replies for property tests with Hypothesis; needs the extra `htpoort[testing]`."""

from htpoort.testing.strategies._replies import PayloadForm, ReplyMessage, reply_messages
from htpoort.testing.strategies._setups import QuarantinedFor, RoutedTo, RouterSetup, router_setups, verdict
from htpoort.testing.strategies._values import (
    declaration_systems,
    party_ids,
    references,
    routing_envelopes,
    submissions,
)

__all__ = [
    "PayloadForm",
    "QuarantinedFor",
    "ReplyMessage",
    "RoutedTo",
    "RouterSetup",
    "declaration_systems",
    "party_ids",
    "references",
    "reply_messages",
    "router_setups",
    "routing_envelopes",
    "submissions",
    "verdict",
]
