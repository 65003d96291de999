"""What has no answer, and what a notice says to do about it: `htpoort unanswered` and `htpoort recover`."""

from __future__ import annotations

import contextlib
import enum
import math
import time
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _letting_go, _output, _selection, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Csv, Json, Limit
from htpoort.cli._selection import OfParty, OfSystem
from htpoort.core.errors import InputError, UnknownError
from htpoort.core.notices import Recovery
from htpoort.core.notices.consequences import RecoveryAction, answer_age

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig, UnansweredConfig
    from htpoort.ledger import Concern, Ledger, RecoveryOrder, StoredNotice, Unanswered
    from htpoort.notices import Availability

app = _input.group()

_HOURS: Final = 24 * 36_500
"""A hundred years: more would leave the calendar."""
_HOUR: Final = timedelta(hours=1)
_PARTS: Final = 1000
"""Parts of an hour that an age is given in: a limit may be some minutes."""

# ── unanswered ───────────────────────────────────────────────────────────────

_COLUMNS: Final = ("system", "party", "reference", "business_reference", "sent", "attempts", "age_hours")
UNANSWERED: Final = ("party", "system", *_COLUMNS[2:], "too_old", "accepted", "state")
"""The columns of the list for a program; Customs asked for the first six in March 2023."""


@app.command()
def unanswered(  # noqa: PLR0913 - one option for each thing that narrows the list
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_HOURS, metavar="HOURS", help="Only declarations sent at least this long ago.")
    ] = 0,
    system: OfSystem = None,
    party: OfParty = None,
    too_old: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SYSTEM=]HOURS", help="How long an answer may take, in place of [unanswered]; may be repeated."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait until an answer is too old, list what is, and end with exit code 4.")
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, max=86_400, metavar="SECONDS", help="With --watch: how often to look.")
    ] = 60,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List declarations that were sent, or may have been, and have no reply; for example for Customs."""
    _input.check_one_form(csv=csv, json=json)
    with _input.opened(config) as (settings, ledger):
        list_of = _List(
            settings=settings,
            ledger=ledger,
            limits=_limits(settings, too_old or ()),
            older_than=timedelta(hours=older_than),
            system=_selection.system_name(system, settings),
            party=party,
        )
        if watch:
            lines: Iterator[Facts] = iter(_watched(list_of, every))
        else:
            lines = list_of.lines(_clock.now())
        title = "Declarations whose answer is too old" if watch else "Unanswered declarations"
        _selection.show_listed(title, lines, _COLUMNS, UNANSWERED, csv=csv, json=json, limit=limit)
    if watch:
        raise typer.Exit(_output.ATTENTION)


@final
@attrs.frozen(kw_only=True)
class _List:
    """The list of unanswered declarations, as often as it is asked for."""

    settings: LedgerConfig
    ledger: Ledger
    limits: UnansweredConfig
    older_than: timedelta
    system: str | None
    party: str | None

    def lines(self, now: datetime) -> Iterator[Facts]:
        """Describe each declaration, oldest first."""
        availability = self.ledger.notices.availability()
        found = self.ledger.exchanges.unanswered(before=now - self.older_than, system=self.system, party=self.party)
        for declared in _selection.of_known_party(found, self.party, self.settings):
            yield described(declared, availability, self.limits, now)


def described(declared: Unanswered, availability: Availability, limits: UnansweredConfig, now: datetime) -> Facts:
    """Describe an unanswered declaration: its age is the time in which an answer could have come."""
    exchange = declared.exchange
    age, most = answer_age(availability, exchange.system, since=declared.since, at=now), limits.limit(exchange.system)
    return {
        "party": exchange.party,
        "system": exchange.system,
        "reference": exchange.reference,
        "business_reference": exchange.business_reference,
        "sent": _facts.moment(declared.since),
        "attempts": exchange.attempts,
        # Rounded down, so that it never reaches a limit before the age does.
        "age_hours": math.floor(age / _HOUR * _PARTS) / _PARTS,
        "too_old": most is not None and age >= most and not declared.reported,
        "accepted": _facts.moment(declared.accepted),
        "state": exchange.state.value,
    }


def _limits(settings: LedgerConfig, texts: Sequence[str]) -> UnansweredConfig:
    """Put the times of --too-old in place of those of the file."""
    limits = settings.unanswered
    of_all = [text for text in texts if "=" not in text]
    if len(of_all) > 1:
        raise _input.refusal("input.usage", "--too-old: give one time for all systems, and SYSTEM=HOURS for others.")
    if of_all:
        # Also in place of the times that the file has for single systems.
        limits = attrs.evolve(limits, after=_hours(of_all[0]), of_systems={})
    try:
        own = [
            (settings.directory.system(name).name, _hours(hours))
            for name, _, hours in (text.partition("=") for text in texts if "=" in text)
        ]
    except UnknownError as error:
        place = f"the published systems or [systems] of {settings.file}"
        raise attrs.evolve(error, kind="--too-old", place=place) from None
    names = [name for name, _ in own]
    for name in names:
        if names.count(name) > 1:
            raise _input.refusal("input.usage", f"--too-old: {name} is there more than once; give one time for it.")
    return attrs.evolve(limits, of_systems={**limits.of_systems, **dict(own)})


def _hours(text: str) -> timedelta:
    """
    Read a number of hours.

    Raises:
        InputError: It is none, or too large.
    """
    with contextlib.suppress(ValueError, OverflowError):
        if 0 <= (hours := float(text)) <= _HOURS:
            return timedelta(hours=hours)
    message = f"--too-old is {text!r}; give hours such as 24 or 0.5, or DMS=4 for one system."
    raise _input.refusal("input.value", message)


def _watched(list_of: _List, every: int) -> list[Facts]:
    """Wait until an answer is too old, and list those that are."""
    limits = list_of.limits
    if limits.after is None and not limits.of_systems:
        message = "--watch needs to know how long an answer may take; give --too-old HOURS, or [unanswered] after."
        raise _input.refusal("input.usage", message)
    while True:
        late = [facts for facts in list_of.lines(_clock.now()) if facts["too_old"]]
        if late:
            return late
        time.sleep(every)


# ── recover ──────────────────────────────────────────────────────────────────


class Order(enum.Enum):
    """What --do orders."""

    WAIT = "wait"
    SAME_REFERENCE = "same-reference"
    NEW_REFERENCE = "new-reference"
    REPORT = "report"
    INVALIDATED = "invalidated"
    LET_GO = "let-go"


_USUAL: Final = {
    Recovery.WAIT: Order.WAIT,
    Recovery.SAME_REFERENCE: Order.SAME_REFERENCE,
    Recovery.REPORT_LIST: Order.REPORT,
}
"""What is done without --do, where a notice leaves no choice."""
_BEFORE: Final = "before: "
"""Precedes what was ordered before, and is not ordered again."""
CONCERNED: Final = (
    *("party", "system", "reference", "business_reference", "sent", "state", "presumed_rejected"),
    *("recovery", "to_do", "allowed", "ordered", "result", "refused"),
)
"""The columns of the list for a program."""
_SHOWN: Final = ("system", "party", "reference", "business_reference", "sent", "state", "to_do", "ordered", "result")


@app.command()
def recover(  # noqa: PLR0913 - one option for each part of the order
    notice: Annotated[str, typer.Argument(metavar="NOTICE", help="Number of the notice, or its reference.")],
    references: Annotated[
        list[str] | None, typer.Argument(metavar="K", help="Only these exchanges; by default all that it concerns.")
    ] = None,
    *,
    do: Annotated[
        Order | None,
        typer.Option(metavar="ACTION", help="What to do; by default what the notice says, if it leaves no choice."),
    ] = None,
    despite: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Do it although a notice forbids it; the reason goes into the log."),
    ] = None,
    declaration: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --do new-reference: the new declaration.")
    ] = None,
    lrn: Annotated[str | None, typer.Option(metavar="LRN", help="With --do new-reference: its LRN.")] = None,
    new_reference: Annotated[
        str | None, typer.Option(metavar="K", help="The K of what is sent; by default one that follows from it.")
    ] = None,
    party: OfParty = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only show it.")] = False,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Show what a notice says to do for each exchange that it concerns, and do it with --yes."""
    _input.check_one_form(csv=csv, json=json)
    despite = None if despite is None else _input.words("--despite", despite)
    if despite is not None and not despite.strip():
        raise _input.refusal("ledger.reason", "--despite is blank; give a reason for the log.")
    payload = None if declaration is None else _input.payload(declaration, None, "--declaration")
    _check_recovery(do, references or (), payload, lrn, new_reference)
    if do is Order.LET_GO:
        _letting_go.check_options(references or (), despite, party)
    with _input.opened(config) as (settings, ledger), _naming():
        stored = ledger.notices.find(notice)[-1]
        if do is Order.LET_GO:
            order = _letting_go.LettingGo(ledger=ledger, notice=stored, despite=despite or "", party=party, yes=yes)
            raise typer.Exit(order.run(references or (), csv=csv, json=json, limit=limit))
        recovery = _Recovery(
            ledger=ledger,
            notice=stored,
            at=_clock.now(),
            do=do,
            despite=despite,
            declaration=payload,
            lrn=lrn,
            new_reference=new_reference,
        )
        chosen = list(_selection.of_known_party(iter(recovery.chosen(references or (), party)), party, settings))
        lines = [recovery.facts(concern, named=bool(references), yes=yes) for concern in chosen]
        refused = any(line["refused"] for line in lines)
        if yes and not refused:
            _output.mark_committed()
    _show_recovery(stored, lines, yes=yes, csv=csv, json=json, limit=limit)
    # Without an order there is nothing that could be refused.
    if refused and (yes or do is not None):
        raise typer.Exit(_output.BAD_INPUT)


@contextlib.contextmanager
def _naming() -> Generator[None]:
    """Name the options in what the ledger refuses."""
    options = {"replacement": "--declaration", "business_reference": "--lrn", "new_reference": "--new-reference"}
    with _input.naming(**options, reason="--despite"):
        yield


def _check_recovery(
    do: Order | None,
    references: Sequence[str],
    payload: bytes | None,
    lrn: str | None,
    new_reference: str | None,
) -> None:
    """
    Check the options together.

    Raises:
        InputError: They do not fit each other.
    """
    if do is not Order.NEW_REFERENCE and (payload is not None or lrn is not None):
        raise _input.refusal("input.usage", "--declaration and --lrn go with --do new-reference; leave them out.")
    if do is Order.INVALIDATED and not references:
        message = "--do invalidated closes what it is ordered for, for good; name each K that Customs is to invalidate."
        raise _input.refusal("input.usage", f"{message} Leave out --do to see them.")
    if do is Order.NEW_REFERENCE and len(references) != 1:
        message = "--do new-reference needs one K, with --declaration and --lrn: each has a declaration of its own."
        raise _input.refusal("input.usage", message)
    if new_reference is not None and len(references) != 1:
        raise _input.refusal("input.usage", "--new-reference is the K of one exchange; name that one as K.")


@final
@attrs.frozen(kw_only=True)
class _Recovery:
    """What is done because of a notice; which of it is allowed, the ledger decides."""

    ledger: Ledger
    notice: StoredNotice
    at: datetime
    do: Order | None
    despite: str | None
    declaration: bytes | None
    lrn: str | None
    new_reference: str | None

    def chosen(self, references: Sequence[str], party: str | None) -> list[Concern]:
        """
        List the exchanges that the notice concerns, or those that are named.

        Raises:
            InputError: The notice does not concern one that is named.
        """
        found = [
            concern
            for concern in self.ledger.recoveries.concerned(str(self.notice.key), at=self.at)
            if party is None or concern.exchange.party.lower() == party.lower()
        ]
        if not references:
            return found
        named = [concern for concern in found if concern.exchange.reference in references]
        known = {concern.exchange.reference for concern in named}
        # What an order closed is not listed by itself, and more may be ordered for it.
        return [*named, *(self._closed(name, party) for name in dict.fromkeys(references) if name not in known)]

    def _closed(self, reference: str, party: str | None) -> Concern:
        """
        Find an exchange that is named and not listed.

        Raises:
            InputError: The notice does not concern it, or no exchange has this K.
        """
        try:
            return self.ledger.recoveries.concern(str(self.notice.key), reference, at=self.at, party=party)
        except UnknownError as error:
            message = f"K {reference!r}: no exchange has it. Leave out K to see what the notice concerns."
            raise _input.refusal("input.usage", message) from error
        except InputError as error:
            if error.problems[0].code != "ledger.not-concerned":
                raise
            message = f"K {reference!r}: {error} Leave out K to see what the notice concerns."
            raise _input.refusal("ledger.not-concerned", message) from error

    def facts(self, concern: Concern, *, named: bool, yes: bool) -> Facts:
        """Describe an exchange, and what is ordered for it; with *yes*, order it."""
        exchange, rule = concern.exchange, concern.rule
        do = self.do or _USUAL.get(rule.recovery)
        result, refused = "", ""
        before = next((order for order in concern.orders if self._is_same(order, do)), None)
        instead = next((order for order in concern.orders if order.resubmission is not None), None)
        if before is not None:
            result, refused = self._repeated(concern, before)
        elif instead is not None:
            refused = f"{instead.resubmission} took its place on {_clock.local(instead.at)}; see that one."
        elif do is None:
            refused = f"--do is missing: {rule.to_do}. Give one of {', '.join(rule.allowed)}."
            if RecoveryAction.INVALIDATED in rule.allowed and RecoveryAction.NEW_REFERENCE in rule.against:
                refused += " After invalidated comes new-reference."
        elif concern.window.window.messages and not named:
            only = ", ".join(concern.window.window.messages)
            refused = f"The notice concerns {only} only; name each K that is one of these."
        elif yes:
            result, refused = self._ordered(concern, RecoveryAction(do.value))
        else:
            action = RecoveryAction(do.value)
            refused = _selection.with_despite(concern.why_refused(action, self.despite or None))
            refused = refused or self._checked(concern, action)
        if not refused and not result and do is not None:
            result = f"would be: {do.value}"
        return {
            "party": exchange.party,
            "system": exchange.system,
            "reference": exchange.reference,
            "business_reference": exchange.business_reference,
            "sent": _facts.moment(concern.sent),
            "state": exchange.state.value,
            "presumed_rejected": concern.presumed_rejected,
            "recovery": rule.recovery.value,
            "to_do": rule.to_do,
            "allowed": ", ".join(rule.allowed),
            "ordered": ", ".join(map(_described, concern.orders)),
            "result": result,
            "refused": refused,
        }

    def _is_same(self, order: RecoveryOrder, do: Order | None) -> bool:
        """Check whether the same was ordered before; without --do, whatever was sent is."""
        if do is None:
            return order.resubmission is not None
        return order.action.value == do.value and (order.notice == self.notice.key or order.resubmission is not None)

    def _repeated(self, concern: Concern, before: RecoveryOrder) -> tuple[str, str]:
        """Compare an order with the one that was carried out before; return that one, or why it is another one."""
        try:
            self.ledger.recoveries.check_repeated(
                before,
                concern.exchange,
                replacement=self.declaration,
                business_reference=self.lrn,
                new_reference=self.new_reference,
            )
        except InputError as error:
            return "", str(error)
        return f"{_BEFORE}{_described(before)}", ""

    def _parts(self, action: RecoveryAction) -> dict[str, Any]:
        """Give the parts of an order that its action uses."""
        is_new = action is RecoveryAction.NEW_REFERENCE
        return {
            "new_reference": self.new_reference if action.sends else None,
            "replacement": self.declaration if is_new else None,
            "business_reference": self.lrn if is_new else None,
        }

    def _checked(self, concern: Concern, action: RecoveryAction) -> str:
        """Return why an order would be refused for what it sends, or an empty text."""
        check, parts = self.ledger.recoveries.check_resubmission, self._parts(action)
        try:
            if action.sends:
                check(self.notice, action, concern.exchange, at=self.at, **parts)
        except InputError as error:
            if action is RecoveryAction.NEW_REFERENCE or self.new_reference is not None:
                raise  # it is for one exchange, and what is wrong are its options
            return str(error)
        return ""

    def _ordered(self, concern: Concern, action: RecoveryAction) -> tuple[str, str]:
        """Order it; return what was done, or why it was refused."""
        exchange = concern.exchange
        try:
            order = self.ledger.recoveries.order(
                str(self.notice.key),
                action,
                exchange.reference,
                at=self.at,
                party=exchange.party,
                despite=self.despite,
                **self._parts(action),
            )
        except InputError as error:
            if error.problems[0].code not in {"ledger.notice-forbids", "ledger.resubmitted", "ledger.not-concerned"}:
                raise
            return "", _selection.with_despite(str(error))
        return f"{_BEFORE if order.repeated else ''}{_described(order)}", ""


def _described(order: RecoveryOrder) -> str:
    """Describe an order in a cell of a table."""
    return order.action.value if order.resubmission is None else f"{order.action.value} as {order.resubmission}"


def _show_recovery(  # noqa: PLR0913 - what is listed, and each choice of how
    stored: StoredNotice, lines: Sequence[Facts], *, yes: bool, csv: bool, json: bool, limit: int
) -> None:
    """Print what is done, or would be."""
    refused = sum(1 for line in lines if line["refused"])
    before = sum(1 for line in lines if line["result"].startswith(_BEFORE))
    number = len(lines) - refused - before
    result = "ordered" if yes else "would be ordered"
    if not number:
        result = "ordered before" if before else f"nothing {result}"
    facts: Facts = {
        "notice": stored.key,
        "result": result,
        "number": number,
        "refused": refused,
        "ordered_before": before,
    }
    if json:
        _show.as_json({**facts, "complete": stored.notice.complete, "exchanges": list(lines)})
        return
    if csv:
        _show.csv_lines(CONCERNED, lines)
        return
    cells = [
        tuple(line[column] or (line["refused"] if column == "result" else line[column]) for column in _SHOWN)
        for line in lines
    ]
    _show.table("Exchanges that the notice concerns", _SHOWN, cells, limit=limit, rest=f"{REST} So has --csv.")
    _show.rows(facts)
    if not stored.notice.complete:
        _show.line("Not all of the notice was understood; read it before you do anything.")
    if number and not yes:
        _show.line("Nothing has changed; add --yes to do it.")
