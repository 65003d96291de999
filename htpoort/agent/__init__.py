"""
Run router, ledger, transport and delivery together, unattended.

A name is imported from its module when it is first used: a program that only reads settings loads no worker.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from htpoort.agent.agent import Agent
    from htpoort.agent.dispatch import Destination, Dispatched, Dispatcher
    from htpoort.agent.files import FileFetchReport, LeftFile, fetch_files_once
    from htpoort.agent.folder import DeclarationFiles, FileOutcome, FolderContent
    from htpoort.agent.inbox import FetchReport, fetch_once
    from htpoort.agent.metrics import METRICS, Metric, MetricKind, Metrics, NoMetrics
    from htpoort.agent.notices import NoticeFiles, NoticeOutcome
    from htpoort.agent.settings import DeclarationFolder, FileGatewaySettings, Outbox, Pop3Inbox, Timing
    from htpoort.transport import SmtpInbox

__all__ = [
    "METRICS",
    "Agent",
    "DeclarationFiles",
    "DeclarationFolder",
    "Destination",
    "Dispatched",
    "Dispatcher",
    "FetchReport",
    "FileFetchReport",
    "FileGatewaySettings",
    "FileOutcome",
    "FolderContent",
    "LeftFile",
    "Metric",
    "MetricKind",
    "Metrics",
    "NoMetrics",
    "NoticeFiles",
    "NoticeOutcome",
    "Outbox",
    "Pop3Inbox",
    "SmtpInbox",
    "Timing",
    "fetch_files_once",
    "fetch_once",
]

_MODULES = {
    "METRICS": "htpoort.agent.metrics",
    "Agent": "htpoort.agent.agent",
    "DeclarationFiles": "htpoort.agent.folder",
    "DeclarationFolder": "htpoort.agent.settings",
    "Destination": "htpoort.agent.dispatch",
    "Dispatched": "htpoort.agent.dispatch",
    "Dispatcher": "htpoort.agent.dispatch",
    "FetchReport": "htpoort.agent.inbox",
    "FileFetchReport": "htpoort.agent.files",
    "FileGatewaySettings": "htpoort.agent.settings",
    "FileOutcome": "htpoort.agent.folder",
    "FolderContent": "htpoort.agent.folder",
    "LeftFile": "htpoort.agent.files",
    "Metric": "htpoort.agent.metrics",
    "MetricKind": "htpoort.agent.metrics",
    "Metrics": "htpoort.agent.metrics",
    "NoMetrics": "htpoort.agent.metrics",
    "NoticeFiles": "htpoort.agent.notices",
    "NoticeOutcome": "htpoort.agent.notices",
    "Outbox": "htpoort.agent.settings",
    "Pop3Inbox": "htpoort.agent.settings",
    "SmtpInbox": "htpoort.transport",
    "Timing": "htpoort.agent.settings",
    "fetch_files_once": "htpoort.agent.files",
    "fetch_once": "htpoort.agent.inbox",
}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(_MODULES[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
