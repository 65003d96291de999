"""
Rehearse a move: play a plan against the simulator, and check where each reply arrived.

`rehearse` plays a move from one declaration system to another, `rehearse_gateways` a change of file gateways.

Needs the extra `htpoort[simulator]`.
"""

from htpoort.rehearsal._file_verdicts import FileRehearsal, RehearsedFile
from htpoort.rehearsal._files import FILE_SCRIPT, GatewayPlan, rehearse_gateways
from htpoort.rehearsal._play import SCRIPT, RouterFactory, rehearse
from htpoort.rehearsal._verdicts import Arrival, Destination, Rehearsal, RehearsedDeclaration, ReplyVerdict

__all__ = [
    "FILE_SCRIPT",
    "SCRIPT",
    "Arrival",
    "Destination",
    "FileRehearsal",
    "GatewayPlan",
    "Rehearsal",
    "RehearsedDeclaration",
    "RehearsedFile",
    "ReplyVerdict",
    "RouterFactory",
    "rehearse",
    "rehearse_gateways",
]
