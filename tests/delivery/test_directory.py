"""Delivery to a folder: a file for each reply appears once and complete, or not at all, and never elsewhere."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from disk import hanging_disk, no_links
from hypothesis import HealthCheck, given, settings, strategies as st

from htpoort import InputError
from htpoort.delivery import DeliveryError, DirectoryDelivery
from htpoort.ledger import Reply

Made = Callable[..., Reply]

HEAD = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]\r\n"
XML = b'<?xml version="1.0"?>\n<MetaData/>'
ENCODED = HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(XML)
TWO_PARTS = (
    HEAD
    + b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
    + b"--x\r\nContent-Type: application/xml\r\n\r\n<a/>\r\n"
    + b"--x\r\nContent-Type: application/xml\r\n\r\n<b/>\r\n--x--\r\n"
)
BROKEN = HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nPE1l!!!!"

VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ONLY = "only {system} and {party} can be filled in."


def files(path: Path) -> list[str]:
    """List all files below a folder."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


class TestPut:
    """A reply becomes a file whose name a program can use."""

    @pytest.mark.parametrize("as_text", [False, True])
    async def test_the_whole_message(self, tmp_path: Path, reply: Made, *, as_text: bool) -> None:
        """Without more, the file is the message, octet for octet; K and key are its name."""
        place = tmp_path / "a" / "replies"
        await DirectoryDelivery(str(place) if as_text else place)(reply())
        assert ["22096222734662-7.eml"] == files(place)
        assert reply().raw == (place / "22096222734662-7.eml").read_bytes()

    async def test_the_payload(self, tmp_path: Path, reply: Made) -> None:
        """With ``payload`` the file is what the message carries, decoded, with its ending."""
        await DirectoryDelivery(tmp_path, payload=True)(reply(raw=ENCODED))
        assert ["22096222734662-7.xml"] == files(tmp_path)
        assert XML == (tmp_path / "22096222734662-7.xml").read_bytes()

    @pytest.mark.parametrize(
        ("raw", "codes"), [(TWO_PARTS, "payload.several"), (BROKEN, "payload.base64")], ids=["several", "broken"]
    )
    async def test_no_payload_for_sure(
        self, tmp_path: Path, reply: Made, caplog: pytest.LogCaptureFixture, raw: bytes, codes: str
    ) -> None:
        """A payload is never chosen or guessed: then the whole message is written, and the log has the reason."""
        await DirectoryDelivery(tmp_path, payload=True)(reply(raw=raw))
        assert ["22096222734662-7.eml"] == files(tmp_path)
        assert raw == (tmp_path / "22096222734662-7.eml").read_bytes()
        named = "reply 7 of DMS for NL123456789.02.05 under 22096222734662"
        assert [
            f"The payload of {named} cannot be taken out for sure ({codes}); its whole message is delivered."
        ] == caplog.messages

    async def test_a_folder_for_each(self, tmp_path: Path, reply: Made) -> None:
        """Placeholders sort replies by system and party; doubled braces are braces."""
        deliver = DirectoryDelivery(tmp_path / "{{in}}" / "{system}" / "of {party}")
        await deliver(reply())
        await deliver(reply(key=8, system="AGS", party="NL987654321"))
        assert [
            "{in}/AGS/of NL987654321/22096222734662-8.eml",
            "{in}/DMS/of NL123456789.02.05/22096222734662-7.eml",
        ] == files(tmp_path)

    @pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
    async def test_for_its_owner_alone(self, tmp_path: Path, reply: Made, umask: int) -> None:
        """Folders have mode 0700 and files 0600, whatever the umask: declarations are confidential."""
        before = os.umask(umask)
        try:
            await DirectoryDelivery(tmp_path / "{system}" / "{party}")(reply())
        finally:
            os.umask(before)
        file = tmp_path / "DMS" / "NL123456789.02.05" / "22096222734662-7.eml"
        modes = [path.stat().st_mode & 0o777 for path in (file.parent.parent, file.parent, file)]
        assert [0o700, 0o700, 0o600] == modes


class TestRepeated:
    """The same reply may come again, at every moment, and makes no second file."""

    @pytest.mark.parametrize("attempts", [1, 2])
    async def test_one_after_another(self, tmp_path: Path, reply: Made, attempts: int) -> None:
        """A reply that was written before is recognised."""
        deliver = DirectoryDelivery(tmp_path)
        await deliver(reply())
        await deliver(reply(attempts=attempts))
        assert ["22096222734662-7.eml"] == files(tmp_path)

    async def test_at_the_same_time(self, tmp_path: Path, reply: Made, request: pytest.FixtureRequest) -> None:
        """Many deliveries of one reply at the same time make one file, wherever one interrupts another."""
        request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
        sys.setswitchinterval(1e-6)  # threads change after nearly every step
        for name in map(str, range(50)):
            delivers = [DirectoryDelivery(tmp_path / name) for _ in range(4)]
            await asyncio.gather(*(deliver(reply()) for deliver in delivers for _ in range(5)))
            assert ["22096222734662-7.eml"] == files(tmp_path / name)

    async def test_beside_another_file(self, tmp_path: Path, reply: Made) -> None:
        """A file of that name with other content is left alone; the reply is written beside it, once."""
        (tmp_path / "22096222734662-7.eml").write_bytes(b"other")
        deliver = DirectoryDelivery(tmp_path)
        for _ in range(2):
            await deliver(reply())
        assert ["22096222734662-7.1.eml", "22096222734662-7.eml"] == files(tmp_path)
        assert b"other" == (tmp_path / "22096222734662-7.eml").read_bytes()

    async def test_after_it_was_removed(self, tmp_path: Path, reply: Made) -> None:
        """At least once: a program that has removed the file finds it again, with the same name."""
        deliver = DirectoryDelivery(tmp_path)
        await deliver(reply())
        (tmp_path / "22096222734662-7.eml").unlink()
        await deliver(reply())
        assert ["22096222734662-7.eml"] == files(tmp_path)

    async def test_what_a_crash_left(self, tmp_path: Path, reply: Made) -> None:
        """A hidden file that a crash left is neither mistaken for the reply nor in its way."""
        (tmp_path / ".htpoort-22096222734662-7.eml.abc").write_bytes(reply().raw)
        await DirectoryDelivery(tmp_path)(reply())
        assert [".htpoort-22096222734662-7.eml.abc", "22096222734662-7.eml"] == files(tmp_path)

    async def test_without_links(self, tmp_path: Path, reply: Made) -> None:
        """A file system without hard links, such as many network shares, works too."""
        deliver = DirectoryDelivery(tmp_path)
        with no_links(tmp_path):
            await deliver.self_test("DMS")
            await asyncio.gather(*(deliver(reply(key=key)) for key in (7, 7, 8)))
        assert ["22096222734662-7.eml", "22096222734662-8.eml"] == files(tmp_path)

    async def test_a_folder_that_disappears(self, tmp_path: Path, reply: Made) -> None:
        """A folder that someone has removed or renamed is created again for the next reply; the first is not lost."""
        deliver = DirectoryDelivery(tmp_path / "replies")
        await deliver(reply())
        (tmp_path / "replies").rename(tmp_path / "old")
        await deliver(reply(key=8))
        assert ["old/22096222734662-7.eml", "replies/22096222734662-8.eml"] == files(tmp_path)


class TestNames:
    """Nothing that a peer or a configuration names leads out of the folder, hides a file or hits another one."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("..", "%2E."),
            ("../..", "%2E.%2F.."),
            ("/etc", "%2Fetc"),
            (".hidden", "%2Ehidden"),
            ("a\nb", "a%0Ab"),
            ("a\0é", "a%00%C3%A9"),
            ("a%2Fb", "a%252Fb"),
        ],
    )
    async def test_a_strange_value(self, tmp_path: Path, reply: Made, value: str, expected: str) -> None:
        """Other characters than letters, digits, dots, hyphens and underscores are written as their octets."""
        await DirectoryDelivery(tmp_path / "all" / "{system}" / "{party}")(
            reply(system=value, party=value, reference=value)
        )
        assert [f"all/{expected}/{expected}/{expected}-7.eml"] == files(tmp_path)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(system=VALUES, party=VALUES, reference=VALUES)
    def test_any_value(self, reply: Made, system: str, party: str, reference: str) -> None:
        """Whatever the values are, the only file is three levels below the folder, and not hidden."""
        with tempfile.TemporaryDirectory() as name:
            deliver = DirectoryDelivery(f"{name}/{{system}}/{{party}}")
            asyncio.run(deliver(reply(system=system, party=party, reference=reference)))
            (file,) = files(Path(name))
            parts = Path(file).parts
            assert (3, False) == (len(parts), any(part.startswith(".") for part in parts))


class TestSelfTest:
    """The self-test does once what a delivery does, where programs do not see it."""

    @pytest.mark.parametrize(
        ("path", "folders"),
        [("in", ["in"]), ("in/{system}/{party}/a", ["in", "in/DMS"]), ("in/{party}", ["in"])],
    )
    async def test_leaves_an_empty_folder(self, tmp_path: Path, path: str, folders: list[str]) -> None:
        """Folders up to that of the first party are created, and empty."""
        await DirectoryDelivery(tmp_path / path).self_test("DMS")
        found = [
            f"{Path(folder, name).relative_to(tmp_path)}" for folder, names, _ in os.walk(tmp_path) for name in names
        ]
        assert folders == sorted(found)
        assert [] == files(tmp_path)

    async def test_no_folder(self) -> None:
        """A path where nothing can be created is a permanent error, for every user."""
        with pytest.raises(InputError) as caught:
            await DirectoryDelivery("/proc/self/replies/{party}").self_test("DMS")
        message = "Replies of DMS cannot be delivered to /proc/self/replies: No such file or directory."
        assert [("delivery.directory", message)] == [(found.code, found.message) for found in caught.value.problems]

    async def test_a_disk_that_hangs(self, tmp_path: Path) -> None:
        """An error that may pass is a delivery error, which is repeated."""
        with hanging_disk(tmp_path), pytest.raises(DeliveryError) as caught:
            await DirectoryDelivery(tmp_path, timeout=0.05).self_test("DMS")
        assert "It took more than 0.05 s." == caught.value.why


class TestFails:
    """A failed write is reported, and leaves no partial file."""

    @pytest.mark.usefixtures("a_full_disk")
    async def test_no_room(self, tmp_path: Path, reply: Made) -> None:
        """A write that fails leaves no file, and no content of the reply in the error."""
        with pytest.raises(DeliveryError) as caught:
            await DirectoryDelivery(tmp_path)(reply(raw=b"<MetaData>" * 20_000))
        assert ("File too large.", []) == (caught.value.why, files(tmp_path))
        assert "MetaData" not in f"{caught.value!r}{caught.value}"

    async def test_a_file_in_the_place_of_the_folder(self, tmp_path: Path, reply: Made) -> None:
        """The error has the folder and the reason."""
        (tmp_path / "file").touch()
        with pytest.raises(DeliveryError) as caught:
            await DirectoryDelivery(tmp_path / "file")(reply())
        assert (str(tmp_path / "file"), "File exists.") == (caught.value.target, caught.value.why)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            (None, "path is None; give the path of a folder."),
            ("", "path is ''; give the path of a folder."),
            ("a\0b", "path is 'a\\x00b'; give the path of a folder."),
            ("in/{K}", "path has the placeholder {K}; " + ONLY),
            ("in/{}", "path has the placeholder {}; " + ONLY),
            (
                "in/{party.__class__}",
                "path has the placeholder {party.__class__}; only {system} and {party} can be filled in.",
            ),
            ("in/{party!r}", "path has the placeholder {party}; " + ONLY),
            ("in/{party", "path is 'in/{party', with a brace alone; write {{ for a brace, or {system} and {party}."),
            ("in}/a", "path is 'in}/a', with a brace alone; write {{ for a brace, or {system} and {party}."),
        ],
    )
    def test_not_a_path(self, path: object, message: str) -> None:
        """A wrong path or placeholder is reported when the delivery is made, not when the first reply comes."""
        with pytest.raises(InputError) as caught:
            DirectoryDelivery(path)  # type: ignore[arg-type]
        assert [("delivery.directory", message)] == [(found.code, found.message) for found in caught.value.problems]

    def test_every_argument_at_once(self) -> None:
        """All wrong arguments are reported together."""
        with pytest.raises(InputError) as caught:
            DirectoryDelivery("{K}", payload="yes", timeout=0)  # type: ignore[arg-type]
        assert ["delivery.directory", "delivery.directory", "delivery.timeout"] == [
            found.code for found in caught.value.problems
        ]


async def test_a_disk_that_hangs_is_reported(tmp_path: Path, reply: Made) -> None:
    """After its timeout a delivery has failed, and one of another folder has not been delayed."""
    deliver = DirectoryDelivery(tmp_path / "{system}", timeout=0.5)
    with hanging_disk(tmp_path / "AGS"):
        late = asyncio.create_task(deliver(reply(system="AGS")))
        await deliver(reply(key=8))
        assert ["22096222734662-8.eml"] == files(tmp_path / "DMS")
        with pytest.raises(DeliveryError) as caught:
            await late
    assert (str(tmp_path / "AGS"), "It took more than 0.5 s.") == (caught.value.target, caught.value.why)
