"""The agent obeys notices: it holds before a window opens, lets go after its end, and repeats nothing by itself."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from agents import PARTY, QUICK, declaration, server
from notice_builders import THREE_TEXTS

from htpoort import AGS, Router, State
from htpoort.agent import Agent, NoticeFiles, Outbox
from htpoort.agent.notices import release_share
from htpoort.ledger import Ledger, NoticeForm
from htpoort.simulator import Gateway

OPENS = datetime(2026, 11, 2, 19, 0, tzinfo=UTC)
"""20:00 in Amsterdam, in winter."""
CLOSES = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def own(*, system: str = "DMS", behaviour: str = "rejected", recovery: str = "resubmit", end: str = "23:00") -> str:
    """Write a notice of one's own about the evening of 2 November 2026."""
    return f"""
authority = "douane"
kind = "planned"
references = ["N1"]
state = "announced"

[[windows]]
system = "{system}"
access = "file"
start = 2026-11-02T20:00:00
end = 2026-11-02T{end}:00
end_kind = "final"
behaviour = "{behaviour}"
recovery = "{recovery}"
"""


@attrs.define
class Clock:
    """A time that the test moves."""

    now: datetime = OPENS - HOUR

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock one hour before the window."""
    return Clock()


@pytest.fixture
def agent(ledger: Ledger, router: Router, clock: Clock) -> Callable[..., Agent]:
    """Return a function that makes an agent which sends to a gateway."""

    def make(gateway: Gateway, *, folder: Path | None = None, spread: timedelta = timedelta(microseconds=1)) -> Agent:
        return Agent(
            ledger=ledger,
            router=router,
            outboxes=[Outbox(server=server(gateway.smtp_port))],
            notice_files=None if folder is None else NoticeFiles(folder, settle=0),
            clock=clock,
            timing=attrs.evolve(QUICK, release_spread=spread),
        )

    return make


Make = Callable[..., Agent]


async def states(ledger: Ledger, expected: dict[str, State]) -> None:
    """Wait until the exchanges have these states."""
    async with asyncio.timeout(60):
        while True:
            exchanges = await asyncio.to_thread(list, ledger.exchanges.listed())
            if expected == {each.reference: each.state for each in exchanges}:
                return
            await asyncio.sleep(0)


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> str:
    """Wait until a line of the log contains these words; return it."""
    async with asyncio.timeout(60):
        while True:
            for message in caplog.messages:
                if words in message:
                    return message
            await asyncio.sleep(0)


class TestHolding:
    """What waits for a rejecting window is held, and sent once afterwards."""

    async def test_before_during_and_after(self, ledger: Ledger, agent: Make, clock: Clock) -> None:
        """A declaration is sent before the window; one of the window is held and sent after its end; AGS goes on."""
        ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        async with Gateway() as gateway, agent(gateway) as running:
            ledger.exchanges.queue(declaration("K1"), at=clock())
            running.wake()
            await states(ledger, {"K1": State.ACCEPTED})
            clock.now = OPENS - MINUTE
            ledger.exchanges.queue(declaration("K2"), at=clock())
            ledger.exchanges.queue(declaration("A1", AGS), at=clock())
            running.wake()
            await states(ledger, {"K1": State.ACCEPTED, "K2": State.HELD, "A1": State.ACCEPTED})
            clock.now = CLOSES
            await states(ledger, dict.fromkeys(("K1", "K2", "A1"), State.ACCEPTED))

        assert ["A1", "K1", "K2"] == sorted(each.envelope.reference for each in gateway.received)
        assert () == ledger.windows.held()

    async def test_delayed_answers_hold_nothing(self, ledger: Ledger, agent: Make, clock: Clock) -> None:
        """In a window in which answers are late, declarations are sent."""
        ledger.notices.add(own(behaviour="delayed", recovery="unstated"), at=clock(), form=NoticeForm.OWN)
        clock.now = OPENS + MINUTE
        ledger.exchanges.queue(declaration("K1"), at=clock())
        async with Gateway() as gateway, agent(gateway):
            await states(ledger, {"K1": State.ACCEPTED})

    async def test_an_agent_that_starts_in_a_window(
        self, ledger: Ledger, agent: Make, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What an earlier agent queued is held before anything is sent, and the log says until when."""
        ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        clock.now = OPENS
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with caplog.at_level(logging.WARNING, "htpoort.agent"):
            async with Gateway() as gateway, agent(gateway):
                pass

        assert [] == gateway.received
        assert [State.HELD] == [each.state for each in ledger.exchanges.listed()]
        assert any("held until 2026-11-02 22:00:00+00:00" in message for message in caplog.messages)

    async def test_an_agent_that_starts_after_a_window(self, ledger: Ledger, agent: Make, clock: Clock) -> None:
        """What an agent held that was killed in the window is let go by the next one."""
        ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        ledger.exchanges.queue(declaration("K1"), at=clock())
        ledger.windows.hold(["DMS"], at=OPENS)
        clock.now = CLOSES + MINUTE
        async with Gateway() as gateway, agent(gateway):
            await states(ledger, {"K1": State.ACCEPTED})

    async def test_what_a_program_held_itself(self, ledger: Ledger, agent: Make, clock: Clock) -> None:
        """An exchange that a program holds without a notice is left to that program."""
        ledger.exchanges.queue(declaration("K1"), at=clock(), held=True)
        ledger.exchanges.queue(declaration("K2"), at=clock())
        async with Gateway() as gateway, agent(gateway):
            await states(ledger, {"K1": State.HELD, "K2": State.ACCEPTED})

    async def test_letting_go_is_spread_out(self, ledger: Ledger, agent: Make, clock: Clock) -> None:
        """At the end of the spread everything is sent, and at its beginning nearly nothing."""
        ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
        references = [f"K{number}" for number in range(20)]
        for reference in references:
            ledger.exchanges.queue(declaration(reference), at=clock())
        ledger.windows.hold(["DMS"], at=OPENS)
        clock.now = CLOSES
        async with Gateway() as gateway, agent(gateway, spread=1000 * HOUR):
            started = ledger.windows.review(["DMS"], at=clock()).to_release["DMS"]
            assert started.by is not None
            clock.now = started.by
            await states(ledger, dict.fromkeys(references, State.ACCEPTED))

        assert started.waiting >= 19
        assert CLOSES + 1000 * HOUR <= started.by <= CLOSES + 1100 * HOUR


class TestLateNotices:
    """What a notice that comes late says of declarations that were sent already."""

    async def test_presumed_rejected(
        self, ledger: Ledger, agent: Make, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What was sent into a rejecting window is listed with its recovery, and not sent again."""
        clock.now = OPENS + MINUTE
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with caplog.at_level(logging.INFO, "htpoort.agent"):
            async with Gateway() as gateway, agent(gateway):
                await states(ledger, {"K1": State.ACCEPTED})
                ledger.notices.add(own(), at=clock(), form=NoticeForm.OWN)
                message = await logged(caplog, "Presumed rejected")
                clock.now = CLOSES + HOUR
                ledger.exchanges.queue(declaration("K2"), at=clock())
                await states(ledger, {"K1": State.ACCEPTED, "K2": State.ACCEPTED})

        assert f"K1 of {PARTY}" in message
        assert "htpoort recover N1" in message
        assert ["K1", "K2"] == [each.envelope.reference for each in gateway.received]
        (concern,) = ledger.recoveries.presumed_rejected(at=clock())
        assert ("K1", "resubmit") == (concern.exchange.reference, concern.rule.recovery)

    async def test_a_name_that_means_no_system(
        self, ledger: Ledger, agent: Make, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A notice about a name that is not known holds nothing, and the log says how to make it known."""
        clock.now = OPENS
        with caplog.at_level(logging.INFO, "htpoort.agent"):
            async with Gateway() as gateway, agent(gateway):
                ledger.notices.add(own(system="Uitvoer"), at=clock(), form=NoticeForm.OWN)
                message = await logged(caplog, "no name of a system")

        assert "Uitvoer" in message
        assert "[[notices.name]]" in message


class TestFolder:
    """A folder of notices is read once, by content, and nothing in it is moved."""

    async def test_a_text_is_read_before_anything_is_sent(
        self, ledger: Ledger, agent: Make, clock: Clock, tmp_path: Path
    ) -> None:
        """A notice that is in the folder when the agent starts is obeyed at once; the file stays."""
        folder = tmp_path / "notices"
        folder.mkdir()
        (folder / "dms.toml").write_text(own())
        clock.now = OPENS
        ledger.exchanges.queue(declaration("K1"), at=clock())
        async with Gateway() as gateway, agent(gateway, folder=folder):
            await states(ledger, {"K1": State.HELD})

        assert [] == gateway.received
        assert ["dms.toml"] == [each.name for each in folder.iterdir()]

    async def test_what_cannot_be_read(self, agent: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A file that is no notice is logged once and stays; a folder that is missing is logged once."""
        folder = tmp_path / "notices"
        with caplog.at_level(logging.INFO, "htpoort.agent"):
            async with Gateway() as gateway, agent(gateway, folder=folder):
                await logged(caplog, "are not read")
                folder.mkdir()
                (folder / "bad.txt").write_bytes(b"\xff nothing of the kind")
                await logged(caplog, "bad.txt")
                (folder / "dms.toml").write_text(own())
                await logged(caplog, "was learned")

        assert (1, 1) == (
            sum("are not read" in message for message in caplog.messages),
            sum("bad.txt" in message for message in caplog.messages),
        )
        assert ["bad.txt", "dms.toml"] == sorted(each.name for each in folder.iterdir())

    async def test_what_is_ended(
        self, agent: Make, ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An end is logged as that of what it ends; the reference of another authority is warned of."""
        ended = 'authority = "{}"\nreferences = ["{}"]\nstate = "ended"\n'
        with caplog.at_level(logging.INFO, "htpoort.agent"):
            async with Gateway() as gateway, agent(gateway):
                add = ledger.notices.add
                text = own().replace('"planned"', '"incident"')
                reference = add(text, at=clock(), form=NoticeForm.OWN).notice.references[0]
                add(ended.format("toldstyrelsen", reference), at=clock(), form=NoticeForm.OWN)
                add(ended.format("douane", reference), at=clock(), form=NoticeForm.OWN)
                await logged(caplog, "Notice 3 was learned")

        (learned,) = (message for message in caplog.messages if message.startswith("Notice 3 was learned"))
        assert f"Notice 3 was learned: {reference}, incident, ended, about DMS; " in learned
        assert 1 == sum(f"but {reference} is a reference of douane (notice 1)" in each for each in caplog.messages)

    def test_once_by_content(self, ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
        """A file with a content that was seen is not read again, under whatever name; a change of it is."""
        folder = tmp_path / "notices"
        folder.mkdir()
        files = NoticeFiles(folder, settle=0)
        seen: list[list[str]] = []
        for name, text in (("a.toml", own()), ("b.toml", own()), ("a.toml", own(end="22:00")), (".c.toml", "x")):
            (folder / name).write_text(text)
            seen.append([each.file for each in files.take(ledger, at=clock)])
        (folder / "a.toml").touch()
        seen.append([each.file for each in files.take(ledger, at=clock)])

        assert [["a.toml"], [], ["a.toml"], [], []] == seen
        assert len(ledger.notices.listed()) == 2

    def test_a_text_in_another_encoding(self, ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
        """A text that an editor saved as UTF-16 or Windows-1252 is read as the same text in UTF-8."""
        folder = tmp_path / "notices"
        folder.mkdir()
        text = f"{THREE_TEXTS}\nSt\N{LATIN SMALL LETTER O WITH STROKE}j.\n"
        for name, encoding in (("a", "utf-8"), ("b", "utf-16"), ("c", "cp1252"), ("d", "utf-8-sig")):
            (folder / f"{name}.txt").write_bytes(text.encode(encoding))
        outcomes = list(NoticeFiles(folder, settle=0).take(ledger, at=clock))

        assert ["a.txt", "b.txt", "c.txt", "d.txt"] == [each.file for each in outcomes]
        assert [text] == [each.text for each in ledger.notices.listed()]

    def test_what_is_wrong_is_named_once(self, ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
        """A refusal gives the line without the name of the file, which stands beside it; TOML must be UTF-8."""
        folder = tmp_path / "notices"
        folder.mkdir()
        (folder / "bad.toml").write_text(own().replace("rejected", "broken"))
        (folder / "empty.toml").write_text("")
        (folder / "latin.toml").write_bytes(own(system="\N{LATIN SMALL LETTER E WITH ACUTE}").encode("cp1252"))
        files = NoticeFiles(folder, settle=0)
        outcomes = [(each.file, each.refusal) for each in files.refused(at=clock())]

        line = own().splitlines().index('behaviour = "rejected"') + 1
        assert ("bad.toml", f"line {line}: windows[0].behaviour: give one of rejected, queued, delayed, ") == (
            outcomes[0][0],
            outcomes[0][1].partition("unavailable")[0],
        )
        assert outcomes[1][1].startswith("zone: give authority or zone")
        line = own().splitlines().index('system = "DMS"') + 1
        assert ("latin.toml", f"line {line}: This is not UTF-8, so it is not TOML.") == outcomes[2]
        assert outcomes == [(each.file, each.refusal) for each in files.take(ledger, at=clock)]

    def test_a_text_of_the_future_is_read_when_its_time_comes(
        self, ledger: Ledger, clock: Clock, tmp_path: Path
    ) -> None:
        """A notice that bears a later time is refused once, and read as soon as it can have been published."""
        folder = tmp_path / "notices"
        folder.mkdir()
        (folder / "a.toml").write_text(own().replace("state", 'revisions = ["2026-11-02T20:00"]\nstate'))
        files = NoticeFiles(folder, settle=0)
        clock.now = OPENS - MINUTE
        early = [[each.refusal for each in files.take(ledger, at=clock)] for _ in range(2)]
        listed = [each.refusal for each in files.refused(at=clock())]
        clock.now = OPENS
        late = [each.refusal for each in files.take(ledger, at=clock)]

        assert (1, 0, listed) == (len(early[0]), len(early[1]), early[0])
        assert early[0][0].startswith("line 5: revisions[0]: 2026-11-02 20:00:00 is in the future; give when")
        assert ([""], 1, []) == (late, len(ledger.notices.listed()), files.refused(at=clock()))

    async def test_a_file_that_was_saved_just_before_the_start(
        self, ledger: Ledger, router: Router, clock: Clock, tmp_path: Path
    ) -> None:
        """An agent that starts waits until it can read a notice that has just been saved, and only then sends."""
        clock.now = OPENS
        ledger.exchanges.queue(declaration("K1"), at=clock())
        folder = tmp_path / "notices"
        folder.mkdir()
        (folder / "a.toml").write_text(own())
        async with Gateway() as gateway:
            agent = Agent(
                ledger=ledger,
                router=router,
                outboxes=[Outbox(server=server(gateway.smtp_port))],
                notice_files=NoticeFiles(folder, settle=1),
                clock=clock,
                timing=QUICK,
            )
            async with agent:
                await agent.wait_until_idle()
                await states(ledger, {"K1": State.HELD})

        assert [] == list(gateway.received)

    def test_a_file_that_is_being_written(self, ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
        """A file that has just changed is left alone until it has not changed for a while."""
        folder = tmp_path / "notices"
        folder.mkdir()
        (folder / "a.toml").write_text(own())
        files = NoticeFiles(folder, settle=3600)
        young = list(files.take(ledger, at=clock))
        os.utime(folder / "a.toml", (0, 0))

        assert ([], ["a.toml"]) == (young, [each.file for each in files.take(ledger, at=clock)])


@pytest.mark.parametrize(
    ("waiting", "left", "jitter", "expected"),
    [(0, 10, 0.9, 0), (5, 1, 0.0, 5), (5, 0, 0.0, 5), (600, 600, 0.0, 1), (60, 600, 0.5, 0), (60, 600, 0.95, 1)],
)
def test_the_share_of_a_poll(waiting: int, left: int, jitter: float, expected: int) -> None:
    """Each poll lets go of its share of what waits; a fraction is rounded by chance; the last poll takes the rest."""
    second = timedelta(seconds=1)

    assert expected == release_share(waiting, left=left * second, poll=second, jitter=jitter)
