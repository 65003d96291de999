"""
Move declarants from one declaration system to another, without losing a reply.

Pure: days are arguments, and nothing is read or sent.
"""

from htpoort.cutover.moves import Move
from htpoort.cutover.plan import CutoverPlan
from htpoort.cutover.reports import Change, Coming, Progress, Stage, Standing, StandingOf, coming, progress

__all__ = [
    "Change",
    "Coming",
    "CutoverPlan",
    "Move",
    "Progress",
    "Stage",
    "Standing",
    "StandingOf",
    "coming",
    "progress",
]
