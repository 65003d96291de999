"""Declarations that come as files: each is queued once and moved, whatever happens in between."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess  # noqa: S404 - a process that is killed
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from agents import MAILBOX, PARTY, QUICK, server
from disk import failing_disk, full_disk, no_links

from htpoort import InputError, Router, State, automatic_reference, read
from htpoort._clock import now
from htpoort.agent import Agent, DeclarationFiles, DeclarationFolder, Dispatcher, FileOutcome, Outbox
from htpoort.ledger import Ledger
from htpoort.simulator import Gateway

CLIENT = "NL123456789.02.06"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BELOW = "give the form of a name below the folder, such as {reference}.xml."
REASON = "Nothing was queued. Correct the file, its name or the configuration, and move it back into the folder.\n"

Folder = Callable[..., DeclarationFolder]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make a folder of one party whose files need no time to settle."""
    (tmp_path / "out").mkdir()

    def made(**values: Any) -> DeclarationFolder:
        usual: dict[str, Any] = {
            "path": tmp_path / "out",
            "mailbox": MAILBOX,
            "settle": 0,
            "system": "DMS",
        }
        party: dict[str, Any] = {} if "{party}" in values.get("pattern", "") else {"party": PARTY}
        return DeclarationFolder(**usual | party | values)

    return made


def put(folder: DeclarationFolder, name: str, octets: bytes = b"<MetaData/>") -> Path:
    """Write a file, as another program does."""
    file = folder.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(octets)
    return file


def dispatcher(ledger: Ledger) -> Dispatcher:
    """Make a dispatcher for two parties."""
    return Dispatcher(ledger=ledger, parties=[PARTY, CLIENT])


def take(folder: DeclarationFolder, ledger: Ledger) -> list[FileOutcome]:
    """Take what is there."""
    return list(DeclarationFiles(folder).take(dispatcher(ledger), at=lambda: NOON))


def files(folder: DeclarationFolder) -> list[str]:
    """List all files below a folder."""
    return sorted(str(file.relative_to(folder.path)) for file in folder.path.rglob("*") if file.is_file())


def queued(ledger: Ledger) -> list[tuple[str, str, str]]:
    """List party, system and K of what the ledger has."""
    return sorted((exchange.party, exchange.system, exchange.reference) for exchange, _ in ledger.exchanges.messages())


class TestQueued:
    """A file becomes an exchange, and is moved to ``sent``."""

    def test_what_the_file_decides(self, folder: Folder, ledger: Ledger) -> None:
        """K is in the name, Date is that of the file, and the payload is the file, octet for octet."""
        out = folder()
        os.utime(put(out, "22096222734662.xml", b"<a>\n</a>"), (1_767_605_400, 1_767_605_400))
        (outcome,) = take(out, ledger)
        assert ("22096222734662.xml", "sent/22096222734662.xml", "") == (
            outcome.file,
            outcome.moved_to,
            outcome.refusal,
        )
        assert ["sent/22096222734662.xml"] == files(out)
        ((_, raw),) = ledger.exchanges.messages()
        assert raw is not None
        message = read(raw)
        assert b"\r\nDate: Mon, 05 Jan 2026 09:30:00 +0000\r\n" in raw
        assert ("DMS4.NL", PARTY, "22096222734662", b"<a>\n</a>") == (
            message.envelope and message.envelope.addressee,
            message.envelope and message.envelope.sender,
            message.envelope and message.envelope.reference,
            message.payload.octets,
        )

    def test_names_with_more(self, folder: Folder, ledger: Ledger) -> None:
        """Party, system and K may be anywhere in the path; ``*`` stands for anything."""
        out = folder(pattern="{system}/{party}/*-{reference}.xml", system=None)
        put(out, f"ags/{PARTY.lower()}/import-A1.xml")
        put(out, f"DMS/{CLIENT}/-B2.xml")
        take(out, ledger)
        assert [(PARTY, "AGS", "A1"), (CLIENT, "DMS", "B2")] == queued(ledger)
        assert [f"sent/DMS/{CLIENT}/-B2.xml", f"sent/ags/{PARTY.lower()}/import-A1.xml"] == files(out)

    def test_a_reference_is_made(self, folder: Folder, ledger: Ledger) -> None:
        """Without ``{reference}``, party and content decide K; the same declaration is not declared twice."""
        out = folder(pattern="*.xml")
        put(out, "one.xml")
        put(out, "copy of one.xml")
        put(out, "other.xml", b"<Other/>")
        take(out, ledger)
        expected = [automatic_reference(PARTY, payload) for payload in (b"<MetaData/>", b"<Other/>")]
        assert sorted((PARTY, "DMS", reference) for reference in expected) == queued(ledger)
        assert ["sent/copy of one.xml", "sent/one.xml", "sent/other.xml"] == files(out)

    def test_oldest_first(self, folder: Folder, ledger: Ledger) -> None:
        """Files are queued in the order of their times."""
        out = folder()
        for name, when in (("B.xml", 3), ("A.xml", 2), ("C.xml", 1)):
            os.utime(put(out, name, name.encode()), (when, when))
        assert ["C.xml", "A.xml", "B.xml"] == [outcome.file for outcome in take(out, ledger)]

    def test_the_same_name_again(self, folder: Folder, ledger: Ledger) -> None:
        """The same file again gives the same exchange; its copy in ``sent`` is not written twice."""
        out = folder()
        put(out, "A1.xml")
        take(out, ledger)
        put(out, "A1.xml")
        (outcome,) = take(out, ledger)
        assert outcome.dispatched is not None
        assert outcome.dispatched.exchange.repeated
        assert ([(PARTY, "DMS", "A1")], ["sent/A1.xml"]) == (queued(ledger), files(out))


class TestLeftAlone:
    """What is not a complete declaration stays where it is."""

    @pytest.mark.parametrize("name", [".A1.xml", "A1.xml.part", "A1.txt", "below/A1.xml", "sent/A1.xml", "bad/A1.xml"])
    def test_another_form(self, folder: Folder, ledger: Ledger, name: str) -> None:
        """Hidden files, and names without the form of the pattern, are not declarations."""
        out = folder()
        put(out, name)
        assert ([], [name], []) == (take(out, ledger), files(out), queued(ledger))

    def test_a_file_that_is_being_written(self, folder: Folder, ledger: Ledger) -> None:
        """A file that changed a moment ago is left; once it has been quiet for long enough, it is taken whole."""
        out = folder(settle=3600)
        file = put(out, "A1.xml", b"<MetaDa")
        assert ([], ["A1.xml"]) == (take(out, ledger), files(out))
        with file.open("ab") as rest:
            rest.write(b"ta/>")
        assert ([], []) == (take(out, ledger), queued(ledger))
        take(folder(settle=0), ledger)
        ((_, raw),) = ledger.exchanges.messages()
        assert b"<MetaData/>" == read(raw or b"").payload.octets

    def test_a_link_and_a_pipe(self, folder: Folder, ledger: Ledger, tmp_path: Path) -> None:
        """Links are not followed, and a pipe is not waited for."""
        out = folder()
        (tmp_path / "secret").write_bytes(b"x")
        (out.path / "A1.xml").symlink_to(tmp_path / "secret")
        os.mkfifo(out.path / "B2.xml")
        assert [] == take(out, ledger)
        assert ["A1.xml", "B2.xml"] == sorted(path.name for path in out.path.iterdir())


class TestOtherForms:
    """Files that are never sent are named, so that a person finds a declaration among them."""

    def test_what_is_listed(self, folder: Folder) -> None:
        """Files that are less deep, as deep as the pattern, or one folder deeper; nothing hidden, sent or refused."""
        out = folder(pattern="{party}/{reference}.xml")
        names = ["K10.xml", f"{PARTY}/K9.XML", f"{PARTY}/new/K8.xml"]
        for name in (*names, f"{PARTY}/A1.xml", f"{PARTY}/.K7", ".K6", "sent/K5", "bad/K4", f"{PARTY}/new/old/K3.xml"):
            put(out, name)
        content = DeclarationFiles(out).content()
        assert (names, [f"{PARTY}/A1.xml"], ["bad/K4"]) == (
            sorted(content.others),
            list(content.waiting),
            list(content.refused),
        )
        assert ({}, {}, content.others) == attrs.astuple(DeclarationFiles(out).content(only_others=True), recurse=False)

    def test_what_is_being_written(self, folder: Folder) -> None:
        """A file that has changed within a minute may be renamed soon, so it is not named."""
        out = folder()
        # A date that the file brings along is not the time at which it came.
        os.utime(put(out, "A1.xml.part"), (1, 1))
        content, at = DeclarationFiles(out).content(), now()
        assert ([], ["A1.xml.part"]) == (content.left_alone(at), content.left_alone(at + timedelta(seconds=61)))

    async def test_in_the_log(
        self, folder: Folder, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An agent names them once, and those that come later too."""
        out = folder(pattern="{party}/{reference}.xml")
        at = now() + timedelta(minutes=5)
        caplog.handler.setLevel(logging.WARNING)

        def clock() -> datetime:
            return at

        async def reported(number: int) -> None:
            while len(caplog.messages) < number:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)

        put(out, "K9.XML")
        put(out, "K8.XML")
        async with (
            asyncio.timeout(60),
            Agent(
                ledger=ledger, router=router, folders=[out], dispatcher=dispatcher(ledger), timing=QUICK, clock=clock
            ),
        ):
            await reported(1)
            put(out, "K7.XML")
            at += timedelta(minutes=5)
            await reported(2)
            at += timedelta(minutes=5)
            put(out, f"{PARTY}/A1.xml")
            while queued(ledger) == []:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
        why = "only files of the form {party}/{reference}.xml are sent; upper and lower case differ"
        assert [
            f"2 files in {out.path} are left alone: K9.XML, K8.XML: {why}",
            f"K7.XML in {out.path} is left alone: {why}",
        ] == caplog.messages


class TestAnotherPattern:
    """A file that was queued under the K that another pattern gives it is refused: it would be declared twice."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [("{party}/{reference}.xml", "{party}/*.xml"), ("{party}/*.xml", "{party}/{reference}.xml")],
    )
    def test_refused(self, folder: Folder, ledger: Ledger, first: str, second: str) -> None:
        """Both ways; and the first pattern finds it again."""
        name = f"{PARTY}/R2.xml"
        references = {"{party}/{reference}.xml": "R2", "{party}/*.xml": automatic_reference(PARTY, b"<MetaData/>")}
        put(folder(pattern=first), name)
        take(folder(pattern=first), ledger)
        put(folder(pattern=second), name)
        (outcome,) = take(folder(pattern=second), ledger)
        assert f"This declaration was queued before as {references[first]}, for DMS at 2026-12-01 12:00:00+00:00; " in (
            outcome.refusal
        )
        assert [(PARTY, "DMS", references[first])] == queued(ledger)
        put(folder(pattern=first), name)
        (outcome,) = take(folder(pattern=first), ledger)
        assert outcome.dispatched is not None
        assert outcome.dispatched.exchange.repeated

    def test_another_declaration(self, folder: Folder, ledger: Ledger) -> None:
        """Another content, or the same one for another party, is another declaration."""
        names, contents = folder(pattern="{party}/{reference}.xml"), folder(pattern="{party}/*.xml")
        put(names, f"{PARTY}/R2.xml")
        take(names, ledger)
        put(contents, f"{PARTY}/R2.xml", b"<Other/>")
        put(contents, f"{CLIENT}/R2.xml")
        take(contents, ledger)
        assert [
            (CLIENT, "DMS", automatic_reference(CLIENT, b"<MetaData/>")),
            *sorted([(PARTY, "DMS", "R2"), (PARTY, "DMS", automatic_reference(PARTY, b"<Other/>"))]),
        ] == sorted(queued(ledger), key=lambda one: (one[0] != CLIENT, one))


class TestRefused:
    """What cannot be queued is moved to ``bad``, with the reason beside it; nothing else waits for it."""

    @pytest.mark.parametrize(
        ("name", "octets", "reason"),
        [
            ("A 1.xml", b"x", "reference is 'A 1'; give 1 to 35 letters and digits.\n"),
            ("A\n1.xml", b"x", "reference is 'A\\n1'; give 1 to 35 letters and digits.\n"),
            ("A1.xml", b"", "payload is empty; give the octets of the declaration.\n"),
        ],
    )
    def test_a_value(self, folder: Folder, ledger: Ledger, name: str, octets: bytes, reason: str) -> None:
        """The reason names what is wrong, and what to do."""
        out = folder()
        put(out, name, octets)
        put(out, "GOOD.xml")
        assert {f"bad/{name}", "sent/GOOD.xml"} == {outcome.moved_to for outcome in take(out, ledger)}
        assert sorted([f"bad/{name}", f"bad/{name}.reason.txt", "sent/GOOD.xml"]) == files(out)
        assert reason + REASON == (out.path / f"bad/{name}.reason.txt").read_text(encoding="utf-8")
        assert [(PARTY, "DMS", "GOOD")] == queued(ledger)

    @pytest.mark.parametrize("party", ["a..", "NL000000000", "NL123456789.02.05 "])
    def test_an_unknown_party(self, folder: Folder, ledger: Ledger, party: str) -> None:
        """A party whose replies would be quarantined is refused, and no name leads out of the folder."""
        out = folder(pattern="{party}_{reference}.xml")
        put(out, f"{party}_A1.xml")
        take(out, ledger)
        assert [f"bad/{party}_A1.xml", f"bad/{party}_A1.xml.reason.txt"] == files(out)
        reason = (out.path / f"bad/{party}_A1.xml.reason.txt").read_text(encoding="utf-8")
        assert reason.startswith(f"party {party!r} is not in parties")
        assert [] == queued(ledger)

    def test_the_reason_is_beside_the_file(self, folder: Folder, ledger: Ledger) -> None:
        """Two files of one name have their own reasons, also once one of them is there again."""
        out = folder(pattern="*{reference}.xml")
        for octets in (b"", b"<Two/>", b""):
            put(out, "A_1 .xml", octets)
            take(out, ledger)
        assert ["bad/A_1 .1.xml", "bad/A_1 .1.xml.reason.txt", "bad/A_1 .xml", "bad/A_1 .xml.reason.txt"] == files(out)
        again = DeclarationFiles(out)
        assert [out.path / f"{name}.reason.txt" for name in again.refused()] == list(
            map(again.reason_file, again.refused())
        )

    def test_two_files_of_one_reference(self, folder: Folder, ledger: Ledger) -> None:
        """The first declaration with a K is queued; another one with the same K is refused."""
        out = folder(pattern="*/{reference}.xml")
        os.utime(put(out, "a/A1.xml", b"<One/>"), (1, 1))
        os.utime(put(out, "b/A1.xml", b"<Two/>"), (2, 2))
        take(out, ledger)
        assert [(PARTY, "DMS", "A1")] == queued(ledger)
        assert ["bad/b/A1.xml", "bad/b/A1.xml.reason.txt", "sent/a/A1.xml"] == files(out)

    def test_moved_back(self, folder: Folder, ledger: Ledger) -> None:
        """A file that was corrected and moved back is queued; one that is still wrong gets its new reason."""
        out = folder()
        put(out, "A1.xml", b"")
        take(out, ledger)
        (out.path / "bad/A1.xml").rename(out.path / "A1.xml")
        take(out, ledger)
        assert ["bad/A1.xml", "bad/A1.xml.reason.txt"] == files(out)
        (out.path / "bad/A1.xml").unlink()
        put(out, "A1.xml", b"<Corrected/>")
        take(out, ledger)
        assert [(PARTY, "DMS", "A1")] == queued(ledger)

    def test_a_name_that_is_taken(self, folder: Folder, ledger: Ledger) -> None:
        """A file of the same name in ``sent`` with other content is never replaced."""
        out = folder(pattern="*.xml")
        put(out, "sent/a.xml", b"other")
        put(out, "a.xml")
        take(out, ledger)
        assert ["sent/a.1.xml", "sent/a.xml"] == files(out)
        assert b"other" == (out.path / "sent/a.xml").read_bytes()


class TestLongNames:
    """A name that fills what a disk can take is refused or queued as any other."""

    @pytest.mark.parametrize("name", [f"{'A' * 251}.xml", f"{'é' * 125}.xml", f"A 1.{'x' * 251}"])
    def test_refused(self, folder: Folder, ledger: Ledger, name: str) -> None:
        """The name of the reason is cut, and is another one for each file."""
        out = folder(pattern="{reference}.x*")
        put(out, name)
        put(out, f"B{name[1:]}")
        take(out, ledger)
        content = DeclarationFiles(out)
        assert {f"bad/{name}", f"bad/B{name[1:]}"} == set(content.refused())
        assert 4 == len(files(out))
        for refused in content.refused():
            assert content.reason(refused).startswith("reference is ")

    def test_the_same_name_again(self, folder: Folder, ledger: Ledger) -> None:
        """A number in a name that is taken makes it no longer than a disk can take."""
        out = folder(pattern="*.xml")
        for number in range(3):
            put(out, f"{'A' * 251}.xml", f"<Number>{number}</Number>".encode())
            take(out, ledger)
        names = [Path(name).name for name in files(out)]
        assert ([255, 255, 255], 1, 1) == (
            [len(name) for name in names],
            sum(name.endswith(".1.xml") for name in names),
            sum(name.endswith(".2.xml") for name in names),
        )


class TestTrouble:
    """A disk or a ledger that fails costs time, and never a declaration."""

    def test_a_disk_that_refuses(self, folder: Folder, ledger: Ledger) -> None:
        """A file that cannot be moved stays, queued once, and is moved when the disk works again."""
        out = folder()
        put(out, "A1.xml")
        (out.path / "sent").write_bytes(b"in the way")
        for _ in range(2):
            with pytest.raises(OSError, match="File exists"):
                take(out, ledger)
        assert [(PARTY, "DMS", "A1")] == queued(ledger)
        (out.path / "sent").unlink()
        (outcome,) = take(out, ledger)
        assert outcome.dispatched is not None
        assert outcome.dispatched.exchange.repeated
        assert ([(PARTY, "DMS", "A1")], ["sent/A1.xml"]) == (queued(ledger), files(out))

    def test_a_full_disk(self, folder: Folder, ledger: Ledger) -> None:
        """If the reason cannot be written, a refused file stays, and nothing is queued."""
        out = folder()
        put(out, "A1.xml", b"")
        with failing_disk(), pytest.raises(OSError, match="File too large"):
            take(out, ledger)
        assert (["A1.xml"], []) == (files(out), queued(ledger))

    @pytest.mark.parametrize("folders", [False, True])
    def test_no_room_for_a_name(self, folder: Folder, ledger: Ledger, *, folders: bool) -> None:
        """If the disk is full when a file is to be moved to ``sent``, it stays, queued once, and is moved later."""
        out = folder()
        put(out, "A1.xml")
        if folders:
            DeclarationFiles(out).self_test()
        with full_disk(out.path):
            for _ in range(2):
                with pytest.raises(OSError, match="No space left on device"):
                    take(out, ledger)
        assert (["A1.xml"], [(PARTY, "DMS", "A1")]) == (files(out), queued(ledger))
        take(out, ledger)
        assert (["sent/A1.xml"], [(PARTY, "DMS", "A1")]) == (files(out), queued(ledger))

    def test_a_file_that_cannot_be_moved(self, folder: Folder, ledger: Ledger) -> None:
        """One file that can never be moved, here because a file is where its folder belongs, holds up no other file."""
        out = folder(pattern="*/{reference}.xml")
        put(out, "sent/one", b"in the way")
        os.utime(put(out, "one/A1.xml"), (1, 1))
        put(out, "two/B2.xml", b"<Other/>")
        with pytest.raises(OSError, match="File exists"):
            take(out, ledger)
        assert ["one/A1.xml", "sent/one", "sent/two/B2.xml"] == files(out)
        assert [(PARTY, "DMS", "A1"), (PARTY, "DMS", "B2")] == queued(ledger)

    def test_without_links(self, folder: Folder, ledger: Ledger) -> None:
        """A file system without hard links works too."""
        out = folder()
        put(out, "A1.xml")
        put(out, "B 2.xml")
        with no_links(out.path):
            DeclarationFiles(out).self_test()
            take(out, ledger)
        assert ["bad/B 2.xml", "bad/B 2.xml.reason.txt", "sent/A1.xml"] == files(out)

    @pytest.mark.parametrize("step", range(1, 7))
    def test_killed(self, folder: Folder, ledger: Ledger, tmp_path: Path, step: int) -> None:
        """A process that is killed before any step of a move has lost and doubled nothing when it starts again."""
        ledger.close()
        out = folder()
        for number in range(3):
            put(out, f"A{number}.xml", f"<Number>{number}</Number>".encode())
        code = KILLED.format(url=f"sqlite:///{tmp_path / 'htpoort.db'}", path=str(out.path), step=step)
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)  # noqa: S603 - our own
        assert (-9, b"") == (done.returncode, done.stderr)
        with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as again:
            take(folder(), again)
            assert [(PARTY, "DMS", f"A{number}") for number in range(3)] == queued(again)
        assert [f"sent/A{number}.xml" for number in range(3)] == files(out)
        for number in range(3):
            assert f"<Number>{number}</Number>".encode() == (out.path / f"sent/A{number}.xml").read_bytes()


# A process that ends at a step: each link, removal and sync of a folder is one.
KILLED = """
import os, signal
from datetime import datetime, timezone
from pathlib import Path
from htpoort.agent import DeclarationFiles, DeclarationFolder, Dispatcher
from htpoort.ledger import Ledger

left = {step}
def counted(work):
    def step(*args, **more):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*args, **more)
    return step

with Ledger.open({url!r}) as ledger:
    os.link, os.unlink, os.fsync = counted(os.link), counted(os.unlink), counted(os.fsync)
    dispatcher = Dispatcher(ledger=ledger, parties=["NL123456789.02.05"])
    folder = DeclarationFolder(
        path=Path({path!r}), mailbox="edi@forwarder.example", party="NL123456789.02.05",
        system="DMS", settle=0)
    for outcome in DeclarationFiles(folder).take(dispatcher, at=lambda: datetime(2026, 12, 1, 12, tzinfo=timezone.utc)):
        pass
"""


class TestSettings:
    """Settings that cannot work are refused when they are made, all at once."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"pattern": ""}, f"pattern is ''; {BELOW}"),
            ({"pattern": "../{reference}"}, f"pattern is '../{{reference}}'; {BELOW}"),
            ({"pattern": "/{reference}"}, f"pattern is '/{{reference}}'; {BELOW}"),
            ({"pattern": "{K}"}, "pattern has the placeholder {K}; only {reference}, {party} and {system} are known."),
            ({"pattern": "{reference}{reference}"}, "pattern has {reference} twice; write it once."),
            ({"pattern": "{reference"}, "pattern is '{reference'; write placeholders as in {party}/{reference}.xml."),
            ({"party": None}, "party is not given, and pattern has no {party}; give the party ID of all files."),
            (
                {"pattern": "{party}", "party": PARTY},
                f"party is {PARTY!r}, but pattern has {{party}}; leave one of them out.",
            ),
            ({"pattern": "{system}"}, "system is 'DMS', but pattern has {system}; leave one of them out."),
            ({"settle": -1}, "settle is -1; give seconds, 0 or more."),
        ],
    )
    def test_wrong(self, folder: Folder, values: dict[str, object], message: str) -> None:
        """Each has its sentence."""
        with pytest.raises(InputError) as caught:
            folder(**values)
        assert [message] == [problem.message for problem in caught.value.problems]


async def accepted(ledger: Ledger, reference: str) -> None:
    """Wait until the gateway has accepted a declaration."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, reference, party=PARTY)
            if found is not None and found.state is State.ACCEPTED:
                return
            # Reading the ledger waits for another thread; a longer pause is not needed.
            await asyncio.sleep(0)


class TestAgent:
    """An agent watches the folder: what is put there is sent, without anything else."""

    async def test_sent(self, folder: Folder, ledger: Ledger, router: Router) -> None:
        """A file that appears while the agent runs reaches the gateway, and ends in ``sent``."""
        out = folder()
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port))
            async with Agent(
                ledger=ledger,
                router=router,
                outboxes=[outbox],
                folders=[out],
                dispatcher=dispatcher(ledger),
                timing=QUICK,
            ):
                put(out, "A1.xml")
                await accepted(ledger, "A1")
        assert ["A1"] == [taken.envelope.reference for taken in gateway.received]
        assert ["sent/A1.xml"] == files(out)

    async def test_a_full_disk(
        self, folder: Folder, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """While files cannot be moved, the log says so once, and their declarations are sent, once."""
        out = folder()
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port))
            async with Agent(
                ledger=ledger,
                router=router,
                outboxes=[outbox],
                folders=[out],
                dispatcher=dispatcher(ledger),
                timing=QUICK,
            ):
                with full_disk(out.path):
                    put(out, "A1.xml")
                    await accepted(ledger, "A1")
                    assert ["A1.xml"] == files(out)
                put(out, "B2.xml")
                await accepted(ledger, "B2")
        assert ["A1", "B2"] == [taken.envelope.reference for taken in gateway.received]
        assert ["sent/A1.xml", "sent/B2.xml"] == files(out)
        assert [f"Declarations in {out.path} wait: {out.path}/A1.xml: No space left on device"] == caplog.messages

    async def test_a_folder_that_is_missing(self, folder: Folder, ledger: Ledger, router: Router) -> None:
        """An agent does not start with a folder that does not exist; it may be a mistake in the path."""
        out = folder()
        out.path.rmdir()
        with pytest.raises(InputError) as caught:
            async with Agent(ledger=ledger, router=router, folders=[out], dispatcher=dispatcher(ledger)):
                pass
        message = f"Declarations in {out.path} cannot be queued: There is no such folder; create it."
        assert [("folder.path", message)] == [(problem.code, problem.message) for problem in caught.value.problems]

    async def test_a_folder_in_it_that_cannot_be_used(self, folder: Folder, ledger: Ledger, router: Router) -> None:
        """What is named is the folder that cannot be used, and not the one that it is in."""
        out = folder()
        put(out, "bad", b"in the way")
        with pytest.raises(InputError) as caught:
            async with Agent(ledger=ledger, router=router, folders=[out], dispatcher=dispatcher(ledger)):
                pass
        message = f"Declarations in {out.path} cannot be queued: {out.path}/bad: File exists."
        assert [message] == [problem.message for problem in caught.value.problems]

    def test_without_a_dispatcher(self, folder: Folder, ledger: Ledger, router: Router) -> None:
        """Folders without anything that queues their declarations are refused."""
        with pytest.raises(InputError) as caught:
            Agent(ledger=ledger, router=router, folders=[folder()])
        assert ["agent.no-dispatcher"] == [problem.code for problem in caught.value.problems]
