"""Serve files over FTPS with servers of other authors, and exchange them with clients of other authors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
from interop.messages import PASSWORD
from interop.programs import Program, folder, free_port, in_layer, listening, run, running
from interop.servers import Files

from htpoort.files import GatewayUser
from htpoort.simulator import ClientCertificate, FileGateway, FileScript, FileUser
from htpoort.transport import FtpsAccount, FtpsConnection, Security, TlsSettings

HOST: Final = "127.0.0.1"
USER: Final = GatewayUser(company="CVR_12345678", user="UI_12345678")
MANIFEST: Final = f"{USER.folder}/Manifest"
PASSIVE_PORTS: Final = 20  # for each server


@attrs.frozen(kw_only=True)
class Place:
    """
    A server for files.

    Args:
        port: Its port.
        files: Its certificate, and that of the client.
        implicit: Whether TLS begins with the first octet.
        taken: Returns the octets of an upload, by its name.
        put_out: Puts a file into ``out``.
        left: Returns the names in ``out``.
    """

    port: int
    files: Files
    implicit: bool
    taken: Callable[[str], bytes]
    put_out: Callable[[str, bytes], object]
    left: Callable[[], list[str]]

    @property
    def account(self) -> FtpsAccount:
        """The account there, for our own client."""
        return FtpsAccount(
            host="localhost",
            port=self.port,
            security=Security.IMPLICIT if self.implicit else Security.STARTTLS,
            username=str(USER),
            password=PASSWORD,
            tls=TlsSettings(ca_file=self.files.ca, certificate=self.files.client),
        )

    @property
    def url(self) -> str:
        """Where it is, for other clients."""
        return f"{'ftps' if self.implicit else 'ftp'}://localhost:{self.port}"


# ── clients: each uploads, lists, fetches and deletes ────────────────────────


@attrs.frozen
class Client:
    """A program that exchanges files; the last three work in ``out``."""

    upload: Callable[[Place, str, bytes], Awaitable[object]]
    listed: Callable[[Place], Awaitable[list[str]]]
    fetch: Callable[[Place, str], Awaitable[bytes]]
    delete: Callable[[Place, str], Awaitable[object]]


def _by_htpoort() -> Client:
    async def upload(place: Place, name: str, octets: bytes) -> None:
        async with FtpsConnection(place.account) as connection:
            uploaded = await connection.upload(folder=MANIFEST, name=name, octets=octets)
        assert uploaded.size in {len(octets), None}

    async def listed(place: Place) -> list[str]:
        async with FtpsConnection(place.account) as connection:
            listing = await connection.listed(USER.out)
        assert listing.whole
        return [file.name for file in listing.files]

    async def fetch(place: Place, name: str) -> bytes:
        async with FtpsConnection(place.account) as connection:
            return await connection.fetch(USER.out, name)

    async def delete(place: Place, name: str) -> None:
        async with FtpsConnection(place.account) as connection:
            await connection.delete(USER.out, name)

    return Client(upload, listed, fetch, delete)


def _by_curl() -> Client:
    async def curl(place: Place, *options: str | Path, given: bytes = b"") -> bytes:
        tls = ("--ssl-reqd", "--cacert", place.files.ca, "--cert", place.files.client)
        login = ("--user", f"{USER}:{PASSWORD}")
        return await run("curl", "--silent", "--show-error", *tls, *login, *options, given=given)

    async def upload(place: Place, name: str, octets: bytes) -> None:
        await curl(place, "--upload-file", "-", f"{place.url}{MANIFEST}/{name}", given=octets)

    async def listed(place: Place) -> list[str]:
        return (await curl(place, "--list-only", f"{place.url}{USER.out}/")).decode().split()

    async def fetch(place: Place, name: str) -> bytes:
        return await curl(place, f"{place.url}{USER.out}/{name}")

    async def delete(place: Place, name: str) -> None:
        await curl(place, "--list-only", "--quote", f"-DELE {USER.out}/{name}", f"{place.url}{USER.out}/")

    return Client(upload, listed, fetch, delete)


def _by_lftp() -> Client:
    async def lftp(place: Place, command: str) -> bytes:
        files = place.files
        settings = {
            "ftp:ssl-force": "true",
            "ftp:ssl-protect-data": "true",
            "ssl:ca-file": files.ca,
            "ssl:cert-file": files.client,
            "ssl:key-file": files.client,
            "net:max-retries": 1,
        }
        lines = [f"set {name} {value}" for name, value in settings.items()]
        opened = f"open -u {USER},{PASSWORD} {place.url}"
        return await run("lftp", "--norc", "-c", "; ".join([*lines, opened, command]))

    async def upload(place: Place, name: str, octets: bytes) -> None:
        with folder() as own:
            (own / name).write_bytes(octets)
            await lftp(place, f"put {own}/{name} -o {MANIFEST}/{name}")

    async def listed(place: Place) -> list[str]:
        return [Path(line).name for line in (await lftp(place, f"cls -1 {USER.out}/")).decode().split()]

    async def fetch(place: Place, name: str) -> bytes:
        return await lftp(place, f"cat {USER.out}/{name}")

    async def delete(place: Place, name: str) -> None:
        await lftp(place, f"rm {USER.out}/{name}")

    return Client(upload, listed, fetch, delete)


CLIENTS: Final[dict[str, Client]] = {
    "htpoort `FtpsConnection`": _by_htpoort(),
    "curl": _by_curl(),
    "lftp": _by_lftp(),
}


# ── servers: each requires TLS for everything ────────────────────────────────

# OpenSSL sets the one version of TLS for programs that cannot, or that can set a lowest only.
_OPENSSL: Final = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = one
[one]
MinProtocol = TLSv{tls}
MaxProtocol = TLSv{tls}
"""
# The user of the server is made in its layer, and gone with it; the files belong to nobody.
_START: Final = """
set -e
useradd --badname --non-unique --uid 65534 --gid 65534 --no-create-home --home-dir "$1/root" --shell /bin/sh "$2"
echo "$2:$3" | chpasswd
shift 3
exec "$@"
"""


def _on_disk(place: Path, port: int, files: Files, *, implicit: bool) -> Place:
    """Describe a server that has its files in a folder."""
    root = place / "root"
    return Place(
        port=port,
        files=files,
        implicit=implicit,
        taken=lambda name: (root / MANIFEST[1:] / name).read_bytes(),
        put_out=lambda name, octets: (root / USER.out[1:] / name).write_bytes(octets),
        left=lambda: [path.name for path in (root / USER.out[1:]).iterdir()],
    )


@asynccontextmanager
async def _serving(layer: str, place: Path, tls: str, port: int, *command: str | Path) -> AsyncGenerator[Program]:
    """Run a server in its layer, with its user."""
    for each in (MANIFEST, USER.out):
        (place / "root" / each[1:]).mkdir(parents=True)
    await run("chown", "--recursive", "nobody:nogroup", place / "root")
    (place / "openssl.cnf").write_text(_OPENSSL.format(tls=tls), encoding="ascii")
    env = ("env", f"OPENSSL_CONF={place}/openssl.cnf")
    start = ("sh", "-c", _START, "sh", place, str(USER), PASSWORD, *env, *command)
    async with running(*in_layer(layer, *start)) as program:
        await listening(port, program)
        yield program


_VSFTPD: Final = """\
background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=NO
local_enable=YES
write_enable=YES
chroot_local_user=YES
allow_writeable_chroot=YES
seccomp_sandbox=NO
xferlog_enable=NO
pasv_min_port={first}
pasv_max_port={last}
ssl_enable=YES
ssl_tlsv1=YES
force_local_logins_ssl=YES
force_local_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
strict_ssl_write_shutdown=YES
ssl_ciphers=HIGH
implicit_ssl={implicit}
rsa_cert_file={files.both}
rsa_private_key_file={files.both}
ca_certs_file={files.ca}
require_cert=YES
validate_cert=YES
"""


def _vsftpd(*, implicit: bool) -> Callable[[Files, str], AbstractAsyncContextManager[Place]]:
    @asynccontextmanager
    async def serving(files: Files, tls: str) -> AsyncGenerator[Place]:
        """Run vsftpd, which refuses data without the session of the control connection, and without a certificate."""
        port = free_port()
        first, last = _passive_ports()
        with folder() as place:
            answer = "YES" if implicit else "NO"
            text = _VSFTPD.format(port=port, files=files, implicit=answer, first=first, last=last)
            (place / "vsftpd.conf").write_text(text, encoding="ascii")
            async with _serving("vsftpd", place, tls, port, "vsftpd", place / "vsftpd.conf"):
                yield _on_disk(place, port, files, implicit=implicit)

    return serving


_PROFTPD: Final = """\
ServerName "gateway"
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port {port}
PassivePorts {first} {last}
User nobody
Group nogroup
UseReverseDNS off
UseFtpUsers off
RequireValidShell off
WtmpLog off
DefaultRoot ~
AllowOverwrite on
PidFile {place}/pid
ScoreboardFile {place}/scoreboard
DelayEngine off
ModulePath /usr/lib/proftpd
LoadModule mod_tls.c
TLSEngine on
TLSRequired on
TLSLog {place}/tls.log
TLSProtocol TLSv{tls}
TLSRSACertificateFile {files.both}
TLSRSACertificateKeyFile {files.both}
TLSCACertificateFile {files.ca}
TLSVerifyClient on
{options}
"""


def _proftpd(*, implicit: bool) -> Callable[[Files, str], AbstractAsyncContextManager[Place]]:
    @asynccontextmanager
    async def serving(files: Files, tls: str) -> AsyncGenerator[Place]:
        """Run ProFTPD with mod_tls, which requires the session and a certificate too."""
        port = free_port()
        first, last = _passive_ports()
        with folder() as place:
            options = "TLSOptions UseImplicitSSL" if implicit else ""
            text = _PROFTPD.format(
                port=port, place=place, files=files, tls=tls, options=options, first=first, last=last
            )
            (place / "proftpd.conf").write_text(text, encoding="ascii")
            command = ("proftpd", "--nodaemon", "--config", place / "proftpd.conf")
            async with _serving("proftpd-core", place, tls, port, *command):
                yield _on_disk(place, port, files, implicit=implicit)

    return serving


@asynccontextmanager
async def _pure_ftpd(files: Files, tls: str) -> AsyncGenerator[Place]:
    """Run Pure-FTPd, which requires TLS and a certificate."""
    port = free_port()
    first, last = _passive_ports()
    with folder() as place:
        # It takes the authority of the clients out of the file of its own certificate.
        (place / "host.pem").write_bytes(files.both.read_bytes() + files.ca.read_bytes())
        options = ("--tls=3", "--tlsciphersuite=-C:HIGH", "--login=unix", "--chrooteveryone", "--minuid=1")
        place_options = (f"--certfile={place}/host.pem", f"--bind={HOST},{port}", f"--passiveportrange={first}:{last}")
        command = ("pure-ftpd", *options, *place_options, "--dontresolve", "--maxclientsnumber=20")
        async with _serving("pure-ftpd", place, tls, port, *command):
            yield _on_disk(place, port, files, implicit=False)


def _passive_ports() -> tuple[int, int]:
    """Find ports in a row for the data of a server."""
    ports = [free_port() for _ in range(PASSIVE_PORTS)]
    while ports[-1] - ports[0] != PASSIVE_PORTS - 1:
        ports = [*ports[1:], free_port()]
    return ports[0], ports[-1]


def _simulated(*, implicit: bool) -> Callable[[Files, str], AbstractAsyncContextManager[Place]]:
    @asynccontextmanager
    async def serving(files: Files, tls: str) -> AsyncGenerator[Place]:
        """Run the simulator, which speaks TLS 1.2 alone, and requires the session and a certificate."""
        user = FileUser(user=USER, password=PASSWORD)
        context = files.of_gateway(tls, ClientCertificate.REQUIRED)
        async with FileGateway(tls=context, users=[user], script=FileScript(scenarios=[])) as gateway:
            yield Place(
                port=gateway.tls_port if implicit else gateway.port,
                files=files,
                implicit=implicit,
                taken=lambda name: next(file.octets for file in gateway.uploads if file.name == name),
                put_out=lambda name, octets: gateway.put(user, name, octets),
                left=lambda: [file.name for file in gateway.out(user)],
            )

    return serving


GATEWAYS: Final[dict[str, Callable[[Files, str], AbstractAsyncContextManager[Place]]]] = {
    "htpoort `FileGateway`": _simulated(implicit=False),
    "htpoort `FileGateway`, implicit TLS": _simulated(implicit=True),
    "vsftpd": _vsftpd(implicit=False),
    "vsftpd, implicit TLS": _vsftpd(implicit=True),
    "ProFTPD": _proftpd(implicit=False),
    "ProFTPD, implicit TLS": _proftpd(implicit=True),
    "Pure-FTPd": _pure_ftpd,
}
"""Every server with every client; Pure-FTPd has no implicit TLS."""
GATEWAY_TLS: Final = {"htpoort `FileGateway`": ("1.2",), "htpoort `FileGateway`, implicit TLS": ("1.2",)}
"""The versions of TLS of a server that does not speak both."""
