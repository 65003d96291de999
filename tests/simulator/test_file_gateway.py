"""The file gateway in a box: what foreign clients upload to it and fetch from it, and what it demands."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ftplib import FTP, Error as FtpError, error_perm
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from ftps_client import ROOT, FtpsClient, context_of

from htpoort import InputError
from htpoort.files import MANIFEST_2020, NAME_REUSED, FileService, GatewayUser, read_report
from htpoort.simulator import (
    MANIFEST,
    BackendAway,
    ClientCertificate,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    GatewayTls,
    NameReuse,
    OutKind,
    PutOut,
    SimulatedClock,
    _ftps_server,
    fingerprint,
)

T = TypeVar("T")

USER = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")
OUT = f"{ROOT}/out"
FOLDER = f"{ROOT}/Manifest"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make an authority and the certificates of two clients."""
    names = ["CVR_12345678_UI_12345678", "CVR_12345678_UI_12345678 renewed"]
    return GatewayTls.made(tmp_path_factory.mktemp("ftps"), client=ClientCertificate.REQUIRED, clients=names)


@pytest.fixture(scope="module")
def second(tls: GatewayTls) -> Path:
    """Name the certificate of the second client."""
    return Path(str(tls.client_certificate)).with_name("client-2.pem")


@pytest.fixture
def playing(tls: GatewayTls) -> Callable[..., FileGateway]:
    """Make gateways in simulated time."""

    def make(*out: PutOut, **settings: Any) -> FileGateway:
        script = FileScript(scenarios=(FileScenario(out=out),)) if out else FileScript()
        return FileGateway(**{"tls": tls, "users": [USER], "clock": SimulatedClock(), "script": script, **settings})

    return make


async def by_client(
    gateway: FileGateway, work: Callable[[FtpsClient], T], *, certificate: Path | str | None = None, **options: Any
) -> T:
    """Log in with a client of the standard library in a thread, do some work, and leave."""

    def run() -> T:
        context = context_of(gateway.tls.ca_file, certificate or gateway.tls.client_certificate)
        port = gateway.tls_port if options.get("implicit") else gateway.port
        client = FtpsClient.opened(port, context, **options)
        try:
            result = work(client)
            client.quit()
        finally:
            client.close()
        return result

    return await asyncio.to_thread(run)


async def fetched(gateway: FileGateway, **options: Any) -> dict[str, bytes]:
    """Fetch everything that is out."""
    return await by_client(gateway, lambda client: client.get_all(OUT, client.names(OUT)), **options)


# ── the usual way ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_file_goes_in_and_its_answers_come_out(playing: Callable[..., FileGateway], *, implicit: bool) -> None:
    """After an upload, status 1, 2 and 3 and a response come at their moments, with explicit and with implicit TLS."""
    async with playing() as gateway:
        answer = await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"), implicit=implicit)
        assert answer == "226 Transfer complete"
        (upload,) = gateway.uploads
        assert (upload.name, upload.octets, upload.service, upload.whole) == ("A1", b"<Manifest/>", MANIFEST, True)

        seen = []
        for minutes in (0, 1, 4):
            await gateway.play(timedelta(minutes=minutes, seconds=10))
            seen.append(await by_client(gateway, lambda client: client.names(OUT), implicit=implicit))
        names = [f"status_Manifest_A1_{number}.xml" for number in (1, 2, 3)]
        assert seen == [names[:1], names[:2], ["response_Manifest_A1.xml", *names]]
        files = await fetched(gateway, implicit=implicit)
    report = read_report(files["status_Manifest_A1_3.xml"])
    assert (report.file_name, report.response) == ("A1", "response_Manifest_A1.xml")
    assert b"<File>A1</File>" in files["response_Manifest_A1.xml"]


async def test_octets_arrive_as_they_are(playing: Callable[..., FileGateway]) -> None:
    """A binary transfer changes nothing, not even of a megabyte, and in both directions."""
    octets = bytes(range(256)) * 4096 + b"\r\n\n\r"
    async with playing(PutOut(kind=OutKind.ANSWERED, body=octets)) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", octets))
        await gateway.wait_for_due()
        files = await fetched(gateway)
    assert gateway.uploads[0].octets == octets
    assert files["response_Manifest_A1.xml"] == octets


async def test_only_the_client_deletes(playing: Callable[..., FileGateway]) -> None:
    """A file stays in out after it was fetched; DELE removes it, and the gateway remembers whether it was fetched."""

    def work(client: FtpsClient) -> list[list[str]]:
        first = client.names(OUT)
        client.get(f"{OUT}/status_Manifest_A1_1.xml")
        second = client.names(OUT)
        client.delete(f"{OUT}/status_Manifest_A1_1.xml")
        client.delete(f"{OUT}/status_Manifest_A1_2.xml")
        return [first, second, client.names(OUT)]

    async with playing(PutOut(kind=OutKind.HANDED_OVER), PutOut(kind=OutKind.TAKEN)) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        await gateway.wait_for_due()
        both = ["status_Manifest_A1_1.xml", "status_Manifest_A1_2.xml"]
        assert [both, both, []] == await by_client(gateway, work)
    assert [(one.file.name, one.fetched) for one in gateway.deleted] == [(both[0], True), (both[1], False)]


async def test_an_upload_lies_in_its_folder_until_it_is_handed_over(playing: Callable[..., FileGateway]) -> None:
    """LIST and SIZE show a file until status 1 is put out; then it is gone."""

    def look(client: FtpsClient) -> tuple[list[str], int | None]:
        names = client.names(FOLDER)
        client.voidcmd("TYPE I")
        return names, client.size(f"{FOLDER}/A1") if names else None

    async with playing() as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        before = await by_client(gateway, look)
        await gateway.play()
        after = await by_client(gateway, look)
    assert (before, after) == ((["A1"], 11), ([], None))


async def test_service_folders_may_be_write_only(playing: Callable[..., FileGateway]) -> None:
    """With lists_uploads=False an upload cannot be seen."""
    async with playing(script=FileScript(lists_uploads=False)) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        assert await by_client(gateway, lambda client: client.names(FOLDER)) == []


async def test_the_folders(playing: Callable[..., FileGateway]) -> None:
    """A user sees the own folders alone, one for each service, and out beside them."""
    services = [MANIFEST, FileService(name="ICS", service="Ics")]

    def walk(client: FtpsClient) -> dict[str, list[str]]:
        return {path: client.names(path) for path in ("/", "/CVR_12345678", ROOT)}

    async with playing(services=services) as gateway:
        found = await by_client(gateway, walk)
    assert found == {"/": ["CVR_12345678"], "/CVR_12345678": ["UI_12345678"], ROOT: ["Ics", "Manifest", "out"]}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("CWD /CVR_87654321", "550"),
        ("CWD ../../../..", "250"),
        ("NLST /CVR_12345678/UI_87654321/out", "550"),
        (f"STOR {OUT}/A1", "550"),
        (f"STOR {ROOT}/A1", "550"),
        ("STOR /A1", "550"),
        (f"RETR {FOLDER}/A0", "550"),
        (f"DELE {FOLDER}/A0", "550"),
        (f"RETR {OUT}/nothing", "550"),
        (f"DELE {OUT}/nothing", "550"),
        (f"APPE {FOLDER}/A2", "500"),
        (f"RNFR {FOLDER}/A0", "500"),
        ("REST 5", "500"),
        ("MKD /CVR_12345678/UI_12345678/New", "500"),
        ("PORT 127,0,0,1,10,10", "500"),
        ("PROT C", "200"),
    ],
)
async def test_what_is_not_for_the_client_is_refused(
    playing: Callable[..., FileGateway], command: str, code: str
) -> None:
    """A service folder takes uploads, out gives files; nothing is renamed, appended, resumed, or sent actively."""

    def work(client: FtpsClient) -> str:
        client.put(f"{FOLDER}/A0", b"<Manifest/>")
        if command.startswith("NLST"):
            client.makepasv()
        try:
            return client.sendcmd(command)
        except FtpError as error:
            return str(error)

    async with playing() as gateway:
        assert code == (await by_client(gateway, work))[:3]
        assert [one.name for one in gateway.uploads] == ["A0"]


async def test_each_upload_is_recorded_in_order(playing: Callable[..., FileGateway]) -> None:
    """Ten clients at once upload ten files each; all of them are there once."""

    def work(start: int) -> Callable[[FtpsClient], None]:
        def upload(client: FtpsClient) -> None:
            for number in range(start, start + 10):
                client.put(f"{FOLDER}/A{number}", b"%d" % number)

        return upload

    async with playing() as gateway:
        await asyncio.gather(*(by_client(gateway, work(start)) for start in range(0, 50, 10)))
        await gateway.play()
        out = gateway.out(USER)
    assert [one.number for one in gateway.uploads] == list(range(1, 51))
    assert sorted((one.name, one.octets) for one in gateway.uploads) == sorted(
        (f"A{number}", b"%d" % number) for number in range(50)
    )
    assert len(out) == 200


# ── what it demands ──────────────────────────────────────────────────────────


async def test_a_data_connection_must_resume_the_session(playing: Callable[..., FileGateway]) -> None:
    """A client that opens a new TLS session for its data gets 522, and nothing is taken, if the gateway asks for it."""

    def upload(client: FtpsClient) -> str:
        connection = client.transfercmd(f"STOR {FOLDER}/A1")
        connection.close()
        with pytest.raises(error_perm) as caught:
            client.voidresp()
        return str(caught.value)

    async with playing() as gateway:
        answer = await by_client(gateway, upload, resumes=False)
        assert (answer, gateway.uploads) == ("522 The data connection must resume the TLS session", [])
    async with playing(same_session=False) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"), resumes=False)
        assert len(gateway.uploads) == 1


async def test_a_client_certificate_is_demanded(playing: Callable[..., FileGateway], tmp_path: Path) -> None:
    """Without a certificate, or with one of another authority, there is no session at all."""
    other = GatewayTls.made(tmp_path)
    async with playing() as gateway:
        for certificate in (None, other.client_certificate):

            def run(certificate: Path | str | None = certificate) -> None:
                FtpsClient.opened(gateway.port, context_of(gateway.tls.ca_file, certificate)).close()

            with pytest.raises(OSError, match=r"(?i)alert|reset|EOF|closed|pipe"):
                await asyncio.to_thread(run)
        assert gateway.failed_logins == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3])
async def test_the_new_gateway_speaks_tls_1_2_alone(
    playing: Callable[..., FileGateway], version: ssl.TLSVersion
) -> None:
    """Since October 2020 no other version is spoken."""
    async with playing() as gateway:
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(lambda: FtpsClient.opened(gateway.port, of_version(gateway.tls, version)))


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
)
async def test_the_old_gateway_speaks_every_version(
    playing: Callable[..., FileGateway], version: ssl.TLSVersion
) -> None:
    """Before October 2020 any version would do, and no password was asked for."""
    async with playing(rules=MANIFEST_2020.old) as gateway:

        def run() -> str:
            client = FtpsClient.opened(gateway.port, of_version(gateway.tls, version), password="anything")
            try:
                return client.put(f"{FOLDER}/A1", b"<Manifest/>")
            finally:
                client.close()

        assert await asyncio.to_thread(run) == "226 Transfer complete"


def of_version(tls: GatewayTls, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Make a client of one version of TLS."""
    context = context_of(tls.ca_file, tls.client_certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    "login",
    [{"password": "wrong"}, {"username": "CVR_12345678_UI_87654321"}, {"username": "anonymous"}, {"password": ""}],
)
async def test_a_wrong_login_is_refused(playing: Callable[..., FileGateway], login: dict[str, str]) -> None:
    """User name and password must be right, beside the certificate."""
    async with playing() as gateway:
        with pytest.raises(error_perm, match=r"^530"):
            await by_client(gateway, lambda _client: None, **login)
        expected = [("FTPS", login.get("username", USER.username))]
        assert expected == [(one.protocol, one.username) for one in gateway.failed_logins]


@pytest.mark.parametrize("username", ["CVR_12345678_UI_12345678", "anonymous"])
async def test_the_old_gateway_asks_for_no_password(playing: Callable[..., FileGateway], username: str) -> None:
    """The certificate alone logs in, under any name: 230 comes to USER."""

    def run() -> str:
        client = FtpsClient(context_of(gateway.tls.ca_file, gateway.tls.client_certificate))
        try:
            client.connect("127.0.0.1", gateway.port)
            client.auth()
            answer = client.sendcmd(f"USER {username}")
            client.prot_p()
            client.put(f"{FOLDER}/A1", b"<Manifest/>")
            return answer
        finally:
            client.close()

    async with playing(rules=MANIFEST_2020.old) as gateway:
        assert await asyncio.to_thread(run) == "230 Logged in by certificate"
        assert [one.user for one in gateway.uploads] == [USER.user]


async def test_a_certificate_must_be_registered(
    playing: Callable[..., FileGateway], tls: GatewayTls, second: Path
) -> None:
    """If certificates are registered for a user, no other logs in."""
    user = attrs.evolve(USER, certificates=(fingerprint(str(tls.client_certificate)),))
    async with playing(users=[user]) as gateway:
        assert await by_client(gateway, lambda client: client.names("/")) == ["CVR_12345678"]
        with pytest.raises(error_perm, match=r"^530"):
            await by_client(gateway, lambda client: client.names("/"), certificate=second)
    async with playing(users=[user], rules=MANIFEST_2020.old) as gateway:
        with pytest.raises(error_perm, match=r"^530"):
            await by_client(gateway, lambda client: client.names("/"), certificate=second)
        assert [one.username for one in gateway.failed_logins] == [USER.username]


async def test_before_tls_nothing_is_taken(playing: Callable[..., FileGateway]) -> None:
    """Neither a login nor data go in the clear."""

    def run(port: int) -> list[str]:
        client = FTP()
        client.connect("127.0.0.1", port, timeout=30)
        said = []
        for command in ("USER CVR_12345678_UI_12345678", "PASS geheim", "PASV", "STOR A1"):
            try:
                said.append(client.sendcmd(command))
            except FtpError as error:
                said.append(str(error))
        client.close()
        return said

    async with playing() as gateway:
        codes = [text[:3] for text in await asyncio.to_thread(run, gateway.port)]
        assert codes == ["550", "550", "530", "530"]
        assert gateway.failed_logins == []

        def unprotected(client: FtpsClient) -> str:
            client.prot_c()
            with pytest.raises(error_perm, match="550 SSL/TLS required on the data channel") as caught:
                client.makepasv()
            return str(caught.value)

        await by_client(gateway, unprotected)


async def test_out_is_of_the_certificate_that_uploaded(playing: Callable[..., FileGateway], second: Path) -> None:
    """Since October 2020 another certificate of the same user sees nothing of it; before, it saw everything."""
    for rules, expected in ((MANIFEST_2020.new, 0), (MANIFEST_2020.old, 4)):
        async with playing(rules=rules) as gateway:
            await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
            await gateway.play()
            assert len(await fetched(gateway)) == 4
            assert len(await fetched(gateway, certificate=second)) == expected


async def test_files_are_kept_for_thirty_days(playing: Callable[..., FileGateway]) -> None:
    """What was not fetched for 30 days is gone."""
    async with playing(PutOut(kind=OutKind.HANDED_OVER)) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        await gateway.play(timedelta(days=30))
        assert [one.name for one in gateway.out(USER)] == ["status_Manifest_A1_1.xml"]
        await gateway.play(timedelta(seconds=1))
        assert gateway.out(USER) == ()


# ── names ────────────────────────────────────────────────────────────────────


async def test_a_name_used_before_is_refused_by_a_status(playing: Callable[..., FileGateway]) -> None:
    """The second upload gets 226, is not processed, and status 0 names the reason, also long afterwards."""

    async def used_again(gateway: FileGateway) -> str:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Other/>"))
        await gateway.play()
        return read_report((await fetched(gateway))["status_Manifest_A1_0.xml"]).error_code

    async with playing() as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        await gateway.play()
        assert await used_again(gateway) == NAME_REUSED
        await gateway.play(timedelta(days=365))
        assert await used_again(gateway) == NAME_REUSED
    assert [one.processed for one in gateway.uploads] == [True, False, False]


@pytest.mark.parametrize(("names", "counted"), [(NameReuse.STOR, 0), (NameReuse.END, 8)])
async def test_a_name_used_before_may_be_refused_by_a_response(
    playing: Callable[..., FileGateway], names: NameReuse, counted: int
) -> None:
    """550 FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION before the content, or after it; the first file stays as it is."""
    async with playing(script=FileScript(names=names)) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        sent: list[int] = []

        def again(client: FtpsClient) -> None:
            with pytest.raises(error_perm, match=NAME_REUSED):
                client.storbinary(f"STOR {FOLDER}/A1", Counted(sent))

        await by_client(gateway, again)
        assert sum(sent) == counted
        assert [one.octets for one in gateway.uploads] == [b"<Manifest/>"]
        assert [one.reason for one in gateway.refused] == [f"550 {NAME_REUSED}"]


class Counted:
    """A file of eight octets that counts what is read of it."""

    def __init__(self, sent: list[int]) -> None:
        self._left = b"<Other/>"
        self._sent = sent

    def read(self, size: int) -> bytes:
        """Give the next octets."""
        piece, self._left = self._left[:size], self._left[size:]
        self._sent.append(len(piece))
        return piece


async def test_the_old_gateway_takes_a_name_twice(playing: Callable[..., FileGateway]) -> None:
    """Before October 2020 names needed not be unique: the second file is processed too."""
    async with playing(rules=MANIFEST_2020.old) as gateway:
        for octets in (b"<Manifest/>", b"<Other/>"):
            await by_client(gateway, lambda client, octets=octets: client.put(f"{FOLDER}/A1", octets))  # type: ignore[misc]
        await asyncio.sleep(0)
    assert [one.processed for one in gateway.uploads] == [True, True]


@pytest.mark.parametrize("name", ["A-1", "A1.xml", "A 1", "Å1", "a" * 79, "VAL_A1"])
async def test_a_name_has_letters_digits_and_underscores(playing: Callable[..., FileGateway], name: str) -> None:
    """Any other name is refused before the content."""
    async with playing() as gateway:
        with pytest.raises(error_perm, match=r"^553"):
            await by_client(gateway, lambda client: client.put(f"{FOLDER}/{name}", b"<Manifest/>"))
        assert (gateway.uploads, [one.path for one in gateway.refused]) == ([], [f"{FOLDER}/{name}"])


async def test_val_is_validation_only(playing: Callable[..., FileGateway]) -> None:
    """A file with the prefix has its own name, and its response says that nothing was done but to validate it."""
    async with playing() as gateway:
        for name in ("val_A1", "A1"):
            await by_client(gateway, lambda client, name=name: client.put(f"{FOLDER}/{name}", b"<Manifest/>"))  # type: ignore[misc]
        await gateway.play()
        files = await fetched(gateway)
    assert [(one.name, one.validation_only, one.processed) for one in gateway.uploads] == [
        ("val_A1", True, True),
        ("A1", False, True),
    ]
    assert b"<ValidationOnly>true</ValidationOnly>" in files["response_Manifest_val_A1.xml"]
    assert b"<ValidationOnly>false</ValidationOnly>" in files["response_Manifest_A1.xml"]


async def test_an_empty_file_is_an_error(playing: Callable[..., FileGateway]) -> None:
    """It is taken, its name is used, and status 0 comes instead of an answer."""
    async with playing() as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b""))
        await gateway.play()
        assert [one.name for one in gateway.out(USER)] == ["status_Manifest_A1_0.xml"]


# ── what is put out ──────────────────────────────────────────────────────────


async def put_out(gateway: FileGateway) -> list[str]:
    """Upload a file, let all time pass, and list what came."""
    await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
    await gateway.play()
    return [one.name for one in gateway.put_out]


async def test_an_upload_may_be_answered_twice(playing: Callable[..., FileGateway]) -> None:
    """A second response has another name and content; a copy has the same name and the same octets."""
    twice = [PutOut(kind=OutKind.ANSWERED), PutOut(kind=OutKind.COPY), PutOut(kind=OutKind.ANSWERED)]
    async with playing(*twice) as gateway:
        names = await put_out(gateway)
    assert names == [
        "response_Manifest_A1.xml",
        "status_Manifest_A1_3.xml",
        "response_Manifest_A1.xml",
        "response_Manifest_A1_2.xml",
        "status_Manifest_A1_3.xml",
    ]
    assert gateway.put_out[0].octets == gateway.put_out[2].octets != gateway.put_out[3].octets
    assert read_report(gateway.put_out[4].octets).response == "response_Manifest_A1_2.xml"


async def test_foreign_files_lie_in_out(playing: Callable[..., FileGateway]) -> None:
    """A response to a file that was never uploaded, a status 3 that announces an unrelated file, and any other file."""
    async with playing(PutOut(kind=OutKind.FOREIGN), PutOut(kind=OutKind.UNRELATED)) as gateway:
        gateway.put(USER, "readme.txt", b"hello")
        await put_out(gateway)
        files = await fetched(gateway)
    assert sorted(files) == [
        "message_Manifest_1.xml",
        "readme.txt",
        "response_Manifest_NEVER_UPLOADED_1.xml",
        "status_Manifest_A1_3.xml",
        "status_Manifest_NEVER_UPLOADED_1_3.xml",
    ]
    assert read_report(files["status_Manifest_A1_3.xml"]).response == "message_Manifest_1.xml"
    assert [one.upload for one in gateway.put_out if one.name.endswith("_3.xml")] == [None, gateway.uploads[0]]


async def test_a_response_may_come_without_a_status(playing: Callable[..., FileGateway]) -> None:
    """And a status without a response; an error is told by status 0."""
    out = [PutOut(kind=OutKind.RESPONSE, body=b"<Answer/>"), PutOut(kind=OutKind.ERROR)]
    async with playing(*out) as gateway:
        assert await put_out(gateway) == ["response_Manifest_A1.xml", "status_Manifest_A1_0.xml"]
    assert gateway.put_out[0].octets == b"<Answer/>"
    assert read_report(gateway.put_out[1].octets).error_code == "FILE_INVALID"


async def test_while_the_backend_is_away_nothing_comes(playing: Callable[..., FileGateway]) -> None:
    """Uploads are taken; status 1 and 2 come late, and status 0 never, not even for a file that is wrong."""
    begins = datetime(2026, 11, 2, 7, tzinfo=UTC)
    away = BackendAway(begins=begins, ends=begins + timedelta(days=2))
    async with playing(script=FileScript(away=(away,))) as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Other/>"))
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A2", b""))
        await gateway.play(timedelta(hours=47))
        assert gateway.put_out == []
        await gateway.play()
    assert [(one.name, one.at - away.ends) for one in gateway.put_out] == [
        ("status_Manifest_A1_1.xml", timedelta(seconds=10)),
        ("status_Manifest_A1_2.xml", timedelta(minutes=1)),
        ("response_Manifest_A1.xml", timedelta(minutes=5)),
        ("status_Manifest_A1_3.xml", timedelta(minutes=5)),
    ]


async def test_the_first_scenario_that_fits_applies(playing: Callable[..., FileGateway]) -> None:
    """By service and name, and as often as it says; an upload that none fits gets nothing."""
    script = FileScript(
        scenarios=(
            FileScenario(file_name="A2", out=(PutOut(kind=OutKind.ERROR),)),
            FileScenario(service="manifest", times=1, out=(PutOut(kind=OutKind.TAKEN),)),
        )
    )
    async with playing(script=script) as gateway:
        for name in ("A1", "A2", "A3"):
            await by_client(gateway, lambda client, name=name: client.put(f"{FOLDER}/{name}", b"<Manifest/>"))  # type: ignore[misc]
        await gateway.play()
    assert [one.name for one in gateway.put_out] == ["status_Manifest_A1_2.xml", "status_Manifest_A2_0.xml"]


# ── the server ───────────────────────────────────────────────────────────────


async def test_curl_uploads_and_fetches(playing: Callable[..., FileGateway], tmp_path: Path) -> None:
    """A client that nobody here wrote does the same, with explicit and with implicit TLS."""
    curl = shutil.which("curl")
    assert curl is not None
    (tmp_path / "manifest.xml").write_bytes(b"<Manifest/>")

    async def run(*words: str) -> bytes:
        files = [f"--cacert={gateway.tls.ca_file}", f"--cert={gateway.tls.client_certificate}"]
        words = ("--silent", "--show-error", "--ssl-reqd", "--user", f"{USER.username}:geheim", *words)
        options = [word for option in files for word in option.split("=")]
        process = await asyncio.create_subprocess_exec(
            curl, *options, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        return out

    async with playing() as gateway:
        places = (f"ftp://127.0.0.1:{gateway.port}", f"ftps://127.0.0.1:{gateway.tls_port}")
        for number, place in enumerate(places):
            await run("--upload-file", str(tmp_path / "manifest.xml"), f"{place}{FOLDER}/A{number}")
        await gateway.play()
        for number, place in enumerate(places):
            listed = (await run("--list-only", f"{place}{OUT}/")).decode().splitlines()
            assert f"response_Manifest_A{number}.xml" in listed
            assert f"<File>A{number}</File>".encode() in await run(f"{place}{OUT}/response_Manifest_A{number}.xml")
            await run("--quote", f"DELE {OUT}/response_Manifest_A{number}.xml", f"{place}/", "--list-only")
        assert len(gateway.out(USER)) == 6


async def test_passive_ports_are_kept_to(playing: Callable[..., FileGateway]) -> None:
    """Data connections use the ports that were named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async with playing(passive_ports=range(port, port + 1)) as gateway:
        assert await by_client(gateway, lambda client: client.makepasv()) == ("127.0.0.1", port)


async def test_the_gateway_leaves_nothing_behind(playing: Callable[..., FileGateway]) -> None:
    """When it ends, its thread, its ports and every connection are closed, also those in the middle of something."""
    gateway = playing()
    async with gateway:
        context = context_of(gateway.tls.ca_file, gateway.tls.client_certificate)
        clients = [await asyncio.to_thread(FtpsClient.opened, gateway.port, context) for _ in range(3)]
        # One begins an upload, one opens no data connection, one has only connected.
        data = await asyncio.to_thread(lambda: clients[0].transfercmd(f"STOR {FOLDER}/A1"))
        clients[1].makepasv()
        plain = socket.create_connection(("127.0.0.1", gateway.tls_port))
        port = gateway.port
    assert [] == [thread.name for thread in threading.enumerate() if thread.name == "htpoort-ftps"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port)).close()
    for client in clients:
        with pytest.raises((EOFError, OSError)):
            client.voidcmd("NOOP")
        client.close()
    data.close()
    plain.close()
    assert (gateway.uploads, gateway.port) == ([], 0)


async def test_it_can_be_entered_again(playing: Callable[..., FileGateway]) -> None:
    """What it took before is kept; what was still to be put out is dropped."""
    gateway = playing()
    for name in ("A1", "A2"):
        async with gateway:
            await by_client(gateway, lambda client, name=name: client.put(f"{FOLDER}/{name}", b"<Manifest/>"))  # type: ignore[misc]
    async with gateway:
        await gateway.play()
    assert [[one.name for one in gateway.uploads], gateway.put_out] == [["A1", "A2"], []]


async def test_a_port_in_use_is_an_error(playing: Callable[..., FileGateway]) -> None:
    """It cannot start; nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = playing(tls_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            async with gateway:
                pass


async def test_passwords_are_in_no_dialogue(playing: Callable[..., FileGateway]) -> None:
    """The journal has what was said, line by line, but no password and no content."""
    async with playing() as gateway:
        await by_client(gateway, lambda client: client.put(f"{FOLDER}/A1", b"<Manifest/>"))
        await asyncio.sleep(0)
        (dialogue,) = gateway.journal.dialogues
        lines = [line.text for line in dialogue.lines]
    assert dialogue.protocol == "FTPS"
    assert "PASS •••" in lines
    assert f"STOR {FOLDER}/A1" in lines
    assert not any("geheim" in line or "<Manifest/>" in line for line in lines)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"host": "0.0.0.0"}, "simulator.beyond-loopback"),  # noqa: S104 - it is refused
        ({"users": []}, "simulator.file-user"),
        ({"users": [USER, USER]}, "simulator.file-user"),
        ({"services": [MANIFEST, MANIFEST]}, "simulator.service"),
        ({"script": FileScript(scenarios=(FileScenario(service="Other"),))}, "simulator.service"),
        ({"tls": GatewayTls(certificate="server.pem")}, "simulator.tls"),
    ],
)
def test_what_cannot_be_played_is_refused(
    playing: Callable[..., FileGateway], settings: dict[str, Any], code: str
) -> None:
    """Before anything listens, with every problem."""
    with pytest.raises(InputError) as caught:
        playing(**settings)
    assert [problem.code for problem in caught.value.problems] == [code]


async def test_it_ends_if_its_thread_was_just_awake(
    playing: Callable[..., FileGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread may see that it shall end, and end, before it is woken for it."""
    wake = _ftps_server._Waker.wake

    def late(self: _ftps_server._Waker) -> None:
        wake(self)
        for thread in threading.enumerate():
            if thread.name == "htpoort-ftps":
                thread.join()
        wake(self)

    async with playing():
        monkeypatch.setattr(_ftps_server._Waker, "wake", late)
    assert [] == [thread.name for thread in threading.enumerate() if thread.name == "htpoort-ftps"]
