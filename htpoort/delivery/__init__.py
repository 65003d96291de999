"""
Give a routed reply to the process that waits for it: a callable, a Maildir or a command.

Never does: change a reply, run a shell, or call a reply delivered that is not.
"""

from htpoort.delivery.command import CommandDelivery
from htpoort.delivery.maildir import MaildirDelivery
from htpoort.delivery.values import (
    DELIVERY_SCHEDULE,
    Deliverable,
    Delivery,
    DeliveryError,
    SelfTesting,
    redeliver_after,
)

__all__ = [
    "DELIVERY_SCHEDULE",
    "CommandDelivery",
    "Deliverable",
    "Delivery",
    "DeliveryError",
    "MaildirDelivery",
    "SelfTesting",
    "redeliver_after",
]
