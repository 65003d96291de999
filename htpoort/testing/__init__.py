"""
Fixtures and strategies for the tests of your own software; needs the extra `htpoort[testing]`.

pytest finds the fixtures by itself. Importing this package loads nothing else; a class is loaded on first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from htpoort.testing.handles import ReceivedReply, RunningClock, RunningGateway, RunningReceiver

__all__ = ["ReceivedReply", "RunningClock", "RunningGateway", "RunningReceiver"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("htpoort.testing.handles"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
