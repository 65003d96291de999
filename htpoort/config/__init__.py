"""
Read `htpoort.toml`: everything that is wrong with it at once, each with its path and line; and check what it names.

What checks servers is imported when it is first used: a program that only reads settings loads no client.
"""

import importlib
from typing import TYPE_CHECKING

from htpoort.config.configuration import (
    AgentConfig,
    CutoverConfig,
    LedgerConfig,
    MetricsConfig,
    MissingSecrets,
    NoticesConfig,
    UnansweredConfig,
)
from htpoort.config.file import PartlyRead, read_agent, read_agent_in_part, read_agent_without_secrets, read_ledger

if TYPE_CHECKING:
    from htpoort.config.checking import check
    from htpoort.config.disk_checks import Finding, Verdict

__all__ = [
    "AgentConfig",
    "CutoverConfig",
    "Finding",
    "LedgerConfig",
    "MetricsConfig",
    "MissingSecrets",
    "NoticesConfig",
    "PartlyRead",
    "UnansweredConfig",
    "Verdict",
    "check",
    "read_agent",
    "read_agent_in_part",
    "read_agent_without_secrets",
    "read_ledger",
]

_CHECKING = {"Finding": "disk_checks", "Verdict": "disk_checks", "check": "checking"}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _CHECKING:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(f"htpoort.config.{_CHECKING[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
