"""The faults of the file gateway, each as a foreign client sees it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from ftplib import Error as FtpError
from typing import Any

import pytest
from ftps_client import ROOT, FtpsClient, context_of

from htpoort import InputError
from htpoort.files import GatewayUser
from htpoort.simulator import (
    ClientCertificate,
    FaultAction,
    FileGateway,
    FileScript,
    FileUser,
    FtpsFault,
    FtpsStep,
    GatewayTls,
    Kept,
    SimulatedClock,
)

USER = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")
OUT = f"{ROOT}/out"
FOLDER = f"{ROOT}/Manifest"
OCTETS = b"<Manifest/>" * 20_000
LOST = (EOFError, OSError)

REFUSE, DEFER, DROP, STALL, TRICKLE = (
    FaultAction.REFUSE,
    FaultAction.DEFER,
    FaultAction.DROP,
    FaultAction.STALL,
    FaultAction.TRICKLE,
)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make an authority and a client's certificate."""
    return GatewayTls.made(tmp_path_factory.mktemp("ftps"), client=ClientCertificate.REQUIRED)


@asynccontextmanager
async def showing(tls: GatewayTls, *faults: FtpsFault) -> AsyncGenerator[FileGateway]:
    """Play a gateway with faults, which has put a file out."""
    script = FileScript(faults=faults)
    async with FileGateway(tls=tls, users=[USER], clock=SimulatedClock(), script=script) as gateway:
        gateway.put(USER, "status_Manifest_A0_1.xml", OCTETS)
        yield gateway  # noqa: RUF075 - a test that fails checks no more
        assert [fault for _, fault in gateway.shown_faults] == list(faults)


async def by_client(gateway: FileGateway, work: Callable[[FtpsClient], Any]) -> Any:
    """Log in with a client of the standard library in a thread, and do some work; return a response that refuses it."""

    def run() -> Any:
        client: FtpsClient | None = None
        try:
            client = FtpsClient.opened(gateway.port, context_of(gateway.tls.ca_file, gateway.tls.client_certificate))
            return work(client)
        except FtpError as error:
            return str(error)
        finally:
            if client is not None:
                client.close()

    return await asyncio.to_thread(run)


def upload(client: FtpsClient) -> str:
    """Upload a file in the usual way."""
    return client.put(f"{FOLDER}/A1", OCTETS)


def stopped(client: FtpsClient) -> None:
    """Begin an upload, and wait until the gateway has cut it off, without a word on the control connection."""
    data = client.transfercmd(f"STOR {FOLDER}/A1")
    with suppress(*LOST):
        data.sendall(OCTETS)
        data.unwrap() if isinstance(data, ssl.SSLSocket) else None
    data.close()
    with pytest.raises(LOST):
        client.voidresp()


def look(client: FtpsClient) -> dict[str, int | None]:
    """List the service folder with sizes."""
    return client.sizes(FOLDER)


# ── uploads ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kept", [Kept.NOTHING, Kept.PART, Kept.TAKEN_PART])
async def test_lost_in_the_middle_of_an_upload(tls: GatewayTls, kept: Kept) -> None:
    """Both connections are reset; nothing is there, or a part in the folder, or a part that is taken for the file."""
    async with showing(tls, FtpsFault(at=FtpsStep.STOR_CONTENT, action=DROP, kept=kept)) as gateway:
        await by_client(gateway, stopped)
        there = await by_client(gateway, look)
        taken = [(one.name, one.whole, one.processed) for one in gateway.uploads]
        assert all(0 < size < len(OCTETS) for size in there.values())
        assert {Kept.NOTHING: (0, []), Kept.PART: (1, []), Kept.TAKEN_PART: (1, [("A1", False, False)])}[kept] == (
            len(there),
            taken,
        )
        # The next upload of the name tells them apart.
        assert await by_client(gateway, upload) == "226 Transfer complete"
        await gateway.play()
        last = gateway.uploads[-1]
        names = [one.name for one in gateway.out(USER)]
    assert (last.octets, last.processed) == (OCTETS, kept is not Kept.TAKEN_PART)
    assert ("status_Manifest_A1_0.xml" in names) is (kept is Kept.TAKEN_PART)


@pytest.mark.parametrize("kept", [Kept.NOTHING, Kept.ALL])
async def test_lost_after_the_end_of_an_upload(tls: GatewayTls, kept: Kept) -> None:
    """All octets arrived, and no 226 comes; whether the file is there, only the gateway knows."""
    async with showing(tls, FtpsFault(at=FtpsStep.STOR_END, action=DROP, kept=kept)) as gateway:
        await by_client(gateway, stopped)
        there = await by_client(gateway, look)
        assert there == ({"A1": len(OCTETS)} if kept is Kept.ALL else {})
        assert [one.octets for one in gateway.uploads] == ([OCTETS] if kept is Kept.ALL else [])
        await by_client(gateway, upload)
        assert [one.processed for one in gateway.uploads] == ([True, False] if kept is Kept.ALL else [True])


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (FtpsFault(at=FtpsStep.STOR, action=REFUSE), "553 File name not allowed"),
        (FtpsFault(at=FtpsStep.STOR, action=DEFER), "452 Insufficient storage space"),
        (FtpsFault(at=FtpsStep.STOR, action=REFUSE, code=550, text="No"), "550 No"),
        (FtpsFault(at=FtpsStep.STOR_END, action=REFUSE), "552 Exceeded storage allocation"),
        (FtpsFault(at=FtpsStep.STOR_END, action=DEFER), "451 Local error in processing"),
        (FtpsFault(at=FtpsStep.PASV, action=DEFER), "425 Can't open a data connection"),
        (FtpsFault(at=FtpsStep.PASS, action=REFUSE), "530 Not logged in"),
        (FtpsFault(at=FtpsStep.USER, action=REFUSE), "530 Not logged in"),
        (FtpsFault(at=FtpsStep.AUTH, action=REFUSE), "502 No TLS here"),
        (FtpsFault(at=FtpsStep.GREETING, action=REFUSE), "530 Not accepted from this host"),
    ],
)
async def test_an_upload_may_be_refused_at_each_step(tls: GatewayTls, fault: FtpsFault, answer: str) -> None:
    """With the usual response or one of its own; nothing is kept, and the next attempt succeeds."""
    async with showing(tls, fault) as gateway:
        assert await by_client(gateway, upload) == answer
        assert gateway.uploads == []
        assert await by_client(gateway, upload) == "226 Transfer complete"


async def test_a_refusal_may_lie(tls: GatewayTls) -> None:
    """With kept=ALL the gateway answers 451, but has the file."""
    async with showing(tls, FtpsFault(at=FtpsStep.STOR_END, action=DEFER, kept=Kept.ALL)) as gateway:
        assert (await by_client(gateway, upload))[:3] == "451"
        assert [one.octets for one in gateway.uploads] == [OCTETS]


@pytest.mark.parametrize("at", [FtpsStep.GREETING, FtpsStep.USER, FtpsStep.PASS])
async def test_421_closes_the_connection(tls: GatewayTls, at: FtpsStep) -> None:
    """After it the client has to connect anew."""
    async with showing(tls, FtpsFault(at=at, action=DEFER)) as gateway:

        def run(client: FtpsClient) -> None:
            raise AssertionError(client)

        assert await by_client(gateway, run) == "421 Service not available, closing the control connection"
        assert await by_client(gateway, upload) == "226 Transfer complete"


async def test_421_at_the_end_of_an_upload_closes_too(tls: GatewayTls) -> None:
    """The response comes whole, then the connection ends."""

    def run(client: FtpsClient) -> str:
        with pytest.raises(FtpError) as caught:
            upload(client)
        with pytest.raises(LOST):
            client.voidcmd("NOOP")
        return str(caught.value)

    async with showing(tls, FtpsFault(at=FtpsStep.STOR_END, action=DEFER, code=421)) as gateway:
        assert (await by_client(gateway, run))[:3] == "421"


@pytest.mark.parametrize(
    "at",
    [at for at in FtpsStep if at not in {FtpsStep.STOR_CONTENT, FtpsStep.STOR_END, FtpsStep.RETR_CONTENT}],
)
async def test_the_connection_may_be_lost_at_each_command(tls: GatewayTls, at: FtpsStep) -> None:
    """It is reset in place of the response."""

    def run(client: FtpsClient) -> None:
        client.cwd(OUT)
        client.names(OUT)
        client.voidcmd("TYPE I")
        client.size("status_Manifest_A0_1.xml")
        client.get("status_Manifest_A0_1.xml")
        client.delete("status_Manifest_A0_1.xml")
        upload(client)
        client.quit()

    async with showing(tls, FtpsFault(at=at, action=DROP)) as gateway:
        with pytest.raises(LOST):
            await by_client(gateway, run)
        # Whatever was lost, the next session is whole.
        assert "226" in await by_client(gateway, upload)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(tls: GatewayTls) -> None:
    """Without the end of TLS an upload is not whole: it is not taken, whoever broke it off."""

    def leave(client: FtpsClient) -> str:
        data = client.transfercmd(f"STOR {FOLDER}/A1")
        data.sendall(OCTETS)
        data.shutdown(socket.SHUT_RDWR)
        data.close()
        return client.voidresp()

    async with showing(tls) as gateway:
        assert (await by_client(gateway, leave))[:3] == "426"
        assert gateway.uploads == []
        assert await by_client(gateway, look) == {}
        assert await by_client(gateway, upload) == "226 Transfer complete"


@pytest.mark.parametrize("rest", [b"", b"\x17\x03\x03\x00\x50abc", b"\x17\x03\x03\x00\x04abcd"])
async def test_a_client_that_is_killed_is_no_fault_of_the_gateway(
    tls: GatewayTls, caplog: pytest.LogCaptureFixture, rest: bytes
) -> None:
    """A control connection that ends within TLS closes its session, and the gateway reports nothing of its own."""

    def die(client: FtpsClient) -> str:
        client.sendcmd("NOOP")
        sock = client.sock
        assert isinstance(sock, ssl.SSLSocket)
        with socket.socket(fileno=sock.detach()) as plain:
            plain.sendall(rest)
        return "killed"

    async with showing(tls) as gateway:
        assert await by_client(gateway, die) == "killed"
        assert await by_client(gateway, upload) == "226 Transfer complete"
    assert [] == [record.getMessage() for record in caplog.records if record.name.startswith("pyftpdlib")]


async def test_data_without_tls_is_not_taken(tls: GatewayTls) -> None:
    """A data connection that never begins TLS gets no 226."""

    def plainly(client: FtpsClient) -> str:
        host, port = client.makepasv()
        with socket.create_connection((host, port)) as data:
            client.sendcmd(f"STOR {FOLDER}/A1")
            data.sendall(b"<Manifest/>\r\n" * 100)
            data.shutdown(socket.SHUT_WR)
            return client.voidresp()

    async with showing(tls) as gateway:
        assert (await by_client(gateway, plainly))[:3] in {"522", "426"}
        assert gateway.uploads == []


async def test_a_stall_lasts_until_somebody_leaves(tls: GatewayTls) -> None:
    """The gateway says nothing more; it closes without a word."""
    async with showing(tls, FtpsFault(at=FtpsStep.STOR_END, action=STALL, kept=Kept.ALL)) as gateway:

        def begin() -> FtpsClient:
            client = FtpsClient.opened(gateway.port, context_of(tls.ca_file, tls.client_certificate))
            data = client.transfercmd(f"STOR {FOLDER}/A1")
            data.sendall(OCTETS)
            # It does not answer the end of TLS either.
            data.shutdown(socket.SHUT_WR) if not isinstance(data, ssl.SSLSocket) else ended(data)
            data.close()
            return client

        client = await asyncio.to_thread(begin)
        while not gateway.uploads:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        assert await by_client(gateway, look) == {"A1": len(OCTETS)}
    with pytest.raises(LOST):
        await asyncio.to_thread(client.voidresp)
    client.close()


def ended(data: ssl.SSLSocket) -> None:
    """Send the end of TLS, and do not wait for that of the peer."""
    data.settimeout(0.05)
    with suppress(OSError):
        data.unwrap()


@pytest.mark.parametrize("at", [FtpsStep.GREETING, FtpsStep.AUTH, FtpsStep.PASV, FtpsStep.STOR, FtpsStep.QUIT])
async def test_a_response_may_trickle(tls: GatewayTls, at: FtpsStep) -> None:
    """It comes octet by octet, and is right."""

    def run(client: FtpsClient) -> str:
        upload(client)
        return client.quit()

    async with showing(tls, FtpsFault(at=at, action=TRICKLE)) as gateway:
        assert await by_client(gateway, run) == "221 Goodbye"
        assert [one.octets for one in gateway.uploads] == [OCTETS]


async def test_contents_may_flow_slowly(tls: GatewayTls) -> None:
    """They arrive whole, in both directions."""

    def run(client: FtpsClient) -> bytes:
        client.put(f"{FOLDER}/A1", OCTETS[:20_000])
        return client.get(f"{OUT}/status_Manifest_A0_1.xml")

    faults = [FtpsFault(at=at, action=TRICKLE) for at in (FtpsStep.STOR_CONTENT, FtpsStep.RETR_CONTENT)]
    async with showing(tls, *faults) as gateway:
        gateway.put(USER, "status_Manifest_A0_1.xml", OCTETS[:20_000])
        assert await by_client(gateway, run) == OCTETS[:20_000]
        assert gateway.uploads[0].octets == OCTETS[:20_000]


# ── fetches ──────────────────────────────────────────────────────────────────


async def test_lost_in_the_middle_of_a_fetch(tls: GatewayTls) -> None:
    """A part arrives, no 226; the file stays, and does not count as fetched."""

    def begin(client: FtpsClient) -> bytes:
        data = client.transfercmd(f"RETR {OUT}/status_Manifest_A0_1.xml")
        pieces = []
        with suppress(*LOST):
            while piece := data.recv(65_536):
                pieces.append(piece)
        data.close()
        with pytest.raises(LOST):
            client.voidresp()
        return b"".join(pieces)

    async with showing(tls, FtpsFault(at=FtpsStep.RETR_CONTENT, action=DROP)) as gateway:
        part = await by_client(gateway, begin)
        assert len(part) < len(OCTETS)
        assert OCTETS.startswith(part)
        assert gateway.fetched == []
        assert await by_client(gateway, lambda client: client.get(f"{OUT}/status_Manifest_A0_1.xml")) == OCTETS
        assert len(gateway.fetched) == 1


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("action", [DROP, DEFER])
async def test_a_deletion_may_be_uncertain(tls: GatewayTls, action: FaultAction, *, deleted: bool) -> None:
    """The connection is lost at DELE, or 450 comes: the file is there, or it is gone."""
    async with showing(tls, FtpsFault(at=FtpsStep.DELE, action=action, deleted=deleted)) as gateway:
        with suppress(*LOST):
            await by_client(gateway, lambda client: client.delete(f"{OUT}/status_Manifest_A0_1.xml"))
        assert len(gateway.out(USER)) == (not deleted)
        assert len(gateway.deleted) == deleted


@pytest.mark.parametrize(
    ("at", "code"), [(FtpsStep.CWD, "550"), (FtpsStep.LIST, "450"), (FtpsStep.RETR, "450"), (FtpsStep.SIZE, "550")]
)
async def test_a_fetch_may_be_refused_at_each_step(tls: GatewayTls, at: FtpsStep, code: str) -> None:
    """The session goes on."""

    def run(client: FtpsClient) -> list[str]:
        seen: list[str] = []
        for command in (
            lambda: client.cwd(OUT),
            lambda: client.names(OUT),
            lambda: client.voidcmd("TYPE I"),
            lambda: client.size(f"{OUT}/status_Manifest_A0_1.xml"),
            lambda: client.get(f"{OUT}/status_Manifest_A0_1.xml"),
        ):
            try:
                command()
            except FtpError as error:
                seen.append(str(error)[:3])
        return seen

    action = DEFER if code.startswith("4") else REFUSE
    async with showing(tls, FtpsFault(at=at, action=action)) as gateway:
        assert await by_client(gateway, run) == [code]
        assert len(gateway.fetched) == (at is not FtpsStep.RETR)


# ── faults as values ─────────────────────────────────────────────────────────


def test_the_places_are_those_of_the_dialogue() -> None:
    """A fault can be shown at each command that matters, and in the middle and at the end of a content."""
    expected = "greeting auth user pass cwd pasv list size stor stor-content stor-end retr retr-content dele quit"

    assert expected.split() == [at.value for at in FtpsStep]


@pytest.mark.parametrize("at", [at for at in FtpsStep if not at.endswith("content")])
@pytest.mark.parametrize(("action", "first"), [(REFUSE, 5), (DEFER, 4)])
def test_there_is_a_usual_reply_everywhere(at: FtpsStep, action: FaultAction, first: int) -> None:
    """At each step with a response, the gateway can refuse and defer, with a code of that kind."""
    code, text = FtpsFault(at=at, action=action).reply

    assert first == code // 100
    assert text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"at": "stor"}, "at is 'stor'; give one of greeting, "),
        ({"action": FaultAction.GREYLIST}, "action is greylist, which FTPS does not have"),
        ({"at": FtpsStep.STOR_CONTENT}, "action is refuse at stor-content; during a content, give drop, "),
        ({"action": DROP, "code": 550}, "code and text do not go with drop; leave them out."),
        ({"code": 450}, "code is 450; to refuse, give 500 to 599."),
        ({"text": "a\r\nb"}, "text is not one line of at most 500 printable ASCII characters"),
        ({"times": 0}, "times is 0; give at least 1, or always = true in a file, None in Python."),
        ({"kept": Kept.PART}, "kept is set at stor; it applies at stor-content and stor-end only"),
        ({"at": FtpsStep.STOR_END, "action": TRICKLE, "kept": Kept.ALL}, "kept does not go with trickle"),
        ({"at": FtpsStep.STOR_CONTENT, "action": DROP, "kept": Kept.ALL}, "kept is all at stor-content"),
        ({"deleted": True}, "deleted is set at stor; it applies at dele only, so leave it out."),
    ],
)
def test_values_that_contradict_each_other_are_refused(settings: dict[str, Any], expected: str) -> None:
    """Each has its sentence."""
    with pytest.raises(InputError) as caught:
        FtpsFault(**{"at": FtpsStep.STOR, "action": REFUSE, **settings})
    (problem,) = caught.value.problems
    assert problem.message.startswith(expected)
