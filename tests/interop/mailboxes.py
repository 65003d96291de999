"""Keep replies in POP3 mailboxes, and fetch them with programs of other authors."""

from __future__ import annotations

import asyncio
import grp
import poplib
import pwd
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import attrs
from interop.hosts import courier, cyrus, put_in
from interop.messages import MAILBOX, PARTY, PASSWORD, PAYLOAD, REFERENCES, declaration
from interop.programs import Program, environment, folder, free_port, run, running
from interop.servers import Files, Kept, postfix, receiver
from interop.writers import HOST, Place, by_htpoort as by_sender, smtplib_message

from htpoort import DMS
from htpoort.simulator import Declarant, Gateway
from htpoort.transport import Pop3Account, Pop3Mailbox, SmtpServer, TlsSettings

FOLDED: Final = "folded@forwarder.example"


@attrs.frozen(kw_only=True)
class Account:
    """A mailbox over implicit TLS: its login, and the authority of its certificate."""

    user: str
    port: int
    files: Files

    @property
    def server(self) -> Pop3Account:
        """The mailbox, for our own client."""
        tls = TlsSettings(ca_file=self.files.ca)
        return Pop3Account(host="localhost", port=self.port, username=self.user, password=PASSWORD, tls=tls)


# ── collectors: each returns every mail of a mailbox ───────────────────────────


async def by_htpoort(account: Account) -> list[bytes]:
    """Fetch with our own client, which deletes what it has stored."""
    found: list[bytes] = []

    async def store(_uidl: str, raw: bytes) -> None:
        found.append(raw)

    await Pop3Mailbox(account.server).fetch(store)
    return found


async def by_poplib(account: Account) -> list[bytes]:
    """Fetch with the standard library."""

    def work() -> list[bytes]:
        context = ssl.create_default_context(cafile=account.files.ca)
        client = poplib.POP3_SSL("localhost", account.port, context=context)
        client.user(account.user)
        client.pass_(PASSWORD)
        count, _ = client.stat()
        found = [b"".join(line + b"\r\n" for line in client.retr(number)[1]) for number in range(1, count + 1)]
        client.quit()
        return found

    return await asyncio.to_thread(work)


async def by_curl(account: Account) -> list[bytes]:
    """Fetch with curl: the list, and then each mail."""
    url = f"pop3s://localhost:{account.port}/"
    options = ("--silent", "--show-error", "--cacert", account.files.ca, "--user", f"{account.user}:{PASSWORD}")
    numbers = [line.split()[0].decode() for line in (await run("curl", *options, url)).splitlines()]
    return [await run("curl", *options, f"{url}{number}") for number in numbers]


async def by_fetchmail(account: Account) -> list[bytes]:
    """Let fetchmail deliver by SMTP to our receiver."""
    kept = Kept()
    async with receiver(kept, account.files, None, MAILBOX) as ours:
        with folder() as place:
            lines = (
                f"poll localhost service {account.port} protocol pop3",
                f'user "{account.user}" password "{PASSWORD}" is "{MAILBOX}" here',
                f'ssl sslcertck sslcertfile "{account.files.ca}"',
                f'fetchall keep smtphost "{HOST}/{ours.port}" smtpname "{MAILBOX}"',
            )
            control = place / "fetchmailrc"
            control.write_text("\n".join(lines) + "\n", encoding="ascii")
            control.chmod(0o600)
            env = environment(HOME=str(place), FETCHMAILHOME=str(place))
            # Otherwise two of root share one file, and the second exits.
            alone = ("--pidfile", place / "pid")
            await run("fetchmail", "--nosyslog", *alone, "--fetchmailrc", control, env=env)
    return [incoming.raw for incoming in kept.incoming]


async def by_getmail(account: Account) -> list[bytes]:
    """Let getmail deliver into a Maildir."""
    with folder() as place:
        for name in ("cur", "new", "tmp"):
            (place / "maildir" / name).mkdir(parents=True)
        lines = (
            "[retriever]",
            "type = SimplePOP3SSLRetriever",
            "server = localhost",
            f"port = {account.port}",
            f"username = {account.user}",
            f"password = {PASSWORD}",
            f"ca_certs = {account.files.ca}",
            "[destination]",
            "type = Maildir",
            f"path = {place}/maildir/",
            "user = nobody",  # it delivers nothing as root
        )
        (place / "getmailrc").write_text("\n".join(lines) + "\n", encoding="ascii")
        await run("chown", "--recursive", "nobody", place / "maildir")
        await run("getmail", "--quiet", "--getmaildir", place, "--rcfile", "getmailrc")
        # A Maildir ends lines with LF.
        return [path.read_bytes().replace(b"\n", b"\r\n") for path in (place / "maildir/new").iterdir()]


COLLECTORS: Final[dict[str, Callable[[Account], Awaitable[list[bytes]]]]] = {
    "poplib": by_poplib,
    "curl": by_curl,
    "fetchmail": by_fetchmail,
    "getmail": by_getmail,
    "htpoort `Pop3Mailbox`": by_htpoort,
}
"""In the order in which they run: the last one deletes."""


# ── mailboxes: each is filled with a reply for each length of K, and with the same ones folded ──


@attrs.frozen(kw_only=True)
class Filled:
    """Two accounts of one server: replies as the gateway writes them, and with a folded Subject."""

    genuine: Account
    folded: Account
    octets: frozenset[bytes]


_DOVECOT: Final = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = /dev/stderr
protocols = pop3
listen = 127.0.0.1
ssl = required
ssl_cert = <{files.chain}
ssl_key = <{files.key}
ssl_min_protocol = TLSv1.2
import_environment = OPENSSL_CONF={place}/openssl.cnf
first_valid_uid = 1
mail_location = maildir:{mail}/%u
pop3_no_flag_updates = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={mail}/%u
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {stls}
  }}
  inet_listener pop3s {{
    port = {implicit}
    ssl = yes
  }}
}}
"""

# Dovecot 2.3 can set a lowest version of TLS but no highest; OpenSSL can set both.
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


@asynccontextmanager
async def dovecot(files: Files, tls: str, mail: Path) -> AsyncGenerator[tuple[int, int]]:
    """Run Dovecot over a folder of Maildirs; yields its ports, for STLS and for implicit TLS."""
    stls, implicit = free_port(), free_port()
    with folder() as place:
        text = _DOVECOT.format(place=place, files=files, mail=mail, password=PASSWORD, stls=stls, implicit=implicit)
        (place / "dovecot.conf").write_text(text, encoding="ascii")
        (place / "openssl.cnf").write_text(_OPENSSL.format(tls=tls), encoding="ascii")
        env = environment(OPENSSL_CONF=f"{place}/openssl.cnf")
        async with running("dovecot", "-F", "-c", place / "dovecot.conf", env=env) as program:
            await program.has("starting up for pop3")
            yield stls, implicit


@asynccontextmanager
async def hosting(files: Files, tls: str, **further: str) -> AsyncGenerator[tuple[SmtpServer, Path, Program]]:
    """Run Postfix in front of Maildirs, as a mail host does; yields how to send to it, and the folder."""
    with folder() as mail:
        await run("chown", "nobody:nogroup", mail)
        settings = {
            "virtual_mailbox_domains": "forwarder.example",
            "virtual_mailbox_base": str(mail),
            "virtual_mailbox_maps": f"inline:{{{MAILBOX}=edi/ {FOLDED}=folded/}}",
            "virtual_uid_maps": f"static:{pwd.getpwnam('nobody').pw_uid}",
            "virtual_gid_maps": f"static:{grp.getgrnam('nogroup').gr_gid}",
            "virtual_minimum_uid": "1",
        }
        async with postfix(files, tls, **settings | further) as (port, program):
            yield SmtpServer(host=HOST, port=port, tls=TlsSettings(ca_file=files.ca)), mail, program


@asynccontextmanager
async def _filled(files: Files, tls: str) -> AsyncGenerator[tuple[Path, frozenset[bytes]]]:
    """Let the simulator reply through Postfix into Maildirs; yields their folder, and the octets in it."""
    async with hosting(files, tls) as (host, mail, program):
        async with Gateway(declarants={MAILBOX: host}) as gateway:
            for length in REFERENCES:
                await by_sender(declaration(length), Place(port=gateway.smtp_port))
            await gateway.wait_for_due_replies()
        assert [] == gateway.undelivered
        for length in REFERENCES:
            await smtplib_message(folded(length), Place(port=host.port, ca=files.ca))
        await program.has("status=sent", 2 * len(REFERENCES))
        yield mail, frozenset(path.read_bytes().replace(b"\n", b"\r\n") for path in mail.glob("*/new/*"))


def _kept(files: Files, port: int, octets: frozenset[bytes]) -> Filled:
    """Return both accounts of a filled server."""
    genuine, folded = [Account(user=user, port=port, files=files) for user in ("edi", "folded")]
    return Filled(genuine=genuine, folded=folded, octets=octets)


@asynccontextmanager
async def of_dovecot(files: Files, tls: str) -> AsyncGenerator[Filled]:
    """Serve the Maildirs with Dovecot."""
    async with _filled(files, tls) as (mail, octets), dovecot(files, tls, mail) as (_, port):
        yield _kept(files, port, octets)


@asynccontextmanager
async def of_courier(files: Files, tls: str) -> AsyncGenerator[Filled]:
    """Serve the Maildirs with Courier."""
    async with _filled(files, tls) as (mail, octets), courier(files, tls, mail) as port:
        yield _kept(files, port, octets)


@asynccontextmanager
async def of_cyrus(files: Files, tls: str) -> AsyncGenerator[Filled]:
    """Deliver the mails of the simulator's mailboxes to Cyrus by LMTP."""
    async with of_gateway(files, tls) as source:
        mails = {one.user: await by_poplib(one) for one in (source.genuine, source.folded)}
    async with cyrus(files, tls) as (port, place):
        empty = _kept(files, port, frozenset())
        # Cyrus creates a mailbox at the first login of its user.
        assert ([], []) == (await by_poplib(empty.genuine), await by_poplib(empty.folded))
        octets = await put_in(place, mails)
        yield attrs.evolve(empty, octets=octets)


@asynccontextmanager
async def of_gateway(files: Files, tls: str) -> AsyncGenerator[Filled]:
    """Let the simulator reply into its own mailboxes."""
    users = {MAILBOX: "edi", FOLDED: "folded"}
    declarants = [Declarant(mailbox=mailbox, username=user, password=PASSWORD) for mailbox, user in users.items()]
    async with Gateway(declarants=declarants, tls=files.of_gateway(tls)) as gateway:
        for length in REFERENCES:
            await by_sender(declaration(length), Place(port=gateway.smtp_port, ca=files.ca, login="edi"))
            gateway.mailbox(FOLDED).deliver(folded(length).as_bytes())
        await gateway.wait_for_due_replies()
        octets = frozenset(mail.raw for mailbox in (MAILBOX, FOLDED) for mail in gateway.mailbox(mailbox).messages)
        assert gateway.pop3s_port is not None
        accounts = [Account(user=user, port=gateway.pop3s_port, files=files) for user in ("edi", "folded")]
        yield Filled(genuine=accounts[0], folded=accounts[1], octets=octets)


def folded(length: int) -> EmailMessage:
    """Write a reply of DMS as a program that folds does."""
    request = declaration(length).envelope
    reply = EmailMessage()
    reply["From"], reply["To"] = DMS.mailbox, FOLDED
    reply["Subject"] = f"[V= DMS4.NL][A= {PARTY}][K={request.reference}][S=0]"
    reply.set_content(PAYLOAD.decode())
    return reply


MAILBOXES: Final[dict[str, Callable[[Files, str], AbstractAsyncContextManager[Filled]]]] = {
    "htpoort `Gateway`": of_gateway,
    "Dovecot": of_dovecot,
    "Courier": of_courier,
    "Cyrus": of_cyrus,
}
