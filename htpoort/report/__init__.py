"""
Write reports as pages of HTML that need no network and no script: on a ledger, a move, or a rehearsal.

Which module builds on which: `gathering` asks a ledger for the `facts`; `chart` computes where the parts of a picture
are; `tables` chooses what a page shows; `page` writes it by the templates, and alone needs the extra
`htpoort[report]`.
"""

import importlib
from typing import TYPE_CHECKING

from htpoort.report.chart import Chart
from htpoort.report.facts import Attention, Move, Rehearsed, RehearsedLine, Report, Section
from htpoort.report.gathering import LONGEST_LIST, gather, pauses_for_parties, traffic_charts

if TYPE_CHECKING:
    from htpoort.report.page import move_page, rehearsal_page, report_page

__all__ = [
    "LONGEST_LIST",
    "Attention",
    "Chart",
    "Move",
    "Rehearsed",
    "RehearsedLine",
    "Report",
    "Section",
    "gather",
    "move_page",
    "pauses_for_parties",
    "rehearsal_page",
    "report_page",
    "traffic_charts",
]

_PAGES = {"move_page", "rehearsal_page", "report_page"}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _PAGES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module("htpoort.report.page"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
