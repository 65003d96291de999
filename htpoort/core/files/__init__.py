"""
Exchange declarations as files through a gateway: names, folders, status files, and which response belongs to what.

Pure: octets, names and moments are arguments, and nothing is uploaded, fetched or stored.
"""

from htpoort.core.files.names import FileName, GatewayUser
from htpoort.core.files.routing import FileRouter, RoutedFile, UnmatchedFile, correlate_file
from htpoort.core.files.rules import (
    MANIFEST_2020,
    MANIFEST_RULES,
    Fact,
    GatewayAccess,
    GatewayAdvice,
    GatewayChange,
    GatewayRules,
    rules_at,
)
from htpoort.core.files.service import FileService, clashes
from htpoort.core.files.status import (
    NAME_REUSED,
    FileStatus,
    StatusFile,
    StatusReport,
    is_certain,
    read_report,
    render_report,
)
from htpoort.core.files.submission import FileSubmission, build_file, entity, name_of, octets_of

__all__ = [
    "MANIFEST_2020",
    "MANIFEST_RULES",
    "NAME_REUSED",
    "Fact",
    "FileName",
    "FileRouter",
    "FileService",
    "FileStatus",
    "FileSubmission",
    "GatewayAccess",
    "GatewayAdvice",
    "GatewayChange",
    "GatewayRules",
    "GatewayUser",
    "RoutedFile",
    "StatusFile",
    "StatusReport",
    "UnmatchedFile",
    "build_file",
    "clashes",
    "correlate_file",
    "entity",
    "is_certain",
    "name_of",
    "octets_of",
    "read_report",
    "render_report",
    "rules_at",
]
