"""Read `htpoort.toml`: everything that is wrong with it at once, each with its path and line."""

from htpoort.config.reading import read_agent, read_ledger
from htpoort.config.values import AgentConfig, LedgerConfig

__all__ = ["AgentConfig", "LedgerConfig", "read_agent", "read_ledger"]
