"""Run the servers that take messages, ours and foreign ones, each on loopback with its own files."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from interop.programs import HERE, LIMIT, Program, folder, free_port, listening, run, running
from interop.relays import exim, haraka, sendmail
from interop.writers import HOST, Place

from htpoort import DMS
from htpoort.simulator import ClientCertificate, Gateway, GatewayTls
from htpoort.transport import Environment, Incoming, Receiver, TlsPolicy

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@attrs.frozen(kw_only=True)
class Files:
    """The PEM files of one authority and of a certificate for this machine."""

    ca: Path
    chain: Path
    key: Path
    both: Path
    client: Path

    def context(self, version: str) -> ssl.SSLContext:
        """Make a server's context for one version of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = VERSIONS[version]
        context.load_cert_chain(self.both)
        return context

    def of_gateway(self, version: str, client: ClientCertificate = ClientCertificate.NONE) -> GatewayTls:
        """The same for the simulator."""
        policy = TlsPolicy(environment=Environment.TEST, valid_from=None, announced=(VERSIONS[version],))
        return GatewayTls(certificate=self.both, ca_file=self.ca, client=client, policy=policy, announced_only=True)


@attrs.frozen(kw_only=True)
class Taking:
    """A server that accepts messages: its address, and how to wait for the message of a number, from 1."""

    place: Place
    came: Callable[[int], Awaitable[bytes]]


@attrs.define
class Kept:
    """The messages that a receiver of ours accepted, in order."""

    incoming: list[Incoming] = attrs.field(factory=list[Incoming])
    came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def __call__(self, incoming: Incoming) -> None:
        """Accept one message."""
        async with self.came:
            self.incoming.append(incoming)
            self.came.notify_all()

    async def number(self, number: int) -> bytes:
        """Wait for the message of a number."""
        async with asyncio.timeout(LIMIT), self.came:
            await self.came.wait_for(lambda: len(self.incoming) >= number)
        return self.incoming[number - 1].raw


def receiver(handler: Callable[[Incoming], Any], files: Files, tls: str | None, *mailboxes: str) -> Receiver:
    """Make a receiver of ours that requires one version of TLS."""
    context = None if tls is None else files.context(tls)
    return Receiver(handler, hostname="mx.example", mailboxes=mailboxes, tls=context, require_tls=tls is not None)


@asynccontextmanager
async def of_gateway(files: Files, tls: str | None, *, implicit: bool = False) -> AsyncGenerator[Taking]:
    """Run the simulator."""
    async with Gateway(tls=None if tls is None else files.of_gateway(tls)) as gateway:

        async def came(number: int) -> bytes:
            return gateway.received[number - 1].raw

        port = (gateway.smtps_port if implicit else None) or gateway.smtp_port
        yield Taking(place=Place(port=port, ca=files.ca if tls else None, implicit=implicit), came=came)
    assert [] == gateway.refused


@asynccontextmanager
async def of_receiver(files: Files, tls: str | None) -> AsyncGenerator[Taking]:
    """Run our receiver as the mailbox of DMS."""
    kept = Kept()
    async with receiver(kept, files, tls, DMS.mailbox) as ours:
        yield Taking(place=Place(port=ours.port, ca=files.ca if tls else None), came=kept.number)
    assert {tls is not None} == {incoming.tls for incoming in kept.incoming}


@asynccontextmanager
async def of_sink(_files: Files, tls: str | None) -> AsyncGenerator[Taking]:
    """Run Postfix's smtp-sink, which has no TLS and writes each message into a file."""
    assert tls is None
    with folder() as place:
        place.chmod(0o777)
        async with sink("-d", f"{place}/mail.") as (port, _program):
            seen: list[Path] = []

            async def came(number: int) -> bytes:
                seen.extend(path for path in place.iterdir() if path not in seen)
                return seen[number - 1].read_bytes()

            yield Taking(place=Place(port=port), came=came)


@asynccontextmanager
async def sink(*options: str) -> AsyncGenerator[tuple[int, Program]]:
    """Run smtp-sink with options; yields its port."""
    port = free_port()
    async with running("smtp-sink", "-c", "-u", "nobody", *options, f"{HOST}:{port}", "100") as program:
        await listening(port, program)
        yield port, program


@asynccontextmanager
async def of_npm(files: Files, tls: str | None) -> AsyncGenerator[Taking]:
    """Run npm's smtp-server, which reports the version of TLS of each message."""
    async with npm_server(files, tls) as (port, program):

        async def came(number: int) -> bytes:
            report = json.loads((await program.has(r'^\{"raw"', number))[number - 1].string)
            assert (None if tls is None else f"TLSv{tls}") == report["cipher"]
            return base64.b64decode(report["raw"])

        yield Taking(place=Place(port=port, ca=files.ca if tls else None), came=came)


@asynccontextmanager
async def npm_server(files: Files, tls: str | None, **login: str) -> AsyncGenerator[tuple[int, Program]]:
    """Run npm's smtp-server, optionally with a login; yields its port."""
    settings: dict[str, Any] = {**login}
    if tls is not None:
        pems = {"key": files.key.read_text(encoding="ascii"), "cert": files.chain.read_text(encoding="ascii")}
        settings["tls"] = pems | {"minVersion": f"TLSv{tls}", "maxVersion": f"TLSv{tls}"}
    async with running("node", HERE / "node" / "serve.js", json.dumps(settings)) as program:
        (report,) = await program.has(r'^\{"port":(\d+)\}$')
        yield int(report[1]), program


# ── Postfix ──────────────────────────────────────────────────────────────────

_MASTER: Final = """\
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@asynccontextmanager
async def postfix(files: Files, tls: str | None, **settings: str) -> AsyncGenerator[tuple[int, Program]]:
    """Run a whole Postfix with its own configuration and queue; yields the port of its smtpd."""
    port = free_port()
    with folder() as place:
        for name in ("etc", "queue", "data"):
            (place / name).mkdir()
        own = {name: (await run("postconf", "-dh", name)).decode().strip() for name in _INSTALLED}
        table = own | _postfix_settings(place) | _postfix_tls(files, tls) | settings
        lines = [f"{name} = {value}\n" for name, value in table.items()]
        (place / "etc/main.cf").write_text("".join(lines), encoding="ascii")
        (place / "etc/master.cf").write_text(_MASTER.format(port=port), encoding="ascii")
        await run("chown", own["mail_owner"], place / "data")
        command = ("postfix", "-c", place / "etc")
        async with running(*command, "start-fg", stop=(*command, "stop")) as program:
            await program.has("daemon started")
            yield port, program


_INSTALLED: Final = ("command_directory", "daemon_directory", "shlib_directory", "mail_owner")


def _postfix_settings(place: Path) -> dict[str, str]:
    """The settings that keep Postfix on loopback, off DNS and out of the machine's mail."""
    return {
        "compatibility_level": "3.6",
        "queue_directory": f"{place}/queue",
        "data_directory": f"{place}/data",
        "maillog_file": "/dev/stdout",
        "inet_interfaces": HOST,
        "inet_protocols": "ipv4",
        "myhostname": "mta.example",
        "mydestination": "",
        "mynetworks": f"{HOST}/32",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "notify_classes": "",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "default_transport": "error:nothing leaves this machine",
    }


def _postfix_tls(files: Files, tls: str | None) -> dict[str, str]:
    """The settings for exactly one version of TLS, to clients and to the next server."""
    if tls is None:
        return {}
    only = f">=TLSv{tls}, <=TLSv{tls}"
    return {
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_chain_files": str(files.both),
        "smtpd_tls_mandatory_protocols": only,
        "smtp_tls_security_level": "verify",
        "smtp_tls_verify_cert_match": "hostname",
        "smtp_tls_CAfile": str(files.ca),
        "smtp_tls_mandatory_protocols": only,
    }


@asynccontextmanager
async def of_postfix(files: Files, tls: str | None) -> AsyncGenerator[Taking]:
    """Run Postfix as a relay in front of our receiver, with the same TLS on both sides."""
    kept = Kept()
    async with receiver(kept, files, tls, DMS.mailbox) as ours:
        relay = f"smtp:[localhost]:{ours.port}"
        async with postfix(files, tls, default_transport=relay) as (port, _program):
            yield Taking(place=Place(port=port, ca=files.ca if tls else None), came=kept.number)
    assert {tls is not None} == {incoming.tls for incoming in kept.incoming}


def _in_front(
    relay: Callable[[int], AbstractAsyncContextManager[int]],
) -> Callable[[Files, str | None], AbstractAsyncContextManager[Taking]]:
    """Put a relay in front of our receiver."""

    @asynccontextmanager
    async def of_relay(files: Files, tls: str | None) -> AsyncGenerator[Taking]:
        assert tls is None
        kept = Kept()
        async with receiver(kept, files, None, DMS.mailbox) as ours, relay(ours.port) as port:
            yield Taking(place=Place(port=port), came=kept.number)

    return of_relay


SERVERS: Final[dict[str, Callable[[Files, str | None], AbstractAsyncContextManager[Taking]]]] = {
    "htpoort `Gateway`": of_gateway,
    "htpoort `Gateway`, implicit TLS": functools.partial(of_gateway, implicit=True),
    "htpoort `Receiver`": of_receiver,
    "smtp-sink": of_sink,
    "smtp-server": of_npm,
    "Postfix, then htpoort `Receiver`": of_postfix,
    "Sendmail, then htpoort `Receiver`": _in_front(sendmail),
    "Exim, then htpoort `Receiver`": _in_front(exim),
    "Haraka, then htpoort `Receiver`": _in_front(haraka),
}
SPOKEN: Final[dict[str, tuple[str, ...]]] = {
    "smtp-sink": ("none",),
    "htpoort `Gateway`, implicit TLS": ("1.2", "1.3"),
    # These are included for how they treat lines.
    "Sendmail, then htpoort `Receiver`": ("none",),
    "Exim, then htpoort `Receiver`": ("none",),
    "Haraka, then htpoort `Receiver`": ("none",),
}
"""The versions of TLS that a server is tested with, if not all: none, 1.2 and 1.3."""
