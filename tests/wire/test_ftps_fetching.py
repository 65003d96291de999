"""Listing, fetching and deleting files: all of a file or an error, and no name from outside is followed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ftps_account import FILE, account, box, failure, outcome
from ftps_box import Fault
from ftps_server import OUT

from htpoort import InputError
from htpoort.transport import (
    FtpsAccount,
    FtpsConnection,
    FtpsError,
    FtpsFailure,
    Presence,
    RemoteFile,
    RemoteListing,
)

CONNECT, TLS, LOGIN, REFUSED = FtpsFailure.CONNECT, FtpsFailure.TLS, FtpsFailure.LOGIN, FtpsFailure.REFUSED
DEFERRED, LOST, PROTOCOL = FtpsFailure.DEFERRED, FtpsFailure.LOST, FtpsFailure.PROTOCOL
LIMIT, INCOMPLETE = FtpsFailure.LIMIT, FtpsFailure.INCOMPLETE

PATH = f"{OUT}/r1"
NO, LATER, FULL = b"550 no\r\n", b"450 later\r\n", b"421 too many\r\n"
PLAIN_FEATURES = b"211-Features:\r\n SIZE\r\n211 End\r\n"


async def fetch(connection: FtpsConnection) -> bytes:
    """Fetch the one file."""
    return await connection.fetch(OUT, "r1")


async def listed(connection: FtpsConnection) -> RemoteListing:
    """List the folder."""
    return await connection.listed(OUT)


async def done(to: FtpsAccount, operation: Any) -> Any:
    """Do something over a new connection."""
    async with FtpsConnection(to) as connection:
        return await operation(connection)


class TestFetch:
    """A file is whole, or it is an error."""

    @pytest.mark.parametrize("data", ["usual", "ragged"])
    async def test_whole_by_its_size(self, authority: SimpleNamespace, data: str) -> None:
        """A file of the size that the server lists is whole, whether or not the server ends TLS, as some never do."""
        with box(authority, {PATH: FILE}, data=data) as server:
            assert FILE == await done(account(server.port, authority), fetch)

    async def test_whole_by_the_end_of_tls(self, authority: SimpleNamespace) -> None:
        """Without a size, the end of TLS shows that a file is whole."""
        with box(authority, {PATH: FILE}, SIZE=b"500 no command\r\n") as server:
            assert FILE == await done(account(server.port, authority), fetch)

    async def test_an_empty_file(self, authority: SimpleNamespace) -> None:
        """A file without content is one."""
        with box(authority, {PATH: b""}) as server:
            assert b"" == await done(account(server.port, authority), fetch)

    @pytest.mark.parametrize(
        ("faults", "kind"),
        [
            # Whoever can cut a connection can make it end early; only the size or TLS shows that.
            ({"data": "cut"}, INCOMPLETE),
            ({"data": "short"}, INCOMPLETE),
            ({"data": "ragged", "SIZE": b"500 no\r\n"}, LOST),
            ({"data": "cut", "SIZE": b"500 no\r\n"}, LOST),
            ({"data": "drop"}, LOST),
            ({"data": "plain"}, TLS),
            ({"data": b"<IE547/><!-- grown -->"}, INCOMPLETE),
            ({"RETR": NO}, REFUSED),
            ({"RETR": LATER}, DEFERRED),
            ({"RETR": b"425 no data\r\n"}, DEFERRED),
            ({"RETR": FULL}, DEFERRED),
            ({"RETR": b"530 log in\r\n"}, LOGIN),
            ({"RETR": "drop"}, LOST),
            ({"RETR_end": b"426 broken\r\n"}, DEFERRED),
            ({"RETR_end": NO}, REFUSED),
            ({"RETR_end": "drop"}, LOST),
            ({"RETR_end": "close"}, LOST),
            ({"RETR_end": b"hello\r\n"}, PROTOCOL),
            ({"SIZE": "drop"}, LOST),
            ({"SIZE": FULL}, DEFERRED),
            ({"EPSV": "drop"}, LOST),
        ],
    )
    async def test_what_is_not_whole(
        self, authority: SimpleNamespace, faults: dict[str, Fault], kind: FtpsFailure
    ) -> None:
        """A file that was cut short, has changed, or without the last answer is an error, and it stays there."""
        with box(authority, {PATH: FILE}, **faults) as server:
            error = await failure(account(server.port, authority), fetch)
        assert (kind, Presence.ABSENT) == (error.kind, error.presence)
        assert {PATH: FILE} == server.files

    @pytest.mark.parametrize("size", ["usual", NO])
    async def test_larger_than_the_limit(self, authority: SimpleNamespace, size: Fault) -> None:
        """A file above the limit is not fetched; with its size, nothing of it is, and the connection is kept."""
        with box(authority, {PATH: b"x" * 100_000, f"{OUT}/r2": FILE}, SIZE=[size, "usual"]) as server:
            async with FtpsConnection(account(server.port, authority, file_limit=99_999)) as connection:
                with pytest.raises(FtpsError, match="file_limit") as caught:
                    await fetch(connection)
                assert FILE == await connection.fetch(OUT, "r2")
        assert (LIMIT, Presence.ABSENT, False, True) == outcome(caught.value)
        assert ("RETR r1" in server.commands) == (size != "usual")

    async def test_a_limit_for_one_file(self, authority: SimpleNamespace) -> None:
        """The caller may set a limit below or above that of the account."""
        with box(authority, {PATH: FILE}) as server:
            async with FtpsConnection(account(server.port, authority, file_limit=7)) as connection:
                assert FILE == await connection.fetch(OUT, "r1", limit=8)
                with pytest.raises(FtpsError):
                    await connection.fetch(OUT, "r1", limit=7)

    async def test_an_endless_file(self, authority: SimpleNamespace) -> None:
        """A file without an end ends at the limit."""
        with box(authority, {PATH: FILE}, data="endless", SIZE=NO) as server:
            error = await failure(account(server.port, authority, file_limit=1_000_000), fetch)
        assert (LIMIT, "the server sent more than 1000000 octets (file_limit)") == (error.kind, error.reply)

    @pytest.mark.parametrize("name", ["../r1", "r1\r\nDELE r2", "", ".", "a/b", "a\\b", "r1\0"])
    async def test_names_that_are_none(self, authority: SimpleNamespace, name: str) -> None:
        """What is not the name of a file is refused before anything is sent."""
        with box(authority) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                for operation in (connection.fetch, connection.delete):
                    with pytest.raises(InputError):
                        await operation(OUT, name)
        assert 0 == server.connections


class TestListing:
    """Names from outside are names of files here, or reported."""

    async def test_with_sizes(self, authority: SimpleNamespace) -> None:
        """MLSD gives names and sizes, of files only; facts in any case and order."""
        lines = (
            b"type=cdir; .\r\ntype=pdir; ..\r\nType=dir;size=4096; sub\r\nType=OS.unix=slink:/etc; link\r\n"
            b"Size=7;Type=File;modify=20201007060000; status_MANIFEST_m1_1.xml\r\ntype=file; r 2\r\nunique=1; r3\r\n"
        )
        with box(authority, data=lines) as server:
            listing = await done(account(server.port, authority), listed)
        files = (RemoteFile("status_MANIFEST_m1_1.xml", 7), RemoteFile("r 2", None), RemoteFile("r3", None))
        assert RemoteListing(files=files) == listing

    async def test_without_sizes(self, authority: SimpleNamespace) -> None:
        """A server without MLSD lists names alone."""
        with box(authority, {PATH: FILE}, FEAT=PLAIN_FEATURES) as server:
            listing = await done(account(server.port, authority), listed)
        assert RemoteListing(files=(RemoteFile("r1", None),)) == listing
        assert "NLST" in server.commands

    @pytest.mark.parametrize(
        ("answer", "empty"),
        [
            (b"450 No files found\r\n", True),
            (b"550 No such file or directory.\r\n", True),
            (b"550 out: not found\r\n", True),
            (b"550 Directory empty\r\n", True),
            (b"550 Permission denied\r\n", False),
            (b"451 No files today\r\n", False),
            (b"500 No files found\r\n", False),
        ],
    )
    async def test_how_servers_list_nothing(self, authority: SimpleNamespace, answer: bytes, *, empty: bool) -> None:
        """A refusal that says that there is none is an empty list, if the folder was entered before; others are not."""
        with box(authority, FEAT=PLAIN_FEATURES, NLST=answer) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                if empty:
                    assert RemoteListing(files=()) == await listed(connection)
                else:
                    with pytest.raises(FtpsError):
                        await listed(connection)

    @pytest.mark.parametrize("faults", [{"MLSD": NO}, {"MLSD": b"550 no files found\r\n"}, {"CWD": NO}])
    async def test_a_list_that_is_refused(self, authority: SimpleNamespace, faults: dict[str, Fault]) -> None:
        """A folder that cannot be entered or listed is an error and never an empty folder."""
        with box(authority, **faults) as server:
            error = await failure(account(server.port, authority), listed)
        assert (REFUSED, Presence.ABSENT, False, False) == outcome(error)

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            (b"../etc", "b'../etc'"),
            (b"/etc/passwd", "b'/etc/passwd'"),
            (b"a\\b", r"b'a\\b'"),
            (b"..", "b'..'"),
            (b"a\0b", r"b'a\x00b'"),
            (b"a\rb", r"b'a\rb'"),
            (b"a\x1b[2Jb", r"b'a\x1b[2Jb'"),
            (b"caf\xe9", r"b'caf\xe9'"),
            (b"a\xc2\x85b", r"b'a\xc2\x85b'"),
            (b" a", "b' a'"),
            (b"a ", "b'a '"),
            (b"x" * 256, f"b'{'x' * 255}'"),
        ],
    )
    @pytest.mark.parametrize("features", ["usual", PLAIN_FEATURES])
    async def test_names_that_no_file_has(
        self, authority: SimpleNamespace, name: bytes, shown: str, features: Fault
    ) -> None:
        """Such a name is reported on one printable line; the others of the list are there."""
        before = b"type=file; " if features == "usual" else b""
        lines = b"".join(before + each + b"\r\n" for each in (b"r1", name, "é1".encode()))
        with box(authority, data=lines, FEAT=features) as server:
            listing = await done(account(server.port, authority), listed)
        (problem,) = listing.problems
        assert (("r1", "é1"), False) == (tuple(file.name for file in listing.files), listing.whole)
        assert ("ftps.listing", True) == (problem.code, problem.message.isprintable())
        assert f"The server lists {shown}, which is not the name of a file; it is left there." == problem.message

    async def test_many_such_names(self, authority: SimpleNamespace) -> None:
        """Ten are reported one by one, and the others by their number."""
        with box(authority, data=b"".join(b"type=file; ../%d\r\n" % number for number in range(100_000))) as server:
            listing = await done(account(server.port, authority), listed)
        assert (11, ()) == (len(listing.problems), listing.files)
        assert "The server lists 99990 more names that are not names of files." == listing.problems[-1].message

    async def test_many_files(self, authority: SimpleNamespace) -> None:
        """The first 100,000 files are listed, each once, and the list is not whole."""
        lines = b"".join(b"type=file;size=%d; r%d\r\n" % (number, number) for number in range(100_001))
        with box(authority, data=lines + lines) as server:
            listing = await done(account(server.port, authority), listed)
        assert (100_000, False, ()) == (len(listing.files), listing.whole, listing.problems)
        assert (RemoteFile("r0", 0), RemoteFile("r99999", 99_999)) == (listing.files[0], listing.files[-1])

    @pytest.mark.parametrize("content", [b"type=file; r1\r\n", b"x"])
    async def test_an_endless_list(self, authority: SimpleNamespace, content: bytes) -> None:
        """A list without an end ends at the limit, whether or not it has line ends."""
        with box(authority, {PATH: FILE}, data="endless") as server:
            server.endless = content * 10_000
            error = await failure(account(server.port, authority, listing_limit=1_000_000), listed)
        assert (LIMIT, "the server sent more than 1000000 octets (listing_limit)") == (error.kind, error.reply)

    async def test_a_size_of_many_digits(self, authority: SimpleNamespace) -> None:
        """A size that is no number of octets is none."""
        lines = b"type=file;size=%s; r1\r\ntype=file;size=-1; r2\r\ntype=file;size=1_0; r3\r\n" % (b"9" * 5_000)
        with box(authority, data=lines) as server:
            listing = await done(account(server.port, authority), listed)
        assert {("r1", None), ("r2", None), ("r3", None)} == {(file.name, file.size) for file in listing.files}

    async def test_a_list_cut_short(self, authority: SimpleNamespace) -> None:
        """A list without the end of TLS is not whole, and its last line may not be either, so it is left out."""
        with box(authority, {PATH: FILE, f"{OUT}/r22": FILE}, data=(b"type=file; r1\r\ntype=file; r2")) as server:
            server.ragged = True
            listing = await done(account(server.port, authority), listed)
        assert RemoteListing(files=(RemoteFile("r1", None),), whole=False) == listing


class TestDelete:
    """A file is deleted when the server says so."""

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (NO, REFUSED),
            (LATER, DEFERRED),
            (FULL, DEFERRED),
            ("drop", LOST),
            ("close", LOST),
            (b"350 really\r\n", PROTOCOL),
        ],
    )
    async def test_not_deleted(self, authority: SimpleNamespace, fault: Fault, kind: FtpsFailure) -> None:
        """Each other answer, and none, is an error."""
        with box(authority, {PATH: FILE}, DELE=fault) as server:
            error = await failure(account(server.port, authority), lambda connection: connection.delete(OUT, "r1"))
        assert (kind, Presence.ABSENT) == (error.kind, error.presence)

    async def test_one_after_another(self, authority: SimpleNamespace) -> None:
        """A worker lists, fetches and deletes all files over one connection."""
        files = {f"{OUT}/r{number}": b"%d" % number for number in range(20)}
        with box(authority, files) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                for file in (await listed(connection)).files:
                    assert file.name[1:].encode() == await connection.fetch(OUT, file.name)
                    await connection.delete(OUT, file.name)
                assert RemoteListing(files=()) == await listed(connection)
        assert ({}, 1) == (server.files, server.connections)
        assert {True} == set(server.reused)


class TestPassive:
    """The connection for data goes to the host of the control connection."""

    @pytest.mark.parametrize("refusal", [b"500 no command\r\n", b"502 no\r\n", b"522 protocol\r\n"])
    async def test_the_address_of_another_host(self, authority: SimpleNamespace, refusal: bytes) -> None:
        """The address that PASV names is ignored; EPSV, which has none, comes first, and is asked once."""
        with box(authority, {PATH: FILE}, EPSV=refusal) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                assert FILE == await fetch(connection)
                await listed(connection)
        assert (1, 2) == (server.commands.count("EPSV"), server.commands.count("PASV"))

    @pytest.mark.parametrize(
        "answer", [b"227 go on\r\n", b"227 (1,2,3,4,0,0)\r\n", b"227 (127,0,0,1,256,1)\r\n", b"229 (|||1|)\r\n"]
    )
    async def test_an_address_that_is_none(self, authority: SimpleNamespace, answer: bytes) -> None:
        """An answer without a usable port is not FTP."""
        with box(authority, {PATH: FILE}, EPSV=b"500 no\r\n", PASV=answer) as server:
            error = await failure(account(server.port, authority), fetch)
        assert PROTOCOL is error.kind


class TestAnswers:
    """An answer has a limit, and is never taken for that of another command."""

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (b"200-" + b"x" * 9_000 + b"\r\n200 here\r\n", PROTOCOL),
            (b"200-here\r\n" * 10_000, PROTOCOL),
            (b"200-here\r\n" + b" \r\n" * 70_000, PROTOCOL),
            (b"200-here\r\n", LOST),
            (b"2", LOST),
            (b"\r\n", PROTOCOL),
            (b"099 here\r\n", PROTOCOL),
            (b"600 here\r\n", PROTOCOL),
            (b"20O here\r\n", PROTOCOL),
            (b"200here\r\n", PROTOCOL),
            ("\N{FULLWIDTH DIGIT TWO}00 here\r\n".encode(), PROTOCOL),
            (b"\xff\xfe\0here\r\n", PROTOCOL),
            (b"350 go on\r\n", PROTOCOL),
            (b"150 go on\r\n", PROTOCOL),
        ],
    )
    async def test_what_is_no_answer(self, authority: SimpleNamespace, answer: bytes, kind: FtpsFailure) -> None:
        """What is not an answer, or without an end, is an error in one printable line."""
        with box(authority, TYPE=(answer, "close")) as server:
            error = await failure(account(server.port, authority), listed)
        assert (kind, True) == (error.kind, error.reply.isprintable())
        assert len(error.reply) <= 500

    @pytest.mark.parametrize(
        "answer", [b"200\r\n", b"200 \r\n", b"200 \xff\xfe\0\r\n", b"200 here\n", b"200-a\r\n\r\n200\r\n"]
    )
    async def test_what_is_an_answer(self, authority: SimpleNamespace, answer: bytes) -> None:
        """A code alone, any octets, and LF alone are answers."""
        with box(authority, TYPE=answer) as server:
            assert RemoteListing(files=()) == await done(account(server.port, authority), listed)

    @pytest.mark.parametrize("stray", [b"226 again\r\n", b"550 no\r\n", b"hello\r\n"])
    async def test_two_answers(self, authority: SimpleNamespace, stray: bytes) -> None:
        """An answer that was not asked for is never that of the next command: a fresh connection is used."""
        seen = box(authority, CWD=(b"250 there\r\n" + stray,))
        with seen as server:
            error = await failure(account(server.port, authority), listed)
        assert error.kind in {LOST, PROTOCOL}
        assert "EPSV" not in server.commands

    async def test_an_early_farewell(self, authority: SimpleNamespace) -> None:
        """A 421 that was not asked for is a refusal for now, and of the server."""
        with box(authority, CWD=(b"250 there\r\n421 too long\r\n",)) as server:
            error = await failure(account(server.port, authority), listed)
        assert (DEFERRED, 421, True) == (error.kind, error.code, error.is_server_trouble)
