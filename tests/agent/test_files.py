"""An agent with a file gateway: what is uploaded, what is fetched, and what a broken connection leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest
from agents import QUICK, Process, now

from htpoort import InputError, Quarantined, Reason, Router, State, UnknownError
from htpoort.agent import Agent, FileGatewaySettings, fetch_files_once
from htpoort.files import (
    MANIFEST_2020,
    FileRouter,
    FileService,
    FileStatus,
    GatewayUser,
    StatusReport,
    build_file,
    octets_of,
    render_report,
)
from htpoort.ledger import Exchange, Ledger
from htpoort.simulator import (
    MANIFEST,
    ClientCertificate,
    FaultAction,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    FtpsFault,
    FtpsStep,
    GatewayTls,
    Kept,
    NameReuse,
    OutKind,
    PutOut,
)
from htpoort.transport import FtpsAccount, FtpsFailure, Security, TlsSettings

USER = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")
PARTY = "CVR_12345678_UI_12345678"
SOON = timedelta(milliseconds=20)
ANSWERS = (OutKind.HANDED_OVER, OutKind.TAKEN, OutKind.ANSWERED)
ASKS_SOON = (timedelta(milliseconds=10),)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make an authority and a client's certificate."""
    return GatewayTls.made(tmp_path_factory.mktemp("ftps"), client=ClientCertificate.REQUIRED)


def answering(*kinds: OutKind, **script: Any) -> FileScript:
    """Write a script that puts these out for each upload, at once."""
    out = tuple(PutOut(kind=kind, after=SOON * number) for number, kind in enumerate(kinds or ANSWERS, start=1))
    return FileScript(scenarios=(FileScenario(out=out),), **script)


def account(gateway: FileGateway, **changes: Any) -> FtpsAccount:
    """Describe the account of the user."""
    tls = TlsSettings(ca_file=gateway.tls.ca_file, certificate=gateway.tls.client_certificate)
    usual: dict[str, Any] = {"host": "127.0.0.1", "port": gateway.port, "username": PARTY, "password": "geheim"}
    return FtpsAccount(**(usual | {"tls": tls, "timeout": 20.0} | changes))


def settings(gateway: FileGateway, **changes: Any) -> FileGatewaySettings:
    """Describe how an agent uses the gateway."""
    usual: dict[str, Any] = {
        "server": account(gateway),
        "user": USER.user,
        "services": (MANIFEST,),
        "poll_interval": SOON,
        "retry_schedule": ASKS_SOON,
    }
    return FileGatewaySettings(**(usual | changes))


async def holds(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.02)


@attrs.define
class Desk:
    """A ledger with files for the gateway, and the process that takes what comes back."""

    ledger: Ledger
    router: Router
    process: Process = attrs.field(factory=Process)

    def queue(self, *names: str) -> None:
        """Queue a file of each name."""
        for name in names:
            file = build_file(service=MANIFEST, user=USER.user, name=name, payload=f"<M>{name}</M>".encode())
            self.ledger.exchanges.queue(file, at=now())

    def find(self, name: str) -> Exchange:
        """Find the exchange of a file."""
        exchange = self.ledger.exchanges.find(name, party=PARTY)
        assert exchange is not None
        return exchange

    def agent(self, *gateways: FileGatewaySettings, **options: Any) -> Agent:
        """Make an agent that delivers to the process."""
        deliveries = {"MANIFEST": self.process}
        return Agent(
            ledger=self.ledger,
            router=self.router,
            file_gateways=gateways,
            **{"deliveries": deliveries, "timing": QUICK, **options},
        )

    @asynccontextmanager
    async def running(self, *gateways: FileGatewaySettings) -> AsyncGenerator[Agent]:
        """Run an agent."""
        async with self.agent(*gateways) as agent:
            yield agent

    async def reaches(self, name: str, *states: State) -> State:
        """Wait until a file is in one of some states."""
        await holds(lambda: self.find(name).state in states)
        return self.find(name).state

    def events(self, name: str) -> list[str]:
        """List what happened to a file, without what every file has."""
        (story,) = self.ledger.story(name, party=PARTY)
        return [entry.event for entry in story.entries if entry.event not in {"queued", "attempt-started", "delivered"}]


@pytest.fixture
def desk(ledger: Ledger, router: Router) -> Desk:
    """Return a desk with an empty ledger."""
    return Desk(ledger, router)


Playing = Callable[..., FileGateway]


@pytest.fixture
def playing(tls: GatewayTls) -> Playing:
    """Make gateways that answer at once."""

    def make(script: FileScript | None = None, **options: Any) -> FileGateway:
        return FileGateway(tls=tls, users=[USER], script=script or answering(), **options)

    return make


async def emptied(gateway: FileGateway) -> None:
    """Wait until nothing is out any more."""
    await holds(lambda: gateway.next_moment is None and not gateway.out(USER))


# ── the usual way ────────────────────────────────────────────────────────────


async def test_a_file_goes_out_and_its_answers_come_back(desk: Desk, playing: Playing) -> None:
    """Each file arrives as it is; status files and response are stored, deleted there, and delivered in order."""
    desk.queue("A1", "A2")
    async with playing() as gateway, desk.running(settings(gateway)):
        assert [State.ANSWERED] * 2 == [await desk.reaches(name, State.ANSWERED) for name in ("A1", "A2")]
        await emptied(gateway)
        await desk.process.has(8)

    assert [("A1", b"<M>A1</M>"), ("A2", b"<M>A2</M>")] == [(one.name, one.octets) for one in gateway.uploads]
    assert sorted(one.name for one in gateway.put_out) == sorted(one.file.name for one in gateway.deleted)
    assert ["accepted", "handed-over", "taken", "response-announced", "reply-received"] == desk.events("A1")
    assert {octets_of(reply.raw) for reply in desk.process.taken} == {one.octets for one in gateway.put_out}


async def test_implicit_tls_and_several_connections(desk: Desk, playing: Playing) -> None:
    """The same with TLS from the first octet, and several uploads at once."""
    names = [f"B{number}" for number in range(6)]
    desk.queue(*names)
    async with playing() as gateway:
        implicit = account(gateway, port=gateway.tls_port, security=Security.IMPLICIT)
        async with desk.running(settings(gateway, server=implicit, connections=3)):
            for name in names:
                await desk.reaches(name, State.ANSWERED)

    assert names == sorted(one.name for one in gateway.uploads)


async def test_an_error_of_the_gateway_needs_a_person(desk: Desk, playing: Playing) -> None:
    """Status 0 fails the file, and is delivered like a reply."""
    desk.queue("A1")
    async with playing(answering(OutKind.ERROR)) as gateway, desk.running(settings(gateway)):
        await desk.reaches("A1", State.FAILED)
        await desk.process.has(1)

    assert ["accepted", "error-reported", "gateway-error"] == desk.events("A1")


# ── uploads that break off ───────────────────────────────────────────────────

DROPS = {
    "in the middle, nothing kept": FtpsFault(at=FtpsStep.STOR_CONTENT, action=FaultAction.DROP),
    "in the middle, a part kept": FtpsFault(at=FtpsStep.STOR_CONTENT, action=FaultAction.DROP, kept=Kept.PART),
    "at the end, nothing kept": FtpsFault(at=FtpsStep.STOR_END, action=FaultAction.DROP),
    "at the end, all kept": FtpsFault(at=FtpsStep.STOR_END, action=FaultAction.DROP, kept=Kept.ALL),
}


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "not-listed"])
@pytest.mark.parametrize("names", list(NameReuse))
@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
async def test_a_broken_upload_settles_itself(
    desk: Desk,
    playing: Playing,
    fault: FtpsFault,
    names: NameReuse,
    lists: bool,  # noqa: FBT001 - a parameter
) -> None:
    """However an upload breaks, and however the gateway refuses a used name, it is processed once and answered."""
    desk.queue("A1")
    script = answering(faults=(fault,), names=names, lists_uploads=lists)
    async with playing(script) as gateway, desk.running(settings(gateway)):
        await desk.reaches("A1", State.ANSWERED)
        await emptied(gateway)

    assert ["A1"] == [one.name for one in gateway.uploads if one.processed]
    assert State.ANSWERED == desk.find("A1").state


async def test_without_unique_names_it_waits(desk: Desk, playing: Playing) -> None:
    """Where a name may be used again, what may have arrived is not uploaded again: a status file settles it."""
    desk.queue("A1")
    late = FileScript(
        scenarios=(FileScenario(out=(PutOut(kind=OutKind.HANDED_OVER, after=timedelta(seconds=1)),)),),
        faults=(DROPS["at the end, all kept"],),
        lists_uploads=False,
    )
    async with playing(late) as gateway, desk.running(settings(gateway, unique_names=False)):
        assert State.UNKNOWN == await desk.reaches("A1", State.UNKNOWN, State.ACCEPTED)
        await desk.reaches("A1", State.ACCEPTED)

    assert ["outcome-unknown", "handed-over", "accepted"] == desk.events("A1")
    assert 1 == len(gateway.uploads)


async def test_a_used_name_of_another_file_is_refused(desk: Desk, playing: Playing) -> None:
    """If another program has used the name, the file is refused, and no other name is tried."""
    desk.queue("A1")
    async with playing(answering(names=NameReuse.STOR)) as gateway:
        async with desk.running(settings(gateway)):
            await desk.reaches("A1", State.ANSWERED)
        other = Ledger.open(desk.ledger.location.replace("htpoort.db", "other.db"))
        with other:
            second = Desk(other, desk.router)
            second.queue("A1")
            async with second.running(settings(gateway, fetch=False)):
                assert State.REFUSED == await second.reaches("A1", State.REFUSED, State.ACCEPTED)

    assert 1 == len(gateway.uploads)


async def test_a_wrong_password_costs_no_attempt(desk: Desk, playing: Playing) -> None:
    """A refused login pauses the gateway; the file waits as before, and only one login is tried for uploads."""
    desk.queue("A1", "A2")
    async with playing() as gateway:
        wrong = settings(gateway, server=account(gateway, password="wrong"), connections=4, fetch=False)
        async with desk.running(wrong):
            await holds(lambda: bool(desk.ledger.servers.paused()))
        port = gateway.port
        paused = desk.ledger.servers.paused()

    assert [State.QUEUED] * 2 == [desk.find(name).state for name in ("A1", "A2")]
    assert [f"FTPS 127.0.0.1:{port} as {PARTY}"] == [pause.name for pause in paused]
    assert 1 == len(gateway.failed_logins)


async def test_a_file_of_another_user_is_not_uploaded(desk: Desk, playing: Playing) -> None:
    """A gateway of one user never gets the file of another user."""
    other = GatewayUser.parse("CVR_12345678_UI_87654321")
    file = build_file(service=MANIFEST, user=other, name="C1", payload=b"<M/>")
    desk.ledger.exchanges.queue(file, at=now())
    async with playing() as gateway, desk.running(settings(gateway)):
        await holds(lambda: bool(list(desk.ledger.exchanges.listed(State.REFUSED))))

    assert [] == gateway.uploads


# ── what is fetched ──────────────────────────────────────────────────────────


def poll(desk: Desk, gateway: FileGateway, **options: Any) -> Any:
    """Poll the gateway once."""
    return fetch_files_once(
        desk.ledger, FileRouter(services=[MANIFEST], user=USER.user), account(gateway), clock=now, **options
    )


async def test_a_foreign_file_is_quarantined_and_deleted(desk: Desk, playing: Playing) -> None:
    """What belongs to no upload is stored for a person, and then deleted like all else."""
    async with playing() as gateway:
        gateway.put(USER, "newsletter.xml", b"<News/>")
        report = await poll(desk, gateway)

        assert ((), ("newsletter.xml",), None) == (gateway.out(USER), report.deleted, report.error)
    (stored,) = report.stored
    assert isinstance(stored.routing, Quarantined)
    assert Reason.FOREIGN_FILE == stored.routing.reason
    assert b"<News/>" == octets_of(desk.ledger.quarantine.message(stored.key))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (FtpsFault(at=FtpsStep.RETR, action=FaultAction.REFUSE), "ftps.not-fetched"),
        (FtpsFault(at=FtpsStep.RETR_CONTENT, action=FaultAction.DROP), "ftps.breaks"),
    ],
)
async def test_a_file_that_cannot_be_fetched_stops_no_other(
    desk: Desk, playing: Playing, fault: FtpsFault, code: str
) -> None:
    """It stays there with its reason, the others are fetched, and the next poll gets it."""
    async with playing(FileScript(faults=(fault,))) as gateway:
        for name in ("a.xml", "b.xml", "c.xml"):
            gateway.put(USER, name, b"<x/>" * 10_000)
        first = await poll(desk, gateway)
        second = await poll(desk, gateway)

    assert [("a.xml", code)] == [(left.name, left.problem.code) for left in first.left]
    assert [("b.xml", "c.xml"), ("a.xml",)] == [first.deleted, second.deleted]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_deletion_that_breaks_loses_nothing(
    desk: Desk,
    playing: Playing,
    deleted: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A file is stored before it is deleted; if it is still there, it is fetched again and counted once."""
    fault = FtpsFault(at=FtpsStep.DELE, action=FaultAction.DROP, deleted=deleted)
    async with playing(FileScript(faults=(fault,))) as gateway:
        gateway.put(USER, "a.xml", b"<x/>")
        first = await poll(desk, gateway)
        second = await poll(desk, gateway)

        assert () == gateway.out(USER)
    assert ["a.xml"] == [left.name for left in first.left]
    assert ((), ()) == (second.seen_again, second.stored) if deleted else ("a.xml",) == second.seen_again
    assert [1] == [held.copies for held in desk.ledger.quarantine.listed()]


async def test_a_file_that_is_still_written_stays(desk: Desk, playing: Playing) -> None:
    """An empty file may be one that is just being written: it is left alone until it has octets."""
    async with playing() as gateway:
        gateway.put(USER, "a.xml", b"")
        first = await poll(desk, gateway)
        gateway.put(USER, "a.xml", b"<x/>")
        second = await poll(desk, gateway)

    assert [("a.xml", "ftps.empty")] == [(left.name, left.problem.code) for left in first.left]
    assert ("a.xml",) == second.deleted


async def test_a_file_that_grows_is_not_deleted(desk: Desk, playing: Playing) -> None:
    """What is no longer as it was fetched stays there, and the next poll fetches all of it."""
    async with playing() as gateway:
        gateway.put(USER, "a.xml", b"<x>")
        first = await poll(desk, gateway, on_stored=lambda _: gateway.put(USER, "a.xml", b"<x></x>"))
        second = await poll(desk, gateway)

    assert [("a.xml", "ftps.changed")] == [(left.name, left.problem.code) for left in first.left]
    assert ("a.xml",) == second.deleted
    assert [b"<x>", b"<x></x>"] == [octets_of(raw) for _, raw in desk.ledger.quarantine.messages()]


async def test_status_files_come_before_what_they_announce(desk: Desk, playing: Playing) -> None:
    """A response whose name carries nothing belongs to the upload whose status 3 names it, in the same poll."""
    desk.queue("Z9")
    async with playing(FileScript(scenarios=())) as gateway:
        async with desk.running(settings(gateway, fetch=False)):
            await desk.reaches("Z9", State.ACCEPTED)
        gateway.put(USER, "answer.xml", b"<Answer/>")
        announced = render_report(StatusReport(file_name="Z9", response="answer.xml"))
        gateway.put(USER, "status_Manifest_Z9_3.xml", announced)
        report = await poll(desk, gateway)

    assert [FileStatus.ANSWERED, None] == [stored.routing.status for stored in report.stored]
    assert State.ANSWERED == desk.find("Z9").state


async def test_many_files_take_several_polls(desk: Desk, playing: Playing) -> None:
    """At most a hundred are fetched before they are deleted; the agent goes on at once."""
    async with playing() as gateway:
        for number in range(103):
            gateway.put(USER, f"n{number:03}.xml", b"<x/>")
        report = await poll(desk, gateway)
        assert (100, 3) == (len(report.deleted), report.more)
        async with desk.running(settings(gateway)):
            await emptied(gateway)

    assert 103 == sum(1 for _ in desk.ledger.quarantine.listed())


async def test_a_poll_that_cannot_log_in(desk: Desk, playing: Playing) -> None:
    """The report has the error, and nothing was stored."""
    async with playing() as gateway:
        router = FileRouter(services=[MANIFEST], user=USER.user)
        report = await fetch_files_once(desk.ledger, router, account(gateway, password="wrong"), clock=now)

    assert report.error is not None
    assert (FtpsFailure.LOGIN, ()) == (report.error.kind, report.stored)


# ── two gateways ─────────────────────────────────────────────────────────────


async def test_the_old_gateway_is_emptied_after_the_switch(desk: Desk, playing: Playing) -> None:
    """What was uploaded to the old gateway is answered there, while new files go to the new one."""
    desk.queue("A1")
    slow = FileScript(scenarios=(FileScenario(out=(PutOut(kind=OutKind.ANSWERED, after=timedelta(seconds=2)),)),))
    async with playing(slow, rules=MANIFEST_2020.old) as old, playing() as new:
        async with desk.running(settings(old)):
            await desk.reaches("A1", State.ACCEPTED)
        desk.queue("A2")
        async with desk.running(settings(old, upload=False), settings(new)):
            await desk.reaches("A2", State.ANSWERED)
            await desk.reaches("A1", State.ANSWERED)
            await emptied(old)

    assert [["A1"], ["A2"]] == [[one.name for one in gateway.uploads] for gateway in (old, new)]


def test_what_an_agent_cannot_use(desk: Desk) -> None:
    """A service is uploaded to one gateway, no service has the name of a system, and deliveries name what is known."""
    server = FtpsAccount(host="127.0.0.1", username=PARTY, password="geheim")
    one = FileGatewaySettings(server=server, user=USER.user, services=(MANIFEST,))
    with pytest.raises(InputError, match="MANIFEST is uploaded by two gateways"):
        desk.agent(one, one)
    with pytest.raises(InputError, match="dms is also a system of the directory"):
        desk.agent(attrs.evolve(one, services=(FileService(name="dms", service="D"),)), deliveries={})
    with pytest.raises(UnknownError, match="CVR_12345678_UI_00000000"):
        desk.agent(one, party_deliveries={("manifest", "CVR_12345678_UI_00000000"): desk.process})
    with pytest.raises(InputError, match=r"(?s)services is empty.*upload and fetch are both false"):
        FileGatewaySettings(server=server, user=USER.user, services=(), upload=False, fetch=False)
