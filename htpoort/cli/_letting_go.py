"""Send what a notice holds: all of it, or single exchanges; `htpoort recover NOTICE [K]... --do let-go`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, final

import attrs

from htpoort import _clock
from htpoort.cli import _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import REST
from htpoort.core.errors import UnknownError

if TYPE_CHECKING:
    from htpoort.ledger import Exchange, Exemption, Ledger, StoredNotice

LINES: Final = ("party", "system", "reference", "state", "result", "refused")
"""The columns of the list for a program."""
_BEFORE: Final = "let go before"
_SHOWN: Final = ("system", "party", "reference", "state", "result")


def check_options(references: Sequence[str], despite: str | None, party: str | None) -> None:
    """
    Check what `--do let-go` needs.

    Raises:
        InputError: It lacks a reason, or would do more than its options say.
    """
    if despite is None:
        message = "--do let-go sends although the notice says to hold; give the reason by --despite TEXT."
        raise _input.refusal("input.usage", message)
    if party is not None and not references:
        message = "--do let-go without K is for all parties; name each K that --party is about."
        raise _input.refusal("input.usage", message)


@final
@attrs.frozen(kw_only=True)
class LettingGo:
    """
    An order to send although a notice says to hold.

    Args:
        ledger: The open ledger.
        notice: The notice.
        despite: Why.
        party: Only exchanges of this party; for those that are named.
        yes: Whether to do it.
    """

    ledger: Ledger
    notice: StoredNotice
    despite: str
    party: str | None
    yes: bool

    def run(self, references: Sequence[str], *, csv: bool, json: bool, limit: int) -> int:
        """
        Order it, or only show what would be let go.

        Args:
            references: K of the exchanges; none for all that the notice holds.
            csv: Whether to print comma-separated values.
            json: Whether to print JSON.
            limit: The most lines of the table.

        Returns:
            The exit code.
        """
        lines = self._named(references) if references else self._all()
        facts = self._facts(lines, named=bool(references))
        _show_lines(facts, lines, yes=self.yes, csv=csv, json=json, limit=limit)
        return _output.BAD_INPUT if facts["refused"] else 0

    def _all(self) -> list[Facts]:
        """Order it for all that the notice holds; return a line for each exchange that is freed by it."""
        at = _clock.now()
        freed = self.ledger.windows.freed_by_order(self.notice.key, at=at)
        if self.yes:
            self.ledger.notices.overrule(self.notice.key, reason=self.despite, at=at)
            _output.mark_committed()
        return [_line(exchange, self._done(), "") for exchange in freed]

    def _named(self, references: Sequence[str]) -> list[Facts]:
        """
        Order it for exchanges; return a line for each.

        Raises:
            InputError: No exchange has one of these K; nothing is ordered then.
        """
        at = _clock.now()
        # All are looked at before anything is ordered.
        found = [self._found(reference, at) for reference in dict.fromkeys(references)]
        return [self._ordered(preview, at) for preview in found]

    def _found(self, reference: str, at: datetime) -> Exemption:
        try:
            return self.ledger.windows.exemption(str(self.notice.key), reference, at=at, party=self.party)
        except UnknownError as error:
            message = f"K {reference!r}: no exchange has it. Leave out K to see what the notice holds."
            raise _input.refusal("input.usage", message) from error

    def _ordered(self, order: Exemption, at: datetime) -> Facts:
        exchange = order.exchange
        if order.refused:
            return _line(exchange, "", order.refused)
        if self.yes and not order.repeated:
            order = self.ledger.windows.exempt(
                str(self.notice.key), exchange.reference, reason=self.despite, at=at, party=exchange.party
            )
            _output.mark_committed()
        result = _BEFORE if order.repeated else self._done()
        also = f"; notice {order.also} holds it as well" if order.also else ""
        return _line(order.exchange, result + also, "")

    def _done(self) -> str:
        return "let go" if self.yes else "would be let go"

    def _facts(self, lines: Sequence[Facts], *, named: bool) -> Facts:
        """Summarize the lines."""
        before = any(line["result"] == _BEFORE for line in lines)
        done = [line for line in lines if not line["refused"] and line["result"] != _BEFORE]
        result = self._done()
        if named and not done:
            result = _BEFORE if before else f"nothing {result}"
        return {
            "notice": self.notice.key,
            "result": result,
            "despite": self.despite,
            "systems": ", ".join(sorted({line["system"] for line in done})),
            "number": len(done),
            "refused": sum(1 for line in lines if line["refused"]),
            "references": ", ".join(line["reference"] for line in done),
        }


def _line(exchange: Exchange, result: str, refused: str) -> Facts:
    return {
        "party": exchange.party,
        "system": exchange.system,
        "reference": exchange.reference,
        "state": exchange.state.value,
        "result": result,
        "refused": refused,
    }


def _show_lines(facts: Facts, lines: Sequence[Facts], *, yes: bool, csv: bool, json: bool, limit: int) -> None:  # noqa: PLR0913 - each choice of how
    """Print what is let go, or would be."""
    if json:
        _show.as_json({**facts, "exchanges": list(lines)})
        return
    if csv:
        _show.csv_lines(LINES, lines)
        return
    cells = [(*(line[column] for column in _SHOWN[:-1]), line["result"] or line["refused"]) for line in lines]
    _show.table("Exchanges that the notice holds", _SHOWN, cells, limit=limit, rest=f"{REST} So has --csv.")
    # The table has them.
    _show.rows({name: value for name, value in facts.items() if name != "references"})
    if yes and facts["number"]:
        _show.line("A running agent sends what it held; a later text of this notice is obeyed again.")
    elif facts["number"] or facts["result"] == "would be let go":
        _show.line("Nothing has changed; add --yes to do it.")
