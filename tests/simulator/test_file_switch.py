"""The switch of 7 October 2020: what each gateway takes and gives out, before, during and after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ftplib import error_perm
from typing import TypeVar

import pytest
from ftps_client import ROOT, FtpsClient, context_of

from htpoort.files import NAME_REUSED, GatewayUser, read_report
from htpoort.simulator import (
    ClientCertificate,
    FileGateway,
    FileUser,
    GatewayTls,
    SimulatedClock,
    SimulatedGateways,
)

T = TypeVar("T")

USER = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")
BEFORE = datetime(2020, 10, 7, 3, 58, tzinfo=UTC)  # 05:58 in Copenhagen
DURING = datetime(2020, 10, 7, 4, tzinfo=UTC)
AFTER = datetime(2020, 10, 7, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make an authority and a client's certificate."""
    return GatewayTls.made(tmp_path_factory.mktemp("ftps"), client=ClientCertificate.REQUIRED)


async def by_client(gateway: FileGateway, work: Callable[[FtpsClient], T]) -> T:
    """Log in with a client of the standard library in a thread, and do some work."""

    def run() -> T:
        context = context_of(gateway.tls.ca_file, gateway.tls.client_certificate)
        client = FtpsClient.opened(gateway.port, context)
        try:
            return work(client)
        finally:
            client.close()

    return await asyncio.to_thread(run)


async def upload(gateway: FileGateway, name: str) -> str:
    """Upload a file; return the response."""

    def work(client: FtpsClient) -> str:
        try:
            return client.put(f"{ROOT}/Manifest/{name}", f"<Manifest>{name}</Manifest>".encode())
        except error_perm as error:
            return str(error)

    return await by_client(gateway, work)


async def test_uploads_move_from_the_old_gateway_to_the_new_one(tls: GatewayTls) -> None:
    """Before: the old one alone. During: both take files, and the new one processes them. After: the new one alone."""
    clock = SimulatedClock(BEFORE)
    async with SimulatedGateways(tls=tls, users=[USER], clock=clock) as gateways:
        codes = []
        for number, moment in enumerate((BEFORE, DURING, AFTER)):
            await clock.advance_to(moment)
            answers = [await upload(gateways.old, f"A{number}"), await upload(gateways.new, f"B{number}")]
            codes.append([answer[:3] for answer in answers])
        assert codes == [["226", "550"], ["226", "226"], ["550", "226"]]
        processed = [("old" if one is gateways.old else "new", file.name) for one, file in gateways.processed]
        assert processed == [("old", "A0"), ("new", "A1"), ("new", "B1"), ("new", "B2")]


async def test_each_answer_comes_where_the_file_was_processed(tls: GatewayTls) -> None:
    """The old gateway still gives out what belongs to files from before, until nothing is left in it."""
    clock = SimulatedClock(BEFORE)
    async with SimulatedGateways(tls=tls, users=[USER], clock=clock) as gateways:
        await upload(gateways.old, "A0")
        await clock.advance_to(DURING)
        await upload(gateways.old, "A1")
        await upload(gateways.new, "B1")
        await gateways.play(AFTER - DURING)

        async def responses(gateway: FileGateway) -> list[str]:
            names = await by_client(gateway, lambda client: client.names(f"{ROOT}/out"))
            return [name for name in names if name.startswith("response")]

        assert await responses(gateways.old) == ["response_Manifest_A0.xml"]
        assert await responses(gateways.new) == ["response_Manifest_A1.xml", "response_Manifest_B1.xml"]
        # What lies in the old gateway can be deleted after the switch, too.
        await by_client(
            gateways.old,
            lambda client: [client.delete(f"{ROOT}/out/{name}") for name in client.names(f"{ROOT}/out")],
        )
        assert gateways.old.out(USER) == ()


async def test_a_name_of_the_switch_is_used_at_the_new_gateway(tls: GatewayTls) -> None:
    """What went to the old gateway during the switch is known to the new one; what went there before is not."""
    clock = SimulatedClock(BEFORE)
    async with SimulatedGateways(tls=tls, users=[USER], clock=clock) as gateways:
        await upload(gateways.old, "A0")
        await clock.advance_to(DURING)
        await upload(gateways.old, "A1")
        await clock.advance_to(AFTER)
        for name in ("A0", "A1"):
            assert await upload(gateways.new, name) == "226 Transfer complete"
        await gateways.play()
        errors = [
            (one.name, read_report(one.octets).error_code)
            for one in gateways.new.out(USER)
            if one.name.endswith("_0.xml")
        ]
        assert errors == [("status_Manifest_A1_0.xml", NAME_REUSED)]
        # A file that goes to both is processed twice: it is the client that must not upload it again.
        assert [file.name for _, file in gateways.processed] == ["A0", "A1", "A0"]


async def test_time_passes_for_both(tls: GatewayTls) -> None:
    """The next moment is the first of both, and what is due at one does not wait for the other."""
    clock = SimulatedClock(DURING)
    async with SimulatedGateways(tls=tls, users=[USER], clock=clock) as gateways:
        assert gateways.next_moment is None
        await upload(gateways.new, "B1")
        await gateways.wait_for_due()
        assert gateways.next_moment == DURING + timedelta(seconds=10)
        await gateways.play(timedelta(hours=1))
        assert (clock(), gateways.next_moment) == (DURING + timedelta(hours=1), None)
        assert len(gateways.new.put_out) == 4
