"""Trying a file gateway: each step is seen, also a connection for data, and no file is touched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ftps_account import FILE, account, box
from ftps_box import Fault
from ftps_server import MANIFEST, FtpsServer

from htpoort.transport import ProbedStep, Security, TlsSettings, probe

FIREWALL = "Check whether a firewall lets this machine connect to the passive ports of the server too."


def names(steps: tuple[ProbedStep, ...]) -> list[str]:
    """Return the names of the steps, the last of which failed."""
    assert [True] * (len(steps) - 1) + [False] == [one.succeeded for one in steps]
    return [one.step.value for one in steps]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
async def test_a_server_that_works(tmp_path: Path, authority: SimpleNamespace, security: Security) -> None:
    """TLS, login, an answer and a connection for data; no file is sent, fetched or deleted."""
    with FtpsServer(tmp_path, authority, implicit=security is Security.IMPLICIT, client=True, reuse=True) as server:
        steps = await probe(account(server.port, authority, security=security))
    assert ["resolve", "connect", "tls", "login", "answer"] == [one.step.value for one in steps]
    assert all(one.succeeded and not one.advice for one in steps)
    assert f"localhost:{server.port} answers" == steps[1].message
    assert "TLSv1.3, with a certificate for localhost, 127.0.0.1" == steps[2].message
    assert "logged in as CVR_12345678_UI_12345678" == steps[3].message
    assert "NOOP: I successfully did nothing'." == steps[4].message
    assert [True] == server.reused
    assert not {command.split()[0] for command in server.commands} & {"STOR", "RETR", "DELE"}


async def test_without_a_login(authority: SimpleNamespace) -> None:
    """Without a login, TLS is the last step."""
    with box(authority) as server:
        steps = await probe(account(server.port, authority), log_in=False)
    assert ["resolve", "connect", "tls"] == [one.step.value for one in steps]
    assert ["AUTH TLS", "QUIT"] == server.commands


@pytest.mark.parametrize(
    ("faults", "steps", "message", "advice"),
    [
        ({"greeting": b"550 no\r\n"}, ["resolve", "connect"], "550 no", "Check server and port"),
        ({"AUTH": b"500 no\r\n"}, ["resolve", "connect", "tls"], "500 no", "Check port, security and ca_file."),
        ({"AUTH": "close"}, ["resolve", "connect", "tls"], "the server closed the connection", "Check port, security"),
        ({"PASS": b"530 no\r\n"}, ["resolve", "connect", "tls", "login"], "530 no", "Check user name and password."),
        (
            {"EPSV": b"229 (|||1|)\r\n"},
            ["resolve", "connect", "tls", "login", "answer"],
            "no connection for data to port 1: Connection refused",
            FIREWALL,
        ),
        (
            {"MLSD": b"425 no data\r\n"},
            ["resolve", "connect", "tls", "login", "answer"],
            "425 no data",
            "Try again later.",
        ),
        (
            {"NOOP": "close"},
            ["resolve", "connect", "tls", "login", "answer"],
            "closed the connection",
            "Try again later.",
        ),
    ],
)
async def test_what_fails(
    authority: SimpleNamespace, faults: dict[str, Fault], steps: list[str], message: str, advice: str
) -> None:
    """The first step that fails is the last, in the server's words and with what to do."""
    with box(authority, **faults) as server:
        found = await probe(account(server.port, authority))
    assert steps == names(found)
    assert message in found[-1].message
    assert found[-1].advice.startswith(advice)


async def test_a_folder_that_may_not_be_listed(authority: SimpleNamespace) -> None:
    """A server that lets the user list nothing at the beginning works all the same."""
    with box(authority, {f"{MANIFEST}/m1": FILE}, MLSD=b"550 permission denied\r\n") as server:
        steps = await probe(account(server.port, authority))
    assert all(one.succeeded for one in steps)


async def test_a_certificate_of_another_name(authority: SimpleNamespace, tmp_path: Path) -> None:
    """The names of the certificate are in the advice."""
    with FtpsServer(tmp_path, authority, certificate=authority.elsewhere) as server:
        found = await probe(account(server.port, authority))
    assert ["resolve", "connect", "tls"] == names(found)
    assert "Its certificate is for elsewhere.example; give the server by one of these names." == found[-1].advice


async def test_a_file_that_is_not_there(authority: SimpleNamespace) -> None:
    """A file of the TLS settings that cannot be read is named, and nothing is connected to."""
    with box(authority) as server:
        found = await probe(account(server.port, authority, tls=TlsSettings(ca_file="no-such-file.pem")))
    assert ["resolve", "tls"] == names(found)
    assert "ca_file cannot be used" in found[-1].message
    assert 0 == server.connections
