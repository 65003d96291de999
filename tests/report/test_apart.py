"""The report for a party has nothing of any other party."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import pytest
from agents import declaration
from databases import new_ledger
from wall_clock import in_amsterdam, stopped

from htpoort import AGS, DMS, DeclarationSystem, Outcome, Router
from htpoort.cli import _app
from htpoort.ledger import Ledger, NoticeForm

NOW: Final = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
PARTIES: Final = ("NL123456789.02.05", "NL123456789.03.05", "NL123456789.99.05")
WORDS: Final = {PARTIES[0]: "Anton", PARTIES[1]: "Berta", PARTIES[2]: "Cesar"}
"""A word that is in everything of a party: its references, its mailboxes, its files."""
LEASE: Final = timedelta(minutes=2)
NOTICE: Final = """
zone = "UTC"
references = ["N1"]
[[windows]]
system = "AGS"
start = "2026-11-30T08:00"
behaviour = "rejected"
"""
CONFIG: Final = f"""
parties = ["{PARTIES[0]}", "{PARTIES[1]}", "{PARTIES[2]}"]
[ledger]
url = "sqlite:///htpoort.db"
[unanswered]
after = "24h"
[cutover]
leaving = "AGS"
[[cutover.move]]
party = "{PARTIES[0]}"
system = "DMS"
since = 2026-11-20
[[cutover.move]]
party = "{PARTIES[1]}"
system = "DMS"
since = 2026-12-20
""" + "".join(
    f'[[folder]]\npath = "{word}-in"\nparty = "{party}"\nmailbox = "edi@{word.lower()}.example"\nsystem = "DMS"\n'
    for party, word in WORDS.items()
)
"""The configuration, with a folder of declarations for each party."""


@attrs.frozen
class Deed:
    """Something that happens to a ledger because of one party."""

    party: str
    reference: str
    system: DeclarationSystem
    at: datetime
    kind: str
    other: str
    """Another party, which a stranger's message names."""

    @property
    def word(self) -> str:
        return WORDS[self.party]

    def do(self, ledger: Ledger) -> None:
        """Let it happen."""
        getattr(self, self.kind)(ledger)

    def queued(self, ledger: Ledger) -> None:
        lrn = f"LRN-{self.reference}"
        ledger.exchanges.queue(
            declaration(self.reference, self.system, party=self.party), at=self.at, business_reference=lrn
        )

    def sent(self, ledger: Ledger, outcome: Outcome = Outcome.ACCEPTED, due: datetime | None = None) -> None:
        self.queued(ledger)
        for one in ledger.exchanges.claim([self.system.name], owner="a", most=1, at=self.at, lease=LEASE):
            assert self.reference == one.reference
            ledger.exchanges.settle(one, outcome, at=self.at, detail=f"550 no {self.word}", due=due)

    def unknown(self, ledger: Ledger) -> None:
        self.sent(ledger, Outcome.UNKNOWN)

    def refused(self, ledger: Ledger) -> None:
        self.sent(ledger, Outcome.REFUSED)

    def deferred(self, ledger: Ledger) -> None:
        self.sent(ledger, Outcome.DEFERRED, NOW + timedelta(hours=1))

    def answered(self, ledger: Ledger) -> None:
        self.sent(ledger)
        ledger.replies.mark_delivered(self._reply(ledger), at=self.at)

    def early(self, ledger: Ledger) -> None:
        self.queued(ledger)
        self._reply(ledger)

    def failing(self, ledger: Ledger) -> None:
        self.sent(ledger)
        key = self._reply(ledger)
        ledger.replies.mark_failed(key, at=self.at, due=NOW, trouble=f"{self.word}-out/{self.reference}.eml: disk full")

    def strange_sender(self, ledger: Ledger) -> None:
        self.sent(ledger)
        self._take(ledger, self.party, self.reference, mailbox=f"x@{WORDS[self.other].lower()}.example")

    def strange_process(self, ledger: Ledger) -> None:
        # A declaration that went to the wrong place: the process ID is another party. Nobody has sent its K.
        self._take(ledger, self.party, f"{WORDS[self.other]}NEW", process_id=self.other)

    def of_others(self, ledger: Ledger) -> None:
        # Addressed to another party, under a K of this one.
        self.sent(ledger)
        self._take(ledger, self.other, self.reference, text=f" for {self.word}")

    def _reply(self, ledger: Ledger) -> int:
        return self._take(ledger, self.party, self.reference)

    def _take(  # noqa: PLR0913 - the parts of a message
        self,
        ledger: Ledger,
        addressee: str,
        reference: str,
        *,
        mailbox: str = "",
        process_id: str = "",
        text: str = "",
    ) -> int:
        raw = (
            f"From: {mailbox or self.system.mailbox}\r\nSubject: [V={process_id or self.system.process_id}]"
            f"[A={addressee}][K={reference}][S=0]{text}\r\n\r\nx\r\n"
        )
        stored = ledger.replies.take_in(Router(parties=PARTIES), raw.encode(), mail_from=None, at=self.at)
        return stored.key


KINDS: Final = (
    *("queued", "sent", "unknown", "refused", "deferred", "answered", "early", "failing"),
    *("strange_sender", "strange_process", "of_others"),
)


def deeds(seed: int) -> Iterator[Deed]:
    """Draw what happens, oldest first: each kind for each party at least once."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    kinds = [(party, kind) for party in PARTIES for kind in KINDS]
    kinds += [(drawn.choice(PARTIES), drawn.choice(KINDS)) for _ in range(drawn.randrange(20))]
    drawn.shuffle(kinds)
    # What is not sent comes last: an attempt takes the oldest that waits.
    kinds.sort(key=lambda kind: kind[1] in {"queued", "early"})
    at = NOW - timedelta(days=20)
    for number, (party, kind) in enumerate(kinds):
        at += timedelta(minutes=drawn.randrange(1, 500))
        system = drawn.choice((AGS, DMS))
        other = drawn.choice([one for one in PARTIES if one != party])
        reference = f"{WORDS[party]}{number}" if drawn.random() < 0.9 else f"{WORDS[party].upper()}{number}"
        yield Deed(party, reference, system, min(at, NOW - timedelta(minutes=5)), kind, other)


def fill(folder: Path, happened: Iterator[Deed], *, mailboxes: bool) -> None:
    """Make the configuration and the ledger of what happened."""
    folder.mkdir()
    (folder / "htpoort.toml").write_text(CONFIG, encoding="utf-8")
    with Ledger.open(new_ledger(folder / "htpoort.db")) as ledger:
        for deed in happened:
            deed.do(ledger)
        ledger.notices.add(NOTICE, at=NOW - timedelta(hours=6), form=NoticeForm.OWN)
        ledger.windows.hold(["AGS"], at=NOW - timedelta(hours=1))
        since, next_try = NOW - timedelta(hours=2), NOW + timedelta(minutes=5)
        for word in WORDS.values() if mailboxes else ():
            for name in (f"POP3 pop.{word.lower()}.example:995 as {word}", "SMTP smtp.forwarder.example:587 as edi"):
                ledger.servers.record_pause(name, since=since, next_try=next_try, why=f"535 no {word}")
        ledger.servers.record_pause(
            "SMTP smtp.forwarder.example:587 as edi", since=since, next_try=next_try, why="535 no Berta"
        )


def page_of(folder: Path, *command: str) -> str:
    """Write a page in a folder."""
    target = folder / "page.html"
    with pytest.MonkeyPatch.context() as patched, in_amsterdam(), stopped(NOW):
        patched.chdir(folder)
        patched.delenv("HTPOORT_CONFIG", raising=False)
        assert 0 == _app.run([*command, "--html", str(target)])
    return target.read_text(encoding="utf-8")


COMMANDS: Final = (("report",), ("report", "--since", "2020-01-01"), ("cutover", "status"))


@pytest.mark.parametrize("seed", range(3))
def test_no_name_and_no_number_of_another_party(tmp_path: Path, seed: int) -> None:
    """
    The page of a party is the same, octet for octet, as if no other party had ever sent or received anything.

    So it has no K, no LRN, no party ID, no file, no mailbox, no subject of another, and no number that counts what is
    of another; and everything that is its own is there.
    """
    fill(tmp_path / "all", deeds(seed), mailboxes=True)
    for party, word in WORDS.items():
        alone = tmp_path / word
        fill(alone, (deed for deed in deeds(seed) if deed.party == party), mailboxes=False)
        others = {*WORDS.values(), *PARTIES} - {party, word}
        done = {"answered", "strange_process"}
        own = [deed.reference for deed in deeds(seed) if deed.party == party and deed.kind not in done]
        for command in COMMANDS:
            together = page_of(tmp_path / "all", *command, "--party", party)

            assert together == page_of(alone, *command, "--party", party)
            assert [] == [text for text in others if text.lower() in together.lower()]
            if command[0] == "report":
                assert [] == [reference for reference in own if reference not in together]


def test_two_parties_are_not_three(tmp_path: Path) -> None:
    """A report for two parties has both, and nothing of the third."""
    fill(tmp_path / "all", deeds(9), mailboxes=True)
    page = page_of(tmp_path / "all", "report", "--party", PARTIES[0].lower(), "--party", PARTIES[2])

    assert [True, False, True] == [party in page for party in PARTIES]
    assert "berta" not in page.lower()
