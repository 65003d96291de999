"""Files over FTPS, with servers and clients of other authors."""

from __future__ import annotations

import asyncio
import ftplib
import io
import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from interop import page
from interop.files import CLIENTS, GATEWAYS, MANIFEST, USER, Place
from interop.matrix import FILE_KEYS, SERVED
from interop.messages import PASSWORD
from interop.programs import environment, run
from interop.servers import Files

from htpoort.files import StatusReport, render_report
from htpoort.transport import FtpsConnection, FtpsError, FtpsFailure, Presence, Security, TlsSettings, probe

EVERY_OCTET = bytes(range(256)) * 4_000
FOREIGN = [(server, tls) for server, tls in SERVED if "htpoort" not in server]
LINES = b"\r\n\n\r<IE547/>\r\n.\r\n\xff\xf4\xff\xf2\x1a\0"  # what text mode, Telnet or SMTP would change


@pytest.mark.parametrize(("server", "tls"), SERVED)
async def test_clients(server: str, tls: str, files: Files, matrix: Any) -> None:
    """The page shows for each client what it does with each server, and what the server has then."""
    rows: page.Rows = {}
    async with GATEWAYS[server](files, tls) as place:
        for number, name in enumerate(client for client, *where in FILE_KEYS if where == [server, tls]):
            client = CLIENTS[name]
            octets = LINES + EVERY_OCTET + b"%d" % number
            await client.upload(place, f"m{number}", octets)
            place.put_out("r1", octets)
            place.put_out("r2", b"")
            listed, fetched = await client.listed(place), await client.fetch(place, "r1")
            await client.delete(place, "r1")
            done = (place.taken(f"m{number}") == octets, sorted(listed) == ["r1", "r2"], fetched == octets)
            rows[name, server, tls] = tuple("yes" if each else "no" for each in (*done, place.left() == ["r2"]))

    matrix.agrees(page.EXCHANGING, rows)


class TestOurClient:
    """What each server demands, our client has; what fails is told apart."""

    @pytest.mark.parametrize(("server", "tls"), SERVED)
    async def test_each_step(self, server: str, tls: str, files: Files) -> None:
        """A probe sees each step succeed, with the version of TLS."""
        async with GATEWAYS[server](files, tls) as place:
            steps = await probe(place.account)
        assert ["resolve", "connect", "tls", "login", "answer"] == [step.step.value for step in steps]
        assert all(step.succeeded for step in steps)
        assert steps[2].message.startswith(f"TLSv{tls}, ")

    @pytest.mark.parametrize(("server", "tls"), FOREIGN)
    async def test_many_files_over_one_connection(self, server: str, tls: str, files: Files) -> None:
        """Thirty transfers resume one session, also where a server gives each ticket once."""
        async with GATEWAYS[server](files, tls) as place, FtpsConnection(place.account) as connection:
            for number in range(10):
                await connection.upload(folder=MANIFEST, name=f"m{number}", octets=b"%d" % number)
                place.put_out(f"r{number}", b"%d" % number)
            for file in (await connection.listed(USER.out)).files:
                assert file.name[1:].encode() == await connection.fetch(USER.out, file.name)
                await connection.delete(USER.out, file.name)
            assert ([], ()) == (place.left(), (await connection.listed(USER.out)).files)

    @pytest.mark.parametrize(("server", "tls"), FOREIGN)
    @pytest.mark.parametrize("lacks", ["certificate", "password"])
    async def test_without_what_is_demanded(self, server: str, tls: str, files: Files, lacks: str) -> None:
        """Without the certificate or with a wrong password, nothing is there, and the error says which it was."""
        async with GATEWAYS[server](files, tls) as place:
            bare = attrs.evolve(place.account, tls=TlsSettings(ca_file=files.ca))
            account = bare if lacks == "certificate" else attrs.evolve(place.account, password="falsch")
            error = await failure(account)
        kind = FtpsFailure.TLS if lacks == "certificate" else FtpsFailure.LOGIN
        assert (kind, True, Presence.ABSENT, False) == (
            error.kind,
            error.is_server_trouble,
            error.presence,
            error.retryable,
        )

    @pytest.mark.parametrize(("server", "tls"), FOREIGN)
    async def test_a_folder_that_is_not_there(self, server: str, tls: str, files: Files) -> None:
        """A folder or a file that is not there is refused, and the connection goes on."""
        async with GATEWAYS[server](files, tls) as place, FtpsConnection(place.account) as connection:
            with pytest.raises(FtpsError) as folder:
                await connection.upload(folder="/nowhere", name="m1", octets=b"x")
            with pytest.raises(FtpsError) as file:
                await connection.fetch(USER.out, "nothing")
            assert (await connection.upload(folder=MANIFEST, name="m1", octets=b"x")).size == 1
        assert [(FtpsFailure.REFUSED, 550)] * 2 == [(one.value.kind, one.value.code) for one in (folder, file)]

    @pytest.mark.parametrize(("server", "tls"), FOREIGN)
    async def test_cut_in_the_middle(self, server: str, tls: str, files: Files) -> None:
        """An upload that is cancelled in the middle is whole after the second attempt, and is found to be so."""
        octets = EVERY_OCTET * 40
        async with GATEWAYS[server](files, tls) as place, FtpsConnection(place.account) as connection:
            task = asyncio.create_task(connection.upload(folder=MANIFEST, name="m1", octets=octets))
            await asyncio.wait({task}, timeout=0.1)
            task.cancel()
            await asyncio.wait({task})
            uploaded = await connection.upload(folder=MANIFEST, name="m1", octets=octets)
            assert (len(octets), octets) == (uploaded.size, place.taken("m1"))


@pytest.mark.parametrize(("server", "tls"), [each for each in FOREIGN if "Pure" not in each[0]])
async def test_without_the_session(server: str, tls: str, files: Files) -> None:
    """The servers that demand the session of the control connection refuse ftplib, which resumes none."""
    async with GATEWAYS[server](files, tls) as place:
        with pytest.raises((ftplib.Error, OSError, EOFError)):
            await asyncio.to_thread(by_ftplib, place)


def by_ftplib(place: Place) -> None:
    """Upload a file with the standard library."""
    context = ssl.create_default_context(cafile=place.files.ca)
    context.load_cert_chain(place.files.client)
    with ftplib.FTP_TLS(context=context, timeout=20) as client:
        client.host = "localhost"
        client.sock = socket.create_connection(("127.0.0.1", place.port), timeout=20)
        client.af = client.sock.family
        if place.account.security is Security.IMPLICIT:
            client.sock = context.wrap_socket(client.sock, server_hostname="localhost")
        client.file = client.sock.makefile("r")
        client.getresp()
        client.login(str(USER), PASSWORD)
        client.prot_p()
        client.cwd(MANIFEST)
        client.storbinary("STOR m1", io.BytesIO(b"x"))


CONFIG = """\
parties = ["NL123456789.02.05"]
[ledger]
url = "sqlite:///htpoort.db"
[systems.MANIFEST]
service = "Manifest"
[[gateway]]
server = "localhost"
port = {port}
security = "{security}"
username = "{user}"
password_env = "GATEWAY_PASSWORD"
ca_file = "{files.ca}"
certificate = "{files.client}"
unique_names = false
[[delivery]]
system = "MANIFEST"
directory = "process"
payload = true
"""
NAME = "MANIFEST_2026_0001"


async def htpoort(office: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run the command in a folder; return what it prints."""
    script = 'cd "$0" && exec "$@"'
    env = environment(GATEWAY_PASSWORD=PASSWORD, HOME=str(office))
    command = ("sh", "-c", script, office, sys.executable, "-m", "htpoort", *arguments)
    return (await run(*command, env=env, codes=codes)).decode()


@pytest.mark.parametrize(("server", "tls"), [("vsftpd", "1.2"), ("ProFTPD, implicit TLS", "1.3"), ("Pure-FTPd", "1.2")])
async def test_an_agent(server: str, tls: str, files: Files, tmp_path: Path) -> None:
    """
    `htpoort run` takes a manifest to a foreign server, and what that puts out for it comes back.

    Statuses and response reach the process, nothing is left in ``out``, and nothing is uploaded twice.
    """
    async with GATEWAYS[server](files, tls) as place:
        security = place.account.security.value
        config = CONFIG.format(port=place.port, security=security, user=USER, files=files)
        (tmp_path / "htpoort.toml").write_text(config, encoding="ascii")
        (tmp_path / "manifest.xml").write_bytes(EVERY_OCTET)
        options = ("--system", "MANIFEST", "--party", str(USER), "--reference", NAME)
        (tmp_path / "process").mkdir()
        await htpoort(tmp_path, "queue", "manifest.xml", *options)
        await htpoort(tmp_path, "run", "--once")
        assert EVERY_OCTET == place.taken(NAME)
        response = f"response_Manifest_{NAME}.xml"
        for number in (1, 2, 3):
            report = StatusReport(file_name=NAME, service="Manifest", response=response if number == 3 else "")
            place.put_out(f"status_Manifest_{NAME}_{number}.xml", render_report(report))
        place.put_out(response, LINES)
        await htpoort(tmp_path, "run", "--once")
        ((state, attempts),) = [
            (each["state"], each["attempts"]) for each in json.loads(await htpoort(tmp_path, "list", "--json"))
        ]
        left = place.left()

    delivered = [(tmp_path / f"process/{NAME}-{number}.xml").read_bytes() for number in (1, 2, 3, 4)]
    assert ([], "answered", 1) == (left, state, attempts)
    assert [b"<status>"] * 3 == [octets.splitlines()[1] for octets in delivered[:3]]
    assert LINES == delivered[3]


async def failure(account: Any) -> FtpsError:
    """Upload a file, and return the error."""
    async with FtpsConnection(account) as connection:
        with pytest.raises(FtpsError) as caught:
            await connection.upload(folder=MANIFEST, name="m1", octets=b"x")
    return caught.value


class TestPage:
    """The content of the page, typed from what a gateway needs."""

    def test_it_has_every_row(self) -> None:
        """The page has every client with every server, and no other."""
        assert FILE_KEYS == list(page.read(page.EXCHANGING))

    def test_every_client_works(self) -> None:
        """Whatever the client and the server, files arrive and come back octet for octet."""
        assert {("yes",) * 4} == set(page.read(page.EXCHANGING).values())
