"""Read `htpoort.toml`: everything that is wrong with it at once, each with its path and line."""

from htpoort.config.configuration import AgentConfig, CutoverConfig, LedgerConfig
from htpoort.config.file import read_agent, read_agent_without_secrets, read_ledger

__all__ = ["AgentConfig", "CutoverConfig", "LedgerConfig", "read_agent", "read_agent_without_secrets", "read_ledger"]
