"""
Declare the commands that look into the ledger and settle what is open.

Never does: send.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from datetime import timedelta
from typing import Annotated, Final

import typer

from htpoort import _clock
from htpoort.cli import _input, _output, _records, _show
from htpoort.cli._app._options import CONFIG, LIMIT, REST, Config, Json, Key, Limit, WhichParty
from htpoort.cli._facts import Facts
from htpoort.cli._opened import opened
from htpoort.errors import UnknownError
from htpoort.exchange import State

_DAYS: Final = 36_500  # a hundred years: more would leave the calendar
_HOURS: Final = 24 * _DAYS
_MOST: Final = 2**63 - 1  # what a key of a database can be

Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]


def status(*, config: Config = CONFIG, json: Json = False) -> None:
    """Count exchanges by system and state, and what waits for delivery or for a person; name the oldest of these."""
    with opened(config) as (_, ledger):
        facts = _records.status(ledger)
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
        _show_asks(facts)
    if facts["early"]:
        _show_early(facts)
    if facts["resting"]:
        _show.table(
            "Rests after trouble", tuple(facts["resting"][0]), [tuple(one.values()) for one in facts["resting"]]
        )


def _show_asks(facts: Facts) -> None:
    """Name the exchanges that wait for a person, and say where the others are found."""
    _show.table("Waits for a person", _records.ASKS, [tuple(one.values()) for one in facts["asks"]])
    counted = {
        state.value: sum(states.get(state.value, 0) for states in facts["exchanges"].values())
        for state in _records.ASKING
    }
    more = sum(counted.values()) - len(facts["asks"])
    if more > 0:
        options = " ".join(f"--state {state}" for state, number in counted.items() if number)
        _show.line(f"and {more} more, see htpoort export {options}")


def _show_early(facts: Facts) -> None:
    """Name the exchanges with a reply that cannot be an answer, because nothing of them can have been sent."""
    title = "A reply came that cannot be an answer. The declaration was not sent yet; look at it with htpoort show"
    _show.table(title, _records.ASKS, [tuple(one.values()) for one in facts["early_replies"]])
    more = facts["early"] - len(facts["early_replies"])
    if more > 0:
        _show.line(f"and {more} more")


def show(key: Key, *, party: WhichParty = None, config: Config = CONFIG, json: Json = False) -> None:
    """Tell the whole story of a K: its exchange, what happened, its replies."""
    key, party = _typed(key, party)
    with opened(config) as (_, ledger), _looked_up(key, party, "exchange and no reply"):
        stories = [_records.story(found) for found in ledger.story(key, party=party)]
    if json:
        _show.as_json(stories)
        return
    for story in stories:
        _show.rows(story["exchange"] or _unsent(story["replies"][0]))
        for title in ("timeline", "replies"):
            lines = story[title]
            if lines:
                _show.table(title.capitalize(), tuple(lines[0]), [tuple(line.values()) for line in lines])


def _typed(key: str, party: str | None) -> tuple[str, str | None]:
    """Take K and party as they were typed."""
    return _input.words("K", key), None if party is None else _input.words("--party", party)


@contextlib.contextmanager
def _looked_up(key: str, party: str | None, what: str) -> Generator[None]:
    """Say where to look for a K that is not there: a ledger has too many to name those that are."""
    try:
        yield
    except UnknownError:
        of = "" if party is None else f" of {party}"
        message = (
            f"No {what}{of} in this ledger has the reference {key!r}. Look at its spelling and case, and whether it is "
            "another party's or in another ledger; htpoort quarantine list tells what came and is nobody's yet."
        )
        raise _input.refusal("ledger.unknown-reference", message) from None


def _unsent(reply: Facts) -> Facts:
    """Tell what stands in the place of an exchange."""
    return {**{name: reply[name] for name in ("system", "party", "reference")}, "exchange": "none"}


def unanswered(  # noqa: PLR0913 - one option for each thing that narrows the list
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_HOURS, metavar="HOURS", help="Only what was accepted so many hours ago.")
    ] = 0,
    system: Annotated[str | None, typer.Option(help="Only this declaration system.")] = None,
    party: Annotated[str | None, typer.Option(help="Only this party (V).")] = None,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List the declarations that the mail server took and that have no reply, as Customs may ask for."""
    _input.one_form(csv=csv, json=json)
    with opened(config) as (settings, ledger):
        name = None if system is None else settings.directory.system(system).name
        before = _clock.now() - timedelta(hours=older_than)
        accepted = ledger.exchanges.listed(State.ACCEPTED)
        found = _records.unanswered(accepted, before=before, system=name, party=party)
        if json:
            _show.json_array(found)
        elif csv:
            _show.csv_lines(_records.UNANSWERED, found)
        else:
            lines = (tuple(facts.values()) for facts in found)
            _show.table("Unanswered", _records.UNANSWERED, lines, limit=limit, rest=f"{REST} So has --csv.")


def resolve(  # noqa: PLR0913 - one option for each order
    key: Key,
    *,
    sent: Annotated[bool, typer.Option("--sent", help="The gateway has it: wait for its reply.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send it again, with the same K.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Nothing more is to be done.")] = False,
    party: WhichParty = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Settle an exchange of which nobody knows whether it was sent, send it again, or close it."""
    if sent + resend + close != 1:
        raise _input.refusal("input.usage", "Give one of --sent, --resend and --close.")
    key, party = _typed(key, party)
    with opened(config) as (_, ledger), _looked_up(key, party, "exchange"):
        exchanges = ledger.exchanges
        order = exchanges.resolve_as_sent if sent else exchanges.resend if resend else exchanges.close
        exchange = order(key, at=_clock.now(), party=party)
        _output.done()
    (_show.as_json if json else _show.rows)(_records.exchange(exchange))


def export(
    *,
    state: Annotated[
        list[State] | None, typer.Option(help="Only exchanges in this state, and no replies; may be repeated.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="With the messages of both, in base64.")] = False,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, which it does anyway.")] = False,
) -> None:
    """Print every exchange and every reply, one JSON document a line or as CSV; or the exchanges in a state alone."""
    _input.one_form(csv=csv, json=json)
    with opened(config) as (_, ledger):
        found = _records.exported(ledger, *(state or ()), raw=raw)
        if csv:
            _show.csv_lines((*_records.EXPORTED, *(["raw"] if raw else [])), found)
        else:
            for facts in found:
                _show.json_line(facts)


def redeliver(
    keys: Annotated[
        list[int] | None, typer.Argument(metavar="[KEY]...", min=1, max=_MOST, help="Numbers of replies; or all.")
    ] = None,
    *,
    system: Annotated[str | None, typer.Option(help="Only this declaration system.")] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Deliver again now the replies whose delivery failed, without waiting for the next try."""
    with opened(config) as (settings, ledger):
        name = None if system is None else settings.directory.system(system).name
        due = ledger.replies.deliver_again_now(at=_clock.now(), system=name, keys=keys or ())
        _output.done()
    if json:
        _show.as_json({"result": "due now", "number": len(due), "replies": due})
    else:
        _show.rows({"result": "due now", "number": len(due), "replies": ", ".join(map(str, due)) or None})


def prune(
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_DAYS, metavar="DAYS", help="Only what is older than so many days.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this, only say what would go.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Remove what is over and older than the retention; that a K was used is never forgotten."""
    with opened(config) as (settings, ledger):
        now = _clock.now()
        before = now - timedelta(days=older_than)
        counts = ledger.prune(before=before, at=now, days=settings.retention_days, dry=not yes)
        if yes:
            _output.done()
    facts = {"result": "removed" if yes else "would be removed", "before": _records.moment(before)}
    numbers = {name.replace(" ", "_"): number for name, number in counts.items()}
    (_show.as_json if json else _show.rows)({**facts, **numbers})
