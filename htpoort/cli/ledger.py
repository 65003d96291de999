"""`htpoort status`, `show`, `unanswered`, `resolve`, `redeliver`, `export`, `prune`: what the ledger holds."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import (
    CONFIG,
    LIMIT,
    REST,
    Config,
    Csv,
    Json,
    Limit,
    ReferenceArgument,
    ReplyNumbers,
    WhichParty,
)
from htpoort.core.errors import InputError, UnknownError
from htpoort.core.exchange import State

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig
    from htpoort.ledger import Exchange

app = _input.group()

_DAYS: Final = 36_500  # a hundred years: more would leave the calendar
_HOURS: Final = 24 * _DAYS


@app.command()
def status(*, config: Config = CONFIG, json: Json = False) -> None:
    """Count exchanges, undelivered replies and quarantined messages, and list the oldest that need attention."""
    with _input.opened(config) as (_, ledger):
        facts = _facts.status(ledger)
    if json:
        _show.as_json(facts)
        return
    _show.table(
        "Exchanges",
        ("system", "state", "number"),
        [(system, state, number) for system, states in facts["exchanges"].items() for state, number in states.items()],
    )
    oldest = {f"oldest open of {system}": at for system, at in facts["oldest_open"].items()}
    waiting = {f"undelivered of {system}": number for system, number in facts["undelivered"].items()}
    _show.rows({**oldest, **waiting, "in quarantine": facts["quarantined"]})
    if facts["asks"]:
        _show_attention(facts)
    if facts["early"]:
        _show_early(facts)
    if facts["paused"]:
        _show.table(
            "Servers that pause after a failure",
            tuple(facts["paused"][0]),
            [tuple(one.values()) for one in facts["paused"]],
        )


def _show_attention(facts: Facts) -> None:
    """List the exchanges that need attention, and name the command that lists the others."""
    _show.table("Needs attention", _facts.ATTENTION, [tuple(one.values()) for one in facts["asks"]])
    counted = {
        state.value: sum(states.get(state.value, 0) for states in facts["exchanges"].values())
        for state in _facts.NEED_ATTENTION
    }
    more = sum(counted.values()) - len(facts["asks"])
    if more > 0:
        options = " ".join(f"--state {state}" for state, number in counted.items() if number)
        _show.line(f"and {more} more; list them with: htpoort export {options}")


def _show_early(facts: Facts) -> None:
    """List the exchanges with a reply that cannot be an answer, because nothing can have been sent yet."""
    title = "A reply arrived before the declaration was sent, so it cannot be its answer; see htpoort show K"
    _show.table(title, _facts.ATTENTION, [tuple(one.values()) for one in facts["early_replies"]])
    more = facts["early"] - len(facts["early_replies"])
    if more > 0:
        _show.line(f"and {more} more")


@app.command()
def show(
    reference: ReferenceArgument, *, party: WhichParty = None, config: Config = CONFIG, json: Json = False
) -> None:
    """Show all that is known of a K: its exchange, what happened, and its replies."""
    reference, party = _typed(reference, party)
    with _input.opened(config) as (_, ledger), _naming(reference, party, "exchange and no reply"):
        stories = [_facts.story(story) for story in ledger.story(reference, party=party)]
    if json:
        _show.as_json(stories)
        return
    for story in stories:
        _show.rows(story["exchange"] or _without_exchange(story["replies"][0]))
        for title in ("timeline", "replies"):
            lines = story[title]
            if lines:
                _show.table(title.capitalize(), tuple(lines[0]), [tuple(line.values()) for line in lines])


def _typed(reference: str, party: str | None) -> tuple[str, str | None]:
    """Take K and party as the user typed them."""
    return _input.words("K", reference), None if party is None else _input.words("--party", party)


@contextlib.contextmanager
def _naming(reference: str, party: str | None, lacking: str) -> Generator[None]:
    """If a ledger lacks a K, suggest what to check; it has too many to list them."""
    try:
        yield
    except UnknownError:
        of = "" if party is None else f" of --party {party}"
        message = f"K {reference!r}: no {lacking}{of} in this ledger has this reference. "
        if re.fullmatch(r"[0-9A-Za-z]{1,35}", reference):
            message += "Check its spelling and case; it may be in another ledger, or of another party"
            message += ", or its reply may be in quarantine: htpoort quarantine list." if "reply" in lacking else "."
        else:
            message += "A reference has 1 to 35 letters and digits."
        raise _input.refusal("ledger.unknown-reference", message) from None


def _without_exchange(reply: Facts) -> Facts:
    """Describe what is known of a reply that has no exchange."""
    return {**{name: reply[name] for name in ("system", "party", "reference")}, "exchange": "none"}


@app.command()
def unanswered(  # noqa: PLR0913 - one option for each thing that narrows the list
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_HOURS, metavar="HOURS", help="Only declarations sent at least this long ago.")
    ] = 0,
    system: Annotated[str | None, typer.Option(help="Only this declaration system.")] = None,
    party: Annotated[str | None, typer.Option(help="Only this party (V).")] = None,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List declarations that were sent, or may have been, and have no reply; for example for Customs."""
    _input.check_one_form(csv=csv, json=json)
    with _input.opened(config) as (settings, ledger):
        name = None if system is None else settings.directory.system(system).name
        before = _clock.now() - timedelta(hours=older_than)
        exchanges = ledger.exchanges.unanswered(before=before, system=name, party=party)
        if party is not None:
            exchanges = _known_party(exchanges, party, settings)
        lines = _facts.unanswered(exchanges)
        if json:
            _show.json_array(lines)
        elif csv:
            _show.csv_lines(_facts.UNANSWERED, lines)
        else:
            cells = (tuple(facts.values()) for facts in lines)
            _show.table("Unanswered", _facts.UNANSWERED, cells, limit=limit, rest=f"{REST} So has --csv.")


def _known_party(exchanges: Iterator[Exchange], party: str, settings: LedgerConfig) -> Iterator[Exchange]:
    """
    Check a party of which nothing is listed, so that a misspelled one is not taken for one without declarations.

    A party that has left the configuration may still have some.
    """
    first = next(exchanges, None)
    if first is None:
        settings.party(party)
        return iter(())
    return itertools.chain((first,), exchanges)


@app.command()
def resolve(  # noqa: PLR0913 - one option for each decision
    reference: ReferenceArgument,
    *,
    sent: Annotated[bool, typer.Option("--sent", help="The gateway has it: wait for its reply.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send it again, with the same K.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Nothing more needs to be done.")] = False,
    party: WhichParty = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Settle an exchange that may or may not have been sent, send it again, or close it."""
    if sent + resend + close != 1:
        raise _input.refusal(
            "input.usage", f"Give {'only ' if sent + resend + close else ''}one of --sent, --resend and --close."
        )
    reference, party = _typed(reference, party)
    with _input.opened(config) as (_, ledger), _naming(reference, party, "exchange"):
        exchanges = ledger.exchanges
        option, decide = (
            ("--sent", exchanges.resolve_as_sent)
            if sent
            else ("--resend", exchanges.resend)
            if resend
            else ("--close", exchanges.close)
        )
        with _naming_order(option):
            exchange = decide(reference, at=_clock.now(), party=party)
        _output.mark_committed()
    (_show.as_json if json else _show.rows)(_facts.exchange(exchange))


@contextlib.contextmanager
def _naming_order(option: str) -> Generator[None]:
    """If the state of an exchange does not allow an order, name the option, and the one for a new declaration."""
    try:
        yield
    except InputError as error:
        first = error.problems[0]
        if first.code != "ledger.refused":
            raise
        advice = " Queue that one with a new --reference." if first.message.endswith("a new K.") else ""
        raise _input.refusal(first.code, f"{option}: {first.message}{advice}") from None


@app.command()
def redeliver(
    numbers: ReplyNumbers = None,
    *,
    system: Annotated[str | None, typer.Option(help="Only this declaration system.")] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Deliver failed replies again now, without waiting for the next retry."""
    with _input.opened(config) as (settings, ledger):
        name = None if system is None else settings.directory.system(system).name
        due = ledger.replies.deliver_again_now(at=_clock.now(), system=name, keys=numbers or ())
        _output.mark_committed()
    if json:
        _show.as_json({"result": "due now", "number": len(due), "replies": due})
    else:
        _show.rows({"result": "due now", "number": len(due), "replies": ", ".join(map(str, due)) or None})


@app.command()
def export(
    *,
    state: Annotated[
        list[State] | None, typer.Option(help="Only exchanges in this state, and no replies; may be repeated.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Add the message of each, in base64.")] = False,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, which is the default.")] = False,
) -> None:
    """Print every exchange and every reply, as JSON lines or as CSV."""
    _input.check_one_form(csv=csv, json=json)
    with _input.opened(config) as (_, ledger):
        lines = _facts.exported(ledger, *(state or ()), raw=raw)
        if csv:
            _show.csv_lines((*_facts.EXPORTED, *(["raw"] if raw else [])), lines)
        else:
            for facts in lines:
                _show.json_line(facts)


@app.command()
def prune(
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_DAYS, metavar="DAYS", help="Only what finished at least this long ago.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without this, only count what would go.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Delete finished exchanges older than the retention period; used references are kept."""
    with _input.opened(config) as (settings, ledger):
        now = _clock.now()
        before = now - timedelta(days=older_than)
        prune = ledger.prune if yes else ledger.prunable
        with _naming_age(older_than, settings.retention_days):
            counts = prune(before=before, at=now, days=settings.retention_days)
        if yes:
            _output.mark_committed()
    facts = {"result": "removed" if yes else "would be removed", "before": _facts.moment(before)}
    numbers = {name.replace(" ", "_"): number for name, number in counts.items()}
    (_show.as_json if json else _show.rows)({**facts, **numbers})


@contextlib.contextmanager
def _naming_age(days: int, kept: int) -> Generator[None]:
    """If the ledger refuses to prune so much, name the option and the key of the file."""
    try:
        yield
    except InputError as error:
        if error.problems[0].code != "ledger.retention":
            raise
        message = f"--older-than is {days}; [ledger] retention_days keeps {kept} days, so give at least {kept}."
        raise _input.refusal("ledger.retention", message) from None
