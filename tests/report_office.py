"""
A ledger that has something of everything that a report shows, with its configuration.

`fill` is deterministic: the same moment gives the same ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from agents import declaration, reply
from databases import new_ledger

from htpoort import AGS, DMS, DeclarationSystem, Outcome, Router
from htpoort.ledger import Ledger, NoticeForm

PARTY: Final = "NL123456789.02.05"
CLIENT: Final = "NL123456789.03.05"
THIRD: Final = "NL123456789.99.05"
PARTIES: Final = (PARTY, CLIENT, THIRD)
DAYS: Final = 30
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
SMTP: Final = "SMTP smtp.forwarder.example:587 as edi@forwarder.example"
POP3: Final = "POP3 pop.client.example:995 as client@client.example"
HOSTILE: Final = (
    "<script>alert('x')</script> \N{RIGHT-TO-LEFT OVERRIDE}lmx.K1\N{POP DIRECTIONAL FORMATTING} & \"quoted\""
)
CONFIG: Final = f"""
parties = ["{PARTY}", "{CLIENT}", "{THIRD}"]

[ledger]
url = "sqlite:///htpoort.db"

[unanswered]
after = "24h"

[cutover]
leaving = "AGS"

[[cutover.move]]
party = "{PARTY}"
system = "DMS"
since = FIRST

[[cutover.move]]
party = "{CLIENT}"
system = "DMS"
since = SECOND

[[notices.name]]
name = "DMS Invoer"
system = "DMS"
"""
_LEASE: Final = timedelta(minutes=2)


def fill(folder: Path, at: datetime) -> Path:
    """
    Make a configuration and a ledger of the last 30 days.

    Args:
        folder: An empty folder.
        at: Now, aware.

    Returns:
        The configuration file.
    """
    today = at.astimezone(AMSTERDAM).replace(hour=0, minute=0, second=0, microsecond=0)
    config = CONFIG.replace("FIRST", f"{today - timedelta(days=15):%Y-%m-%d}")
    path = folder / "htpoort.toml"
    path.write_text(config.replace("SECOND", f"{today - timedelta(days=4):%Y-%m-%d}"), encoding="utf-8")
    with Ledger.open(new_ledger(folder / "htpoort.db")) as ledger:
        fill_ledger(ledger, at)
    return path


def fill_ledger(ledger: Ledger, at: datetime) -> None:
    """
    Fill an empty ledger with the last 30 days.

    Args:
        ledger: An open ledger.
        at: Now, aware.
    """
    today = at.astimezone(AMSTERDAM).replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in range(DAYS - 1, 0, -1):
        _day(ledger, today - timedelta(days=ago), ago)
    _today(ledger, at)
    _notices(ledger, today, at)
    _quarantine(ledger, at)
    ledger.servers.record_pause(
        SMTP, since=at - timedelta(minutes=50), next_try=at + timedelta(minutes=10), why="login: 535 5.7.8 wrong"
    )
    ledger.servers.record_pause(
        POP3, since=at - timedelta(hours=3), next_try=at + timedelta(hours=1), why="connect: Connection refused"
    )


def _day(ledger: Ledger, day: datetime, ago: int) -> None:
    """Send what a day brings, from seven in the morning on: little at the weekend, and nearly all is answered."""
    morning, weekend = day + timedelta(hours=7), day.weekday() > 4
    for number, party in enumerate(PARTIES):
        moved = (party == PARTY and ago <= 15) or (party == CLIENT and ago <= 4)
        system = DMS if moved or party == THIRD else AGS
        count = (1 if weekend else 5 + (ago * 7 + number * 3) % 6) - number
        references = [f"{day:%y%m%d}{number}{index:03}" for index in range(max(0, count))]
        _send(ledger, references, system, party, at=morning + timedelta(hours=number))
        without = references[:1] if ago % (7 + number) == 0 else []
        answered = [one for one in references if one not in without]
        _answer(ledger, answered, system, party, at=morning + timedelta(hours=number + 2))


def _send(  # noqa: PLR0913 - what is sent, and how that ends
    ledger: Ledger,
    references: Iterable[str],
    system: DeclarationSystem,
    party: str,
    *,
    at: datetime,
    outcome: Outcome = Outcome.ACCEPTED,
    detail: str = "",
) -> None:
    """Queue declarations, and let one attempt of each end."""
    queued = [
        ledger.exchanges.queue_soon(
            declaration(reference, system, party=party), at=at, business_reference=f"LRN-{reference}"
        )
        for reference in references
    ]
    for one in queued:
        one.result()
    claimed = ledger.exchanges.claim([system.name], owner="a", most=999, at=at, lease=_LEASE)
    settled = [ledger.exchanges.settle_soon(one, outcome, at=at, detail=detail) for one in claimed]
    for each in settled:
        each.result()


def _answer(ledger: Ledger, references: Iterable[str], system: DeclarationSystem, party: str, *, at: datetime) -> None:
    """Take replies in, and deliver them."""
    router = Router(parties=PARTIES)
    taken = [
        ledger.replies.take_in_soon(router, reply(reference, system, party=party), mail_from=None, at=at)
        for reference in references
    ]
    delivered = [ledger.replies.mark_delivered_soon(one.result().key, at=at) for one in taken]
    for one in delivered:
        one.result()


def _today(ledger: Ledger, at: datetime) -> None:
    """Leave something in each state, and two replies that cannot be delivered."""
    hour = timedelta(hours=1)
    _send(ledger, ["OPEN1", "OPEN2"], DMS, PARTY, at=at - 2 * hour)
    _send(ledger, ["LOST1"], DMS, CLIENT, at=at - 5 * hour, outcome=Outcome.UNKNOWN, detail="lost after the final dot")
    _send(ledger, ["WRONG1"], DMS, PARTY, at=at - 4 * hour, outcome=Outcome.REFUSED, detail="refused: 550 5.1.1 no")
    for key, (reference, party, trouble) in enumerate((
        ("REPLY1", PARTY, "[Errno 28] No space left on device: 'replies/DMS'"),
        ("REPLY2", CLIENT, "the command deliver.sh ended with exit code 1: <b>cannot</b> connect"),
    )):
        _send(ledger, [reference], DMS, party, at=at - 3 * hour)
        raw = reply(reference, DMS, party=party)
        stored = ledger.replies.take_in(Router(parties=PARTIES), raw, mail_from=None, at=at - 2 * hour)
        ledger.replies.claim("DMS", owner="a", most=9, at=at - 2 * hour, lease=_LEASE)
        due = at + timedelta(minutes=15 * (key + 1))
        ledger.replies.mark_failed(stored.key, at=at - hour, due=due, trouble=trouble)
    ledger.exchanges.queue(declaration("WAITING1", DMS, party=PARTY), at=at - timedelta(minutes=30))
    ledger.exchanges.queue(declaration("HELD1", AGS, party=CLIENT), at=at - timedelta(minutes=20))


def _notices(ledger: Ledger, today: datetime, at: datetime) -> None:
    """Store a window that is over, one that delayed for days, and one without a known end, which holds."""
    windows = (
        ("N1", "DMS", today - timedelta(days=9, hours=4), today - timedelta(days=9, hours=-6), "rejected"),
        ("N2", "AGS", today - timedelta(days=21), today - timedelta(days=19), "delayed"),
        ("N3", "AGS", at.astimezone(AMSTERDAM) - timedelta(hours=6), None, "rejected"),
    )
    for reference, system, opens, closes, behaviour in windows:
        end = "" if closes is None else f'end = "{closes:%Y-%m-%dT%H:%M}"\n'
        text = (
            f'zone = "Europe/Amsterdam"\nreferences = ["{reference}"]\n[[windows]]\nsystem = "{system}"\n'
            f'start = "{opens:%Y-%m-%dT%H:%M}"\n{end}behaviour = "{behaviour}"\n'
        )
        ledger.notices.add(text, at=at - timedelta(hours=1), form=NoticeForm.OWN)
    ledger.windows.hold(["AGS"], at=at - timedelta(minutes=10))


def _quarantine(ledger: Ledger, at: datetime) -> None:
    """Put messages into quarantine, for a party, for no one that is known, and with what should do no harm."""
    stranger = "x@elsewhere.example"
    messages = (
        reply("OPEN1", DMS, party=PARTY).replace(b"dms@htpoort.nl", stranger.encode()),
        reply("LOST1", DMS, party=PARTY),  # the K of another party
        reply("OPEN2", AGS, party=PARTY),  # another system answers
        f"From: {stranger}\r\nSubject: {HOSTILE}\r\n\r\nx\r\n".encode(),
        b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1]\r\n\r\nno S\r\n",
    )
    for number, raw in enumerate(messages):
        moment = at - timedelta(hours=9 - number)
        ledger.replies.take_in(Router(parties=PARTIES), raw, mail_from=None, at=moment)
