"""
Read published notices about service windows and disruptions, and decide what they mean for a declaration.

Pure: texts, moments and names are arguments, and nothing is fetched or stored. What reads texts is loaded at its
first use: compiling its rules takes longer than a command that reads none.
"""

import importlib
from typing import TYPE_CHECKING

from htpoort.core.notices.availability import (
    Advice,
    AdviceKind,
    AdvicePeriod,
    Availability,
    KnownNotice,
    NoticeName,
    PlacedWindow,
)
from htpoort.core.notices.consequences import (
    RecoveryAction,
    RecoveryRule,
    answer_age,
    hold_advice,
    outstanding_since,
    presumed_rejected,
    recovery_rule,
)
from htpoort.core.notices.notice import (
    Access,
    Behaviour,
    EndKind,
    Fallback,
    Notice,
    NoticeKind,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)
from htpoort.core.notices.own import read_own_notice

if TYPE_CHECKING:
    from htpoort.core.notices.reading import notice_json, read_notice

__all__ = [
    "Access",
    "Advice",
    "AdviceKind",
    "AdvicePeriod",
    "Availability",
    "Behaviour",
    "EndKind",
    "Fallback",
    "KnownNotice",
    "Notice",
    "NoticeKind",
    "NoticeName",
    "NoticeState",
    "PlacedWindow",
    "Recovery",
    "RecoveryAction",
    "RecoveryRule",
    "Revision",
    "ServiceWindow",
    "answer_age",
    "hold_advice",
    "notice_json",
    "outstanding_since",
    "presumed_rejected",
    "read_notice",
    "read_own_notice",
    "recovery_rule",
]

_READING = {"notice_json", "read_notice"}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _READING:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module("htpoort.core.notices.reading"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
