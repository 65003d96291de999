"""
Move declarants from one declaration system to another, without losing a reply.

Pure: days are arguments, and nothing is read or sent.
"""

from htpoort.core.cutover.moves import Move, day_of
from htpoort.core.cutover.plan import CutoverPlan
from htpoort.core.cutover.preview import (
    Difference,
    MovePreview,
    SettingChange,
    SystemSettings,
    differences,
    preview_moves,
)
from htpoort.core.cutover.progress import (
    QUIET_DAYS,
    MoveProgress,
    MoveStage,
    OldSystemFacts,
    PartyTotals,
    SwitchOff,
    Totals,
    decide_switch_off,
    move_progress,
)

__all__ = [
    "QUIET_DAYS",
    "CutoverPlan",
    "Difference",
    "Move",
    "MovePreview",
    "MoveProgress",
    "MoveStage",
    "OldSystemFacts",
    "PartyTotals",
    "SettingChange",
    "SwitchOff",
    "SystemSettings",
    "Totals",
    "day_of",
    "decide_switch_off",
    "differences",
    "move_progress",
    "preview_moves",
]
