"""
Deliver a routed reply to the process that waits for it: a callable, a folder, a Maildir or a command.

A reply is delivered unchanged, and counts as delivered only if the process has confirmed it.
"""

from htpoort.delivery.command import CommandDelivery
from htpoort.delivery.contract import (
    DELIVERY_SCHEDULE,
    Deliverable,
    Delivery,
    DeliveryError,
    SelfTestingDelivery,
)
from htpoort.delivery.folders import DirectoryDelivery, MaildirDelivery

__all__ = [
    "DELIVERY_SCHEDULE",
    "CommandDelivery",
    "Deliverable",
    "Delivery",
    "DeliveryError",
    "DirectoryDelivery",
    "MaildirDelivery",
    "SelfTestingDelivery",
]
