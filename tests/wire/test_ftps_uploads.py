"""An upload that fails is told apart: certainly not there, certainly there, or unknown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ftps_account import FILE, account, box, failure, outcome, upload
from ftps_box import Fault
from ftps_server import MANIFEST

from htpoort import InputError
from htpoort.transport import FtpsConnection, FtpsError, FtpsFailure, Presence, Uploaded

CONNECT, TLS, LOGIN, REFUSED = FtpsFailure.CONNECT, FtpsFailure.TLS, FtpsFailure.LOGIN, FtpsFailure.REFUSED
DEFERRED, NAME_USED, LOST, PROTOCOL = (
    FtpsFailure.DEFERRED,
    FtpsFailure.NAME_USED,
    FtpsFailure.LOST,
    FtpsFailure.PROTOCOL,
)
LIMIT, INCOMPLETE = FtpsFailure.LIMIT, FtpsFailure.INCOMPLETE
ABSENT, PRESENT, UNKNOWN = Presence.ABSENT, Presence.PRESENT, Presence.UNKNOWN

PATH = f"{MANIFEST}/m1"
NO, LATER, FULL = b"550 no\r\n", b"450 later\r\n", b"421 too many\r\n"
USED = b"550 FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION\r\n"


class TestBefore:
    """Up to the first octet, nothing of the file can be on the server."""

    @pytest.mark.parametrize(
        ("name", "fault", "expected"),
        [
            ("greeting", NO, (CONNECT, True, True)),
            ("greeting", LATER, (DEFERRED, True, True)),
            ("greeting", FULL, (DEFERRED, True, True)),
            ("greeting", "drop", (CONNECT, True, True)),
            ("greeting", "close", (CONNECT, True, True)),
            ("greeting", b"SSH-2.0-OpenSSH_9.2\r\n", (PROTOCOL, True, False)),
            ("AUTH", NO, (TLS, True, False)),
            ("AUTH", LATER, (TLS, True, False)),
            ("AUTH", "drop", (LOST, True, True)),
            ("AUTH", (b"234 go on\r\n", "close"), (LOST, True, True)),
            ("AUTH", b"234 go on\r\n230 welcome\r\n", (TLS, True, False)),
            ("USER", b"530 no\r\n", (LOGIN, True, False)),
            ("USER", FULL, (DEFERRED, True, True)),
            ("PASS", b"530 no\r\n", (LOGIN, True, False)),
            ("PASS", b"430 no\r\n", (LOGIN, True, True)),
            ("PASS", b"332 account\r\n", (LOGIN, True, False)),
            ("PASS", "drop", (LOST, True, True)),
            ("PBSZ", NO, (TLS, True, False)),
            ("PROT", b"536 no\r\n", (TLS, True, False)),
            ("PROT", "drop", (LOST, True, True)),
            ("FEAT", "drop", (LOST, True, True)),
            ("FEAT", FULL, (DEFERRED, True, True)),
            ("TYPE", NO, (PROTOCOL, True, False)),
            ("TYPE", b"hello\r\n", (PROTOCOL, True, False)),
            ("CWD", NO, (REFUSED, False, False)),
            ("CWD", LATER, (DEFERRED, False, True)),
            ("CWD", b"530 log in\r\n", (LOGIN, True, False)),
            ("CWD", FULL, (DEFERRED, True, True)),
            ("CWD", "drop", (LOST, False, True)),
            ("CWD", "close", (LOST, False, True)),
            ("EPSV", LATER, (DEFERRED, False, True)),
            ("EPSV", b"229 go on (|||0|)\r\n", (PROTOCOL, False, False)),
            ("EPSV", b"229 go on (|||65536|)\r\n", (PROTOCOL, False, False)),
            ("EPSV", b"229 go on\r\n", (PROTOCOL, False, False)),
            ("EPSV", "drop", (LOST, False, True)),
            ("STOR", NO, (REFUSED, False, False)),
            ("STOR", LATER, (DEFERRED, False, True)),
            ("STOR", b"425 no data\r\n", (DEFERRED, True, True)),
            ("STOR", b"530 log in\r\n", (LOGIN, True, False)),
            ("STOR", FULL, (DEFERRED, True, True)),
            ("STOR", USED, (NAME_USED, False, False)),
            ("STOR", b"226 taken\r\n", (PROTOCOL, False, False)),
            ("STOR", "drop", (LOST, False, True)),
            ("STOR", "close", (LOST, False, True)),
            ("data", "drop", (LOST, True, True)),
            ("data", "plain", (TLS, True, False)),
        ],
    )
    async def test_nothing_is_there(
        self, authority: SimpleNamespace, name: str, fault: Fault, expected: tuple[FtpsFailure, bool, bool]
    ) -> None:
        """What fails before the content is absent, whatever failed; each has its meaning, and no octet was sent."""
        with box(authority, **{name: fault}) as server:
            connection = FtpsConnection(account(server.port, authority))
            async with connection:
                with pytest.raises(FtpsError) as caught:
                    await upload(connection)
        kind, of_server, retryable = expected
        assert (kind, ABSENT, of_server, retryable) == outcome(caught.value)
        assert ({}, [], False) == (server.files, server.ended, connection.content_begun)

    async def test_a_checkpoint_that_refuses(self, authority: SimpleNamespace) -> None:
        """The checkpoint runs once, when all is ready for STOR; what it raises passes through, and nothing was sent."""
        commands: list[list[str]] = []
        lost = "the lease is lost"

        with box(authority) as server:

            async def refuse() -> None:
                commands.append(server.commands[-2:])
                raise OSError(lost)

            async with FtpsConnection(account(server.port, authority)) as connection:
                with pytest.raises(OSError, match="the lease is lost"):
                    await upload(connection, checkpoint=refuse)
                assert not connection.content_begun
        assert [[f"CWD {MANIFEST}", "EPSV"]] == commands
        assert "STOR m1" not in server.commands

    async def test_no_port_for_data(self, authority: SimpleNamespace) -> None:
        """A port for data that refuses, as behind a firewall, is trouble of the server, and the error names it."""
        with box(authority, EPSV=b"229 go on (|||1|)\r\n") as server:
            error = await failure(account(server.port, authority))
        assert (CONNECT, ABSENT, True, True) == outcome(error)
        assert "no connection for data to port 1: Connection refused" == error.reply

    async def test_a_session_that_is_demanded_and_missing(self, authority: SimpleNamespace) -> None:
        """522 for a session that was not reused is trouble of the server, and nothing is there."""
        with box(authority, STOR=b"522 session reuse required\r\n") as server:
            error = await failure(account(server.port, authority))
        assert (DEFERRED, ABSENT, True, True) == outcome(error)

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ({"name": "m1\r\nDELE m2"}, "ftps.name"),
            ({"name": "m1\nDELE m2"}, "ftps.name"),
            ({"name": "m1\0"}, "ftps.name"),
            ({"name": "../m1"}, "ftps.name"),
            ({"name": ".."}, "ftps.name"),
            ({"name": ""}, "ftps.name"),
            ({"name": " m1"}, "ftps.name"),
            ({"name": "a\\m1"}, "ftps.name"),
            ({"name": "m\x85"}, "ftps.name"),
            ({"name": "m\udc80"}, "ftps.name"),
            ({"name": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 128}, "ftps.name"),
            ({"folder": "/out\r\nDELE m2"}, "ftps.folder"),
            ({"folder": "out"}, "ftps.folder"),
            ({"folder": ""}, "ftps.folder"),
            ({"folder": "/out/"}, "ftps.folder"),
            ({"folder": "/../out"}, "ftps.folder"),
            ({"octets": b""}, "ftps.content"),
        ],
    )
    async def test_what_no_gateway_can_take(
        self, authority: SimpleNamespace, arguments: dict[str, Any], code: str
    ) -> None:
        """A name, a folder or a content that a server would see differently is refused before it is connected to."""
        with box(authority) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                with pytest.raises(InputError) as caught:
                    await connection.upload(**({"folder": MANIFEST, "name": "m1", "octets": FILE} | arguments))
        assert [code] == [problem.code for problem in caught.value.problems]
        assert 0 == server.connections


class TestAfter:
    """After the first octet, the server is asked, over a new connection if the old one broke."""

    @pytest.mark.parametrize(
        ("faults", "kind"),
        [
            ({"STOR_end": "drop"}, LOST),
            ({"STOR_end": "close"}, LOST),
            ({"STOR_end": LATER}, DEFERRED),
            ({"STOR_end": b"426 broken\r\n"}, DEFERRED),
            ({"STOR_end": NO}, REFUSED),
            ({"STOR_end": b"150 again\r\n"}, PROTOCOL),
            ({"STOR_end": b"hello\r\n"}, PROTOCOL),
            ({"STOR_end": FULL}, DEFERRED),
        ],
    )
    async def test_all_of_it_is_there(
        self, authority: SimpleNamespace, faults: dict[str, Fault], kind: FtpsFailure
    ) -> None:
        """A file that is there with all its octets is present, whatever the last answer was or was not."""
        with box(authority, **faults) as server:
            error = await failure(account(server.port, authority))
        assert (kind, PRESENT, False) == (error.kind, error.presence, error.retryable)
        assert {PATH: FILE} == server.files

    @pytest.mark.parametrize(
        ("size", "listed", "presence"),
        [
            (b"213 3\r\n", "usual", UNKNOWN),
            (b"213 8\r\n", "usual", PRESENT),
            (b"550 no such file\r\n", b"type=file;size=8; m1\r\n", PRESENT),
            (b"550 no such file\r\n", b"type=file;size=3; m1\r\n", UNKNOWN),
            (b"550 no such file\r\n", b"type=file; m1\r\n", UNKNOWN),
            (b"550 no such file\r\n", b"type=file;size=8; m2\r\n", UNKNOWN),
            (b"213 eight\r\n", b"", UNKNOWN),
            (b"421 too many\r\n", "usual", UNKNOWN),
            ("drop", "usual", UNKNOWN),
        ],
    )
    async def test_what_the_server_lists(
        self, authority: SimpleNamespace, size: Fault, listed: Fault, presence: Presence
    ) -> None:
        """After a lost connection, the right size is presence, and all else is unknown: a gateway takes files away."""
        with box(authority, STOR_end="drop", SIZE=size, data=["usual", listed]) as server:
            error = await failure(account(server.port, authority))
        assert (LOST, presence, False, False) == outcome(error)

    async def test_lost_in_the_middle(self, authority: SimpleNamespace) -> None:
        """A connection for data that breaks in the middle leaves a part there: unknown."""
        with box(authority, data="half", STOR_end="drop") as server:
            error = await failure(
                account(server.port, authority), lambda connection: upload(connection, octets=b"x" * 4_000_000)
            )
        assert (LOST, UNKNOWN, False, False) == outcome(error)

    async def test_the_reason_of_the_server(self, authority: SimpleNamespace) -> None:
        """If the connection for data breaks, the answer says why, and it is the error."""
        with box(authority, data="half", STOR_end=b"452 disk full\r\n") as server:
            error = await failure(
                account(server.port, authority), lambda connection: upload(connection, octets=b"x" * 4_000_000)
            )
        assert (DEFERRED, 452, "disk full", UNKNOWN) == (error.kind, error.code, error.reply, error.presence)

    async def test_a_data_connection_that_breaks_is_no_success(self, authority: SimpleNamespace) -> None:
        """A 226 after a broken connection for data is no acceptance."""
        with box(authority, data="half") as server:
            error = await failure(
                account(server.port, authority), lambda connection: upload(connection, octets=b"x" * 4_000_000)
            )
        assert (LOST, UNKNOWN, False, False) == outcome(error)

    async def test_refused_for_good_and_not_listed(self, authority: SimpleNamespace) -> None:
        """A file that the server refuses for good and does not list is absent: the server itself says so twice."""
        with box(authority, STOR_end=b"552 quota\r\n", SIZE=NO, data=["usual", b""]) as server:
            error = await failure(account(server.port, authority))
        assert (REFUSED, ABSENT, False, False) == outcome(error)

    async def test_deferred_and_not_listed(self, authority: SimpleNamespace) -> None:
        """A file that the server refuses for now and does not list may have been taken away: unknown."""
        with box(authority, STOR_end=LATER, SIZE=NO, data=["usual", b""]) as server:
            error = await failure(account(server.port, authority))
        assert (DEFERRED, UNKNOWN, False, False) == outcome(error)

    @pytest.mark.parametrize("code", [b"550", b"553", b"450"])
    async def test_a_name_that_was_used(self, authority: SimpleNamespace, code: bytes) -> None:
        """A gateway may look at the name only at the end: nothing of this attempt is there, and nothing is asked."""
        answer = code + b" FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION m1\r\n"
        with box(authority, STOR_end=answer) as server:
            error = await failure(account(server.port, authority))
        assert (NAME_USED, ABSENT, False, False) == outcome(error)
        assert 1 == server.connections

    @pytest.mark.parametrize("begun", [True, False])
    async def test_whether_content_was_begun(self, authority: SimpleNamespace, *, begun: bool) -> None:
        """The attribute tells, also after a task was cancelled, whether octets may have left; each upload resets it."""
        with box(authority, STOR=["usual", NO]) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                await upload(connection)
                assert connection.content_begun
                if not begun:
                    with pytest.raises(FtpsError):
                        await upload(connection, name="m2")
                assert begun == connection.content_begun


class TestAccepted:
    """A 226, and what the server lists then."""

    @pytest.mark.parametrize(
        ("size", "expected"),
        [("usual", 8), (NO, None), (b"500 no command\r\n", None), (LATER, None), ("drop", None), (FULL, None)],
    )
    async def test_with_and_without_a_size(self, authority: SimpleNamespace, size: Fault, expected: int | None) -> None:
        """The right size is given; without one, or if the connection is lost by then, the 226 stands."""
        with box(authority, SIZE=size, data=["usual", b""]) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                uploaded = await upload(connection)
        assert Uploaded(code=226, reply="taken", size=expected) == uploaded

    @pytest.mark.parametrize("size", [b"213 7\r\n", b"213 9\r\n", b"213 0\r\n"])
    async def test_another_size(self, authority: SimpleNamespace, size: bytes) -> None:
        """Another size than was sent is unknown, and the error has both numbers."""
        with box(authority, SIZE=size) as server:
            error = await failure(account(server.port, authority))
        assert (INCOMPLETE, UNKNOWN, False, False) == outcome(error)
        assert f"the server has {size.decode().split()[1]} octets of m1, and 8 were sent" == error.reply

    async def test_the_size_of_a_list(self, authority: SimpleNamespace) -> None:
        """A server without SIZE is asked for the list."""
        features = b"211-Features:\r\n MLSD\r\n211 End\r\n"
        with box(authority, FEAT=features, SIZE=b"500 no\r\n", data=["usual", b"type=file;size=7; m1\r\n"]) as server:
            error = await failure(account(server.port, authority))
        assert (INCOMPLETE, UNKNOWN, False, False) == outcome(error)

    async def test_many_lines(self, authority: SimpleNamespace) -> None:
        """An answer of several lines is one reply on one line, and the next command has its own."""
        many = b"226-taken\r\n 226 files so far\r\n226-\r\n2265 is a number\r\n226 4711\r\n"
        with box(authority, STOR_end=many) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                first, second = await upload(connection), await upload(connection, name="m2")
        assert ("taken 226 files so far 2265 is a number 4711", 8) == (first.reply, second.size)

    async def test_the_end_is_announced(self, authority: SimpleNamespace) -> None:
        """Each upload ends with the end of TLS, without which a server may take it for cut short."""
        with box(authority) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                await upload(connection)
                await upload(connection, name="m2", octets=b"y" * 3_000_000)
        assert ([True, True], [True, True]) == (server.ended, server.reused)
        assert {PATH: FILE, f"{MANIFEST}/m2": b"y" * 3_000_000} == server.files

    async def test_a_fresh_connection_for_an_old_one(self, authority: SimpleNamespace) -> None:
        """A connection that the server closed while it was idle is replaced, and nothing is repeated."""
        with box(authority, NOOP=[b"421 idle\r\n", "drop", "close", "usual"]) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                for number in range(5):
                    await upload(connection, name=f"m{number}")
        assert (4, 5) == (server.connections, len(server.files))
        assert 5 == len([command for command in server.commands if command.startswith("STOR")])

    async def test_a_refusal_keeps_the_connection(self, authority: SimpleNamespace) -> None:
        """After a refusal the next file goes over the same connection."""
        with box(authority, STOR=[NO, "usual"]) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                with pytest.raises(FtpsError):
                    await upload(connection)
                await upload(connection, name="m2")
        assert 1 == server.connections
