"""
Rehearse a move: play a plan against the simulator, and check where each reply arrived.

Needs the extra `htpoort[simulator]`.
"""

from htpoort.rehearsal._play import SCRIPT, RouterFactory, rehearse
from htpoort.rehearsal._verdicts import Arrival, Destination, Rehearsal, RehearsedDeclaration, ReplyVerdict

__all__ = [
    "SCRIPT",
    "Arrival",
    "Destination",
    "Rehearsal",
    "RehearsedDeclaration",
    "ReplyVerdict",
    "RouterFactory",
    "rehearse",
]
