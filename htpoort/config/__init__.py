"""Read `htpoort.toml`: everything that is wrong with it at once, each with its path and line."""

from htpoort.config.reading import read_agent, read_ledger, read_settings
from htpoort.config.values import AgentConfig, CutoverConfig, LedgerConfig

__all__ = ["AgentConfig", "CutoverConfig", "LedgerConfig", "read_agent", "read_ledger", "read_settings"]
