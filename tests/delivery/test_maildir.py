"""Delivery to a Maildir: a file appears once and complete, or not at all."""

from __future__ import annotations

import asyncio
import mailbox
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from disk import hanging_disk, no_links

from htpoort import InputError
from htpoort.delivery import DeliveryError, MaildirDelivery
from htpoort.ledger import Reply

Made = Callable[..., Reply]
NAME = "1767605400.K7H"


def files(path: Path) -> list[str]:
    """List all files below a folder."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


async def written() -> None:
    """Wait until every thread of a Maildir has ended."""
    for thread in threading.enumerate():
        if thread.name == "htpoort-queue":
            await asyncio.to_thread(thread.join)


class TestPut:
    """A reply becomes a file in a Maildir that any mail program can read."""

    @pytest.mark.parametrize("as_text", [False, True])
    async def test_a_foreign_reader_gets_it(self, tmp_path: Path, reply: Made, *, as_text: bool) -> None:
        """The reader of the standard library finds the reply, octet for octet, not yet marked as seen."""
        place = tmp_path / "a" / "replies"
        await MaildirDelivery(str(place) if as_text else place)(reply())
        maildir = mailbox.Maildir(place, create=False)
        (key,) = maildir.keys()
        assert reply().raw == maildir.get_bytes(key)
        assert ("new", "") == (maildir.get_message(key).get_subdir(), maildir.get_message(key).get_flags())

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177, 0o777])
    async def test_for_its_owner_alone(self, tmp_path: Path, reply: Made, umask: int) -> None:
        """Folders have mode 0700 and files 0600, whatever the umask: declarations are confidential."""
        place = tmp_path / "a" / "replies"
        before = os.umask(umask)
        try:
            await MaildirDelivery(place)(reply())
        finally:
            os.umask(before)
        (file,) = (place / "new").iterdir()
        folders = [place.parent, place, *(place / room for room in ("tmp", "new", "cur"))]
        assert ([0o700] * 5, 0o600) == (
            [folder.stat().st_mode & 0o777 for folder in folders],
            file.stat().st_mode & 0o777,
        )

    async def test_nothing_else_is_left(self, tmp_path: Path, reply: Made) -> None:
        """The file in tmp is gone; the name contains time and key."""
        await MaildirDelivery(tmp_path)(reply())
        (file,) = files(tmp_path)
        assert file.startswith(f"new/{NAME}")

    async def test_a_large_reply(self, tmp_path: Path, reply: Made) -> None:
        """2 MB with every octet arrive unchanged."""
        raw = bytes(range(256)) * 8_192
        await MaildirDelivery(tmp_path)(reply(raw=raw))
        (file,) = files(tmp_path)
        assert raw == (tmp_path / file).read_bytes()

    async def test_many_replies(self, tmp_path: Path, reply: Made) -> None:
        """Each reply is a separate file, also if two have the same content, or if a key is used again."""
        deliver = MaildirDelivery(tmp_path)
        others = [reply(key=8), reply(raw=b"a\r\n"), reply(received=datetime(2026, 1, 6, tzinfo=UTC))]
        for one in (reply(), *others):
            await deliver(one)
        assert 4 == len(files(tmp_path))


class TestRepeated:
    """The same reply that comes again, after a crash, is the same file."""

    @pytest.mark.parametrize("name", ["{}", "{}:2,", "{}:2,RS", "{};2,S"])
    @pytest.mark.parametrize("room", ["new", "cur"])
    async def test_is_recognised(self, tmp_path: Path, reply: Made, room: str, name: str) -> None:
        """The file is recognised wherever its reader has moved it, and however it is marked."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        moved = tmp_path / room / (name if room == "cur" else "{}").format(file.name)
        file.rename(moved)
        await deliver(reply())
        assert [f"{room}/{moved.name}"] == files(tmp_path)

    async def test_existing_files_are_not_changed(self, tmp_path: Path, reply: Made) -> None:
        """A file with that name keeps its content; if it is not the reply, the reply is written beside it, once."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.write_bytes(b"annotated")
        for _ in range(2):
            await deliver(reply())
        beside = tmp_path / "new" / f"{file.name}.1"
        assert [f"new/{file.name}", f"new/{file.name}.1"] == files(tmp_path)
        assert (b"annotated", reply().raw) == (file.read_bytes(), beside.read_bytes())

    @pytest.mark.parametrize("other", ["cut", "longer", "same length", "folder", "link", "pipe"])
    @pytest.mark.parametrize("room", ["new", "cur"])
    async def test_another_entry_of_that_name(self, tmp_path: Path, reply: Made, room: str, other: str) -> None:
        """Only the whole message counts as delivered: a file that was cut or something that is not a file does not."""
        deliver, raw = MaildirDelivery(tmp_path), reply().raw
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.rename(tmp_path / "kept")
        there = tmp_path / room / file.name
        contents = {"cut": raw[:-1], "longer": raw + b"x", "same length": b"x" * len(raw)}
        if other in contents:
            there.write_bytes(contents[other])
        elif other == "folder":
            there.mkdir()
        elif other == "link":
            there.symlink_to(tmp_path / "kept")
        else:
            os.mkfifo(there)
        await deliver(reply())
        put = tmp_path / "new" / (f"{file.name}.1" if room == "new" else file.name)
        assert raw == put.read_bytes()

    async def test_the_one_beside_is_recognised_in_cur(self, tmp_path: Path, reply: Made) -> None:
        """A reply that was written beside another file is also recognised after a reader has moved it."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.write_bytes(b"annotated")
        await deliver(reply())
        (tmp_path / "new" / f"{file.name}.1").rename(tmp_path / "cur" / f"{file.name}.1:2,S")
        await deliver(reply())
        assert [f"cur/{file.name}.1:2,S", f"new/{file.name}"] == files(tmp_path)

    async def test_a_name_that_is_always_taken(self, tmp_path: Path, reply: Made) -> None:
        """After a hundred other files with its name the delivery fails, instead of searching without end."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        for name in (file.name, *(f"{file.name}.{number}" for number in range(1, 100))):
            (tmp_path / "new" / name).write_bytes(b"other")
        with pytest.raises(DeliveryError) as caught:
            await deliver(reply())
        assert "100 other files have that name." == caught.value.why

    @pytest.mark.parametrize(("attempts", "expected"), [(1, 2), (2, 1)])
    async def test_cur_is_searched_for_a_repeat_only(
        self, tmp_path: Path, reply: Made, attempts: int, expected: int
    ) -> None:
        """A first delivery does not search ``cur``, which may be large; a later one does."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.rename(tmp_path / "cur" / file.name)
        await deliver(reply(attempts=attempts))
        assert expected == len(files(tmp_path))

    async def test_cur_is_searched_if_a_name_was_taken(self, tmp_path: Path, reply: Made) -> None:
        """At a first attempt too: another delivery may have written the reply, and a reader moved it just now."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.rename(tmp_path / "cur" / f"{file.name}:2,S")
        file.write_bytes(b"other")
        await deliver(reply(attempts=1))
        assert [f"cur/{file.name}:2,S", f"new/{file.name}"] == files(tmp_path)

    async def test_at_the_same_time(self, tmp_path: Path, reply: Made, request: pytest.FixtureRequest) -> None:
        """Many deliveries of one reply at the same time make one file, wherever one interrupts another."""
        request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
        sys.setswitchinterval(1e-6)  # threads change after nearly every step
        for name in map(str, range(100)):
            # Each delivery has threads of its own, like those of two processes.
            delivers = [MaildirDelivery(tmp_path / name) for _ in range(4)]
            await asyncio.gather(*(deliver(reply()) for deliver in delivers for _ in range(5)))
            assert 1 == len(files(tmp_path / name))

    async def test_after_it_was_removed(self, tmp_path: Path, reply: Made) -> None:
        """At least once: a reader that has removed the file finds it again, with the same name."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        before = files(tmp_path)
        (tmp_path / before[0]).unlink()
        await deliver(reply())
        assert before == files(tmp_path)

    async def test_what_a_crash_left_is_not_a_reply(self, tmp_path: Path, reply: Made) -> None:
        """A partial file in tmp is neither mistaken for the reply nor in its way."""
        deliver = MaildirDelivery(tmp_path)
        await deliver(reply())
        (file,) = (tmp_path / "new").iterdir()
        file.rename(tmp_path / "tmp" / f"{file.name}.abc")
        await deliver(reply())
        assert [f"new/{file.name}", f"tmp/{file.name}.abc"] == files(tmp_path)


class TestNoLinks:
    """A file system without hard links, such as many network shares and USB sticks, works too."""

    async def test_the_same_as_with_links(self, tmp_path: Path, reply: Made) -> None:
        """Replies are written, recognised, and written beside other files; nothing is left in tmp."""
        deliver = MaildirDelivery(tmp_path)
        with no_links(tmp_path):
            await asyncio.gather(*(deliver(reply(key=key)) for key in (7, 7, 8)))
            (first, second) = sorted((tmp_path / "new").iterdir())
            first.write_bytes(b"annotated")
            second.rename(tmp_path / "cur" / f"{second.name}:2,S")
            for key in (7, 8):
                await deliver(reply(key=key))
        beside = tmp_path / "new" / f"{first.name}.1"
        assert [f"cur/{second.name}:2,S", f"new/{first.name}", f"new/{first.name}.1"] == files(tmp_path)
        assert (b"annotated", reply().raw) == (first.read_bytes(), beside.read_bytes())

    async def test_passes_the_self_test(self, tmp_path: Path) -> None:
        """Its self-test succeeds."""
        with no_links(tmp_path):
            await MaildirDelivery(tmp_path).self_test("DMS")
        assert [] == files(tmp_path)


class TestSelfTest:
    """The self-test does once what a delivery does, where readers do not see it."""

    @pytest.mark.parametrize(("per_system", "below"), [(False, ""), (True, "DMS")])
    async def test_leaves_an_empty_maildir(self, tmp_path: Path, *, per_system: bool, below: str) -> None:
        """The folders are created, and empty."""
        await MaildirDelivery(tmp_path / "m", per_system=per_system).self_test("DMS")
        place = tmp_path / "m" / below
        assert [place / room for room in ("cur", "new", "tmp")] == sorted(place.iterdir())
        assert [[], [], []] == [list((place / room).iterdir()) for room in ("cur", "new", "tmp")]

    async def test_two_file_systems(self, tmp_path: Path) -> None:
        """If tmp and new are on different disks nothing can be moved; the error explains what to change."""
        (tmp_path / "tmp").mkdir()
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            (tmp_path / "new").symlink_to(other)
            with pytest.raises(InputError) as caught:
                await MaildirDelivery(tmp_path).self_test("DMS")
        assert (
            f"Replies of DMS cannot be delivered to {tmp_path}: {tmp_path}/new: Invalid cross-device link. "
            "Its folders tmp and new must be on one file system."
        ) == str(caught.value)
        assert [] == files(tmp_path)

    async def test_no_folder(self) -> None:
        """A path where nothing can be created is a permanent error, for every user."""
        with pytest.raises(InputError) as caught:
            await MaildirDelivery("/proc/self/replies").self_test("DMS")
        message = "Replies of DMS cannot be delivered to /proc/self/replies: No such file or directory."
        assert [("delivery.maildir", message)] == [(one.code, one.message) for one in caught.value.problems]

    async def test_a_disk_that_is_full_for_now(self, tmp_path: Path) -> None:
        """An error that may pass is a delivery error, which is repeated; nothing is left behind."""
        with hanging_disk(tmp_path), pytest.raises(DeliveryError) as caught:
            await MaildirDelivery(tmp_path, timeout=0.05).self_test("DMS")
        await written()
        assert ("It took more than 0.05 s.", []) == (caught.value.why, files(tmp_path))


class TestSystems:
    """Each system may have a separate Maildir, and no name leads out of it."""

    async def test_each_its_own(self, tmp_path: Path, reply: Made) -> None:
        """AGS and DMS never share a folder."""
        deliver = MaildirDelivery(tmp_path, per_system=True)
        await deliver(reply())
        await deliver(reply(key=8, system="AGS"))
        assert ["AGS/new", "DMS/new"] == [str(Path(file).parent) for file in files(tmp_path)]

    @pytest.mark.parametrize(
        ("system", "folder"),
        [("..", "%2E%2E"), ("../a", "%2E%2E%2Fa"), ("/etc", "%2Fetc"), ("DMS 4", "DMS%204"), ("a\0é", "a%00%C3%A9")],
    )
    async def test_a_strange_name(self, tmp_path: Path, reply: Made, system: str, folder: str) -> None:
        """Characters other than letters, digits, hyphens and underscores are written as their octets."""
        await MaildirDelivery(tmp_path / "all", per_system=True)(reply(system=system))
        assert [f"all/{folder}/new"] == [str(Path(file).parent) for file in files(tmp_path)]

    async def test_what_a_peer_wrote_is_not_in_a_name(self, tmp_path: Path, reply: Made) -> None:
        """Party, reference, process ID and mailbox are not part of the path."""
        evil = "../../../../tmp/evil"
        place = tmp_path / "all"
        await MaildirDelivery(place)(reply(party=evil, reference=evil, process_id=evil, mailbox=evil))
        (file,) = files(tmp_path)
        assert file.startswith(f"all/new/{NAME}")


class TestFails:
    """A failed write is reported, and leaves no partial file."""

    @pytest.mark.parametrize("below", ["file", "file/replies"])
    async def test_no_folder(self, tmp_path: Path, reply: Made, below: str) -> None:
        """A file in the place of a folder is an error with the path and the reason."""
        (tmp_path / "file").touch()
        with pytest.raises(DeliveryError) as caught:
            await MaildirDelivery(tmp_path / below)(reply())
        assert (str(tmp_path / below), True) == (caught.value.target, caught.value.retryable)
        assert caught.value.why in {"File exists.", "Not a directory."}

    @pytest.mark.usefixtures("a_full_disk")
    async def test_no_room(self, tmp_path: Path, reply: Made) -> None:
        """A write that fails leaves no file in new or tmp, and no content of the reply in the error."""
        with pytest.raises(DeliveryError) as caught:
            await MaildirDelivery(tmp_path)(reply(raw=b"<MetaData>" * 20_000))
        assert ("File too large.", []) == (caught.value.why, files(tmp_path))
        assert "MetaData" not in f"{caught.value!r}{caught.value}"

    @pytest.mark.parametrize("path", [None, b"replies", "a\0b", 7])
    def test_not_a_path(self, path: object) -> None:
        """A wrong path is reported when the delivery is made."""
        with pytest.raises(InputError) as caught:
            MaildirDelivery(path)  # type: ignore[arg-type]
        assert ["delivery.maildir"] == [problem.code for problem in caught.value.problems]

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "60", None])
    def test_not_a_timeout(self, timeout: float) -> None:
        """A wrong timeout is reported together with a wrong path."""
        with pytest.raises(InputError) as caught:
            MaildirDelivery("a\0b", timeout=timeout)
        assert ["delivery.maildir", "delivery.timeout"] == [problem.code for problem in caught.value.problems]


# A process with a disk that hangs.
DEAD = """
import asyncio, os, sys, threading
from datetime import datetime, timezone
from types import SimpleNamespace
from htpoort.delivery import DeliveryError, MaildirDelivery

os.fsync = lambda number: threading.Event().wait()
reply = SimpleNamespace(key=7, system="DMS", received=datetime(2026, 1, 5, tzinfo=timezone.utc), raw=b"x")
try:
    asyncio.run(MaildirDelivery(sys.argv[1], timeout=0.05)(reply))
except DeliveryError as error:
    print(error.why)
"""


class TestHangs:
    """A disk that hangs fails the deliveries to its own Maildir, and affects nothing else."""

    async def test_is_reported(self, tmp_path: Path, reply: Made) -> None:
        """After its timeout a delivery has failed; the error has the Maildir and the time."""
        with hanging_disk(tmp_path), pytest.raises(DeliveryError) as caught:
            await MaildirDelivery(tmp_path, timeout=0.05)(reply())
        await written()
        assert (str(tmp_path), "It took more than 0.05 s.", True) == (
            caught.value.target,
            caught.value.why,
            caught.value.retryable,
        )

    async def test_one_that_is_late_is_recognised(self, tmp_path: Path, reply: Made) -> None:
        """What was written too late is recognised at the next delivery; what waited behind it is not begun."""
        deliver = MaildirDelivery(tmp_path)
        with hanging_disk(tmp_path) as hung:
            given = [asyncio.create_task(deliver(reply(key=key))) for key in (7, 8, 9, 10)]
            for _ in range(2):
                await asyncio.to_thread(hung.acquire)
            for task in given:
                task.cancel()
            await asyncio.wait(given)
        await written()
        late = files(tmp_path)
        for key in (7, 8):
            await deliver(reply(key=key))
        assert (2, late) == (len(late), files(tmp_path))

    async def test_takes_no_thread_of_others(self, tmp_path: Path, reply: Made) -> None:
        """Forty deliveries that hang use none of the loop's threads, and none of another Maildir's."""
        deliver = MaildirDelivery(tmp_path / "dead")
        async with asyncio.timeout(60):
            with hanging_disk(tmp_path / "dead"):
                hung = [asyncio.create_task(deliver(reply(key=key))) for key in range(40)]
                await MaildirDelivery(tmp_path / "good")(reply())
                assert 42 == await asyncio.to_thread(lambda: 42)
            await asyncio.gather(*hung)
        assert (1, 40) == (len(files(tmp_path / "good")), len(files(tmp_path / "dead")))

    async def test_delays_no_other_system(self, tmp_path: Path, reply: Made) -> None:
        """If each system has a folder, a disk of one that hangs does not delay another."""
        deliver = MaildirDelivery(tmp_path, per_system=True)
        async with asyncio.timeout(60):
            with hanging_disk(tmp_path / "AGS"):
                hung = [asyncio.create_task(deliver(reply(key=key, system="AGS"))) for key in range(40)]
                await deliver(reply(key=8))
            await asyncio.gather(*hung)
        assert (40, 1) == (len(files(tmp_path / "AGS")), len(files(tmp_path / "DMS")))

    async def test_does_not_hold_up_the_end(self, tmp_path: Path) -> None:
        """A process ends although one of its writes hangs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DEAD, tmp_path, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(60):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            raise
        assert (0, b"It took more than 0.05 s.\n") == (process.returncode, output)
