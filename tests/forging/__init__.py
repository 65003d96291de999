"""
Forge replies in every way we know, and write genuine ones in every form that the reader forgives.

Serves the tests of the router (rule 4: one thing wrong is quarantined with its reason). `htpoort.testing.strategies` is
the small public sister.
"""

from forging.conversations import conversations
from forging.forms import TOLERATED
from forging.messages import FORGED, labelled_replies
from forging.results import Conversation, Label, LabelledReply, Outcome, TimedReply

__all__ = [
    "FORGED",
    "TOLERATED",
    "Conversation",
    "Label",
    "LabelledReply",
    "Outcome",
    "TimedReply",
    "conversations",
    "labelled_replies",
]
