"""`htpoort report`: a page on everything in the ledger, or on some parties alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from htpoort import _clock
from htpoort.cli import _attention, _facts, _html, _input, _output, _selection, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, Config
from htpoort.cli._selection import Since

if TYPE_CHECKING:
    from datetime import datetime

    from htpoort.config import AgentConfig
    from htpoort.ledger import Ledger
    from htpoort.report import Attention, Report

app = _input.group()


@app.command()
def report(
    *,
    html: Annotated[
        str, typer.Option("--html", metavar="FILE", help="The file, which is replaced; - is standard output.")
    ],
    party: Annotated[
        list[str] | None,
        typer.Option("--party", metavar="ID", help="Nothing but this party (V); may be repeated."),
    ] = None,
    since: Since = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Only to the end of this day, or until this ISO 8601 time."),
    ] = None,
    config: Config = CONFIG,
) -> None:
    """Write a page that needs no network: exchanges over time, and all that is open, late or in trouble."""
    write = _html.writer(html, "report_page")
    now = _clock.now()
    begin, end = _selection.since(since), _selection.until(until)
    if begin is not None and begin >= (end or now):
        message = (
            f"--since is {since!r}, which is not before {'now' if end is None else '--until'}; give an earlier time."
        )
        raise _input.refusal("input.date", message)
    end = now if end is None else end
    with _input.opened_with_agent(config) as (settings, ledger):
        facts = _gathered(settings, ledger, party or (), since=begin or _html.last_days(end), until=end, now=now)
    if write is not None:
        _html.put(html, write(facts))
    if html != _html.STANDARD_OUTPUT:
        _output.mark_committed()
        _show.line(f"Wrote {_show.printable(html)}.")


def _gathered(  # noqa: PLR0913 - what is reported, and of when
    settings: AgentConfig,
    ledger: Ledger,
    parties: list[str] | tuple[()],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> Report:
    """Gather the facts: of everything, or of some parties alone."""
    from htpoort.report import gather  # noqa: PLC0415 - only this command needs it

    def attention(party: str | None) -> list[Attention]:
        if party is not None:
            return list(map(_attention_of, _attention.of_party(settings, ledger, party, now)))
        paused = ledger.servers.paused()
        folders = [_attention.Folder.read(folder) for folder in settings.folders]
        everything = _attention.of_everything(settings, ledger, _facts.status(ledger, paused), paused, folders, now)
        return list(map(_attention_of, everything))

    return gather(
        ledger,
        parties=settings.ledger.select_declarants(parties),
        whole=not parties,
        at=now,
        since=since,
        until=until,
        systems=[system.name for system in (*settings.ledger.directory, *settings.ledger.services)],
        limits=settings.ledger.unanswered.limit,
        attention=attention,
        source=settings.ledger.file,
    )


def _attention_of(one: Facts) -> Attention:
    from htpoort.report import Attention  # noqa: PLC0415 - see above

    return Attention(
        level=one["level"],
        what=one["what"],
        since=_facts.read_moment(one["since"]),
        why=one["why"],
        next_step=one["next"],
    )
