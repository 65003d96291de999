"""
Draw what a declarant's software meets, for property tests with Hypothesis.

Never does: need the network, a ledger or pytest.
"""

from htpoort.testing.strategies._conversations import conversations
from htpoort.testing.strategies._outcomes import (
    Conversation,
    Label,
    Outcome,
    QuarantinedFor,
    ReplyMessage,
    RoutedTo,
    RouterSetup,
    TimedReply,
    said,
)
from htpoort.testing.strategies._replies import FORGED, reply_messages
from htpoort.testing.strategies._scenes import router_setups
from htpoort.testing.strategies._tolerated import TOLERATED
from htpoort.testing.strategies._values import (
    declaration_systems,
    party_ids,
    references,
    routing_envelopes,
    submissions,
)

__all__ = [
    "FORGED",
    "TOLERATED",
    "Conversation",
    "Label",
    "Outcome",
    "QuarantinedFor",
    "ReplyMessage",
    "RoutedTo",
    "RouterSetup",
    "TimedReply",
    "conversations",
    "declaration_systems",
    "party_ids",
    "references",
    "reply_messages",
    "router_setups",
    "routing_envelopes",
    "said",
    "submissions",
]
