"""Nothing that a peer sends becomes a path, and nothing is written outside the folder."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from htpoort import DeclarationSystem, Quarantined, Reason, Routed, Router
from htpoort.delivery import CommandDelivery, MaildirDelivery
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Gateway

Made = Callable[..., Reply]
PARTY = "NL123456789.02.05"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PATHS = [
    *("../outside", "../../outside", "/srv/outside", "..", ".", "a/../../outside", "new/../../../outside", "outside/"),
    *("..\\outside", "C:\\outside", "~/outside", "$HOME/outside", "outside\x00", "-rf", "%2e%2e%2foutside"),
]


def tree(folder: Path) -> set[str]:
    """List everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def message(k: str = "1", *, v: str = "DMS4.NL", a: str = PARTY, head: str = "") -> bytes:
    """Write a reply of DMS."""
    return f"{head}From: dms@htpoort.nl\r\nSubject: [V={v}][A={a}][K={k}][S=0]\r\n\r\n<Response/>\r\n".encode()


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """Make a folder three levels down, so that a path out of it would be noticed."""
    folder = tmp_path / "a" / "b" / "inside"
    folder.mkdir(parents=True)
    return folder


class TestRouted:
    """No reply that reaches a delivery has a path as K."""

    @pytest.mark.parametrize("path", [path for path in PATHS if "\x00" not in path])
    def test_a_path_for_k(self, inside: Path, path: str) -> None:
        """A reply with a path as K stays in quarantine, and no process gets it."""
        with Ledger.open(f"sqlite:///{inside / 'htpoort.db'}") as ledger:
            stored = ledger.replies.take_in(Router(parties=[PARTY]), message(path), mail_from=None, at=NOON)

            assert isinstance(stored.routing, Quarantined)
            assert Reason.BAD_ENVELOPE is stored.routing.reason
            assert (message(path), []) == (ledger.quarantine.message(stored.key), list(ledger.replies.listed()))
        assert {"a", "a/b", "a/b/inside"} == {name for name in tree(inside.parents[2]) if "htpoort.db" not in name}

    @pytest.mark.parametrize("path", PATHS)
    async def test_a_path_anywhere_else(self, inside: Path, path: str) -> None:
        """Headers that are paths change nothing: the file is named after time, key and content."""
        head = f"Message-ID: <{path}@x>\r\nX-File: {path}\r\nContent-Disposition: attachment; filename={path!r}\r\n"
        raw = message(head=head.replace("\x00", ""))
        with Ledger.open(f"sqlite:///{inside.parent / 'htpoort.db'}") as ledger:
            stored = ledger.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=NOON)
            (reply,) = ledger.replies.listed()
            await MaildirDelivery(inside)(reply)

        assert isinstance(stored.routing, Routed)
        assert [raw] == list(contents(inside).values())
        assert {"tmp", "new", "cur"} < tree(inside)
        assert {"a", "a/b"} == {name for name in tree(inside.parents[2]) if "inside" not in name and ".db" not in name}


class TestMaildir:
    """Whatever a reply contains, its file is in the Maildir."""

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("field", ["mailbox", "process_id", "party", "reference", "correlation"])
    async def test_a_path_for_a_fact(self, inside: Path, reply: Made, field: str, path: str) -> None:
        """No fact of a reply is part of the file name."""
        await MaildirDelivery(inside, per_system=True)(reply(**{field: path}))
        await MaildirDelivery(inside.parent / "other", per_system=True)(reply())

        plain = {name.removeprefix("other/") for name in tree(inside.parent) if name.startswith("other/")}
        assert plain == tree(inside)
        assert {"a", "a/b"} == {
            name for name in tree(inside.parents[2]) if "inside" not in name and "other" not in name
        }

    @pytest.mark.parametrize("path", PATHS)
    async def test_a_path_for_a_system(self, inside: Path, reply: Made, path: str) -> None:
        """A system with any name has its own folder below the Maildir and nowhere else."""
        await MaildirDelivery(inside, per_system=True)(reply(system=path))

        (folder,) = {name.partition("/")[0] for name in tree(inside)}
        assert {"tmp", "new", "cur"} < tree(inside / folder)
        assert {"a", "a/b"} == {name for name in tree(inside.parents[2]) if "inside" not in name}

    @pytest.mark.parametrize("name", ["../x", "..", "/x", "a/b", "a\\b", ".x", ""])
    def test_the_name_of_a_system_is_not_a_path(self, name: str) -> None:
        """The name of a system cannot be a path either."""
        with pytest.raises(ValueError, match="name is"):
            DeclarationSystem(name=name, mailbox="x@customs.example", process_id="X.NL")


class TestCommand:
    """The facts of a reply are in the environment of a command, never in its arguments or its folder."""

    @pytest.mark.parametrize("path", [path for path in PATHS if "\x00" not in path])
    async def test_a_path_for_k(self, inside: Path, reply: Made, path: str) -> None:
        """The arguments stay as configured, and the command starts in the agent's working folder."""
        shell = shutil.which("sh")
        assert shell is not None
        script = 'printf "%s|" "$#" "$@" "$HTPOORT_REFERENCE" > "$1/seen"; pwd >> "$1/seen"'
        await CommandDelivery((shell, "-c", script, "sh", str(inside)))(reply(reference=path))

        assert f"1|{inside}|{path}|{Path.cwd()}\n" == (inside / "seen").read_text()
        assert {"a", "a/b", "a/b/inside", "a/b/inside/seen"} == tree(inside.parents[2])


class TestRecord:
    """The record of the simulator stays in its folder, whatever K is."""

    @pytest.mark.parametrize("path", [path for path in PATHS if "\x00" not in path])
    async def test_a_path_for_k(self, inside: Path, path: str) -> None:
        """A declaration with a path as K becomes a file in the folder, and nothing outside it."""
        declaration = message(path, v=PARTY, a="DMS4.NL").replace(b"dms@htpoort.nl", b"edi@forwarder.example")

        def sent(port: int) -> None:
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.sendmail("edi@forwarder.example", ["dms@htpoort.nl"], declaration)

        async with Gateway(record=inside) as gateway:
            await asyncio.to_thread(sent, gateway.smtp_port)

        ((name, raw),) = contents(inside).items()
        assert ("000001-in-", 0, declaration) == (name[:10], name.count("/"), raw)
        assert {"a", "a/b"} == {name for name in tree(inside.parents[2]) if "inside" not in name}
