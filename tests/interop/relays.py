"""Run foreign mail servers as relays in front of our receiver: Sendmail, Haraka and Exim."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from interop.programs import folder, free_port, in_layer, listening, run, running

HOST: Final = "127.0.0.1"

# The esmtp mailer as in Sendmail's own configuration; only the port of the next server is ours.
_SENDMAIL: Final = """\
divert(-1)
include(`/usr/share/sendmail/cf/m4/cf.m4')
divert(0)dnl
OSTYPE(`linux')dnl
define(`confPID_FILE', `{place}/pid')dnl
define(`QUEUE_DIR', `{place}/queue')dnl
define(`STATUS_FILE', `{place}/statistics')dnl
define(`confSERVICE_SWITCH_FILE', `{place}/switch')dnl
define(`confDOMAIN_NAME', `mta.example')dnl
define(`confTO_IDENT', `0')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {to}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`no_default_msa')dnl
undefine(`ALIAS_FILE')dnl
DAEMON_OPTIONS(`Port={port}, Addr=127.0.0.1, Name=MTA')dnl
MAILER(`smtp')dnl
"""


@asynccontextmanager
async def sendmail(to: int) -> AsyncGenerator[int]:
    """Run Sendmail, whose esmtp mailer relays everything to a port; yields its own port."""
    port = free_port()
    with folder() as place:
        (place / "queue").mkdir()
        (place / "switch").write_text("hosts files\n", encoding="ascii")
        (place / "sendmail.mc").write_text(_SENDMAIL.format(place=place, port=port, to=to), encoding="ascii")
        made = await run(*in_layer("sendmail-bin", "m4", place / "sendmail.mc"))
        (place / "sendmail.cf").write_bytes(made)
        daemon = ("/usr/libexec/sendmail/sendmail", "-C", place / "sendmail.cf", "-bD", "-X", "/dev/stdout")
        async with running(*in_layer("sendmail-bin", *daemon)) as program:
            await listening(port, program)
            yield port


_EXIM: Final = """\
primary_hostname = mta.example
spool_directory = {place}/spool
log_file_path = {place}/spool/%slog
pid_file_path = {place}/spool/pid
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = all
tls_advertise_hosts =
begin acl
all:
  accept
begin routers
on:
  driver = manualroute
  route_list = * localhost byname
  self = send
  transport = on
begin transports
on:
  driver = smtp
  port = {to}
  hosts_try_dane =
  hosts_try_chunking =
  {options}
begin authenticators
{authenticators}
"""


@asynccontextmanager
async def exim(to: int, *, options: Mapping[str, str] | None = None, authenticators: str = "") -> AsyncGenerator[int]:
    """Run Exim, which relays everything to a port, with further options of its transport; yields its own port."""
    port = free_port()
    lines = "\n  ".join(f"{name} = {value}" for name, value in (options or {}).items())
    with folder() as place:
        values = {"place": place, "port": port, "to": to, "options": lines, "authenticators": authenticators}
        (place / "exim.conf").write_text(_EXIM.format(**values), encoding="ascii")
        (place / "spool").mkdir()
        daemon = "chown -R Debian-exim: $0/spool && exec exim4 -C $0/exim.conf -bdf -q1h -v"
        async with running(*in_layer("exim4-daemon-light", "sh", "-c", daemon, place)) as program:
            await listening(port, program)
            yield port


@asynccontextmanager
async def haraka(to: int) -> AsyncGenerator[int]:
    """Run Haraka, which queues everything and relays it to a port; yields its own port."""
    port = free_port()
    with folder() as place:
        (place / "config").mkdir()
        (place / "queue").mkdir()
        settings = {
            "smtp.ini": f"listen=127.0.0.1:{port}\nnodes=0\n",
            "plugins": "relay\nqueue/smtp_forward\n",
            "relay.ini": "[relay]\nacl=true\n",
            "relay_acl_allow": "127.0.0.1/32\n",
            # Both routes lead to the one server, so that no name is looked up in DNS.
            "smtp_forward.ini": f"host=127.0.0.1\nport={to}\nenable_outbound=true\n",
            "me": "mta.example\n",
            "host_list": "htpoort.nl\n",
            "rcpt_to.in_host_list.ini": "",
        }
        for name, text in settings.items():
            (place / "config" / name).write_text(text, encoding="ascii")
        async with running("sh", "-c", _HARAKA, place) as program:
            await listening(port, program)
            yield port


# Haraka has no defaults for settings that a folder lacks, so its own files are copied there first.
_HARAKA: Final = """
root=$(node -p 'require("path").dirname(require.resolve("Haraka/package.json"))')
cp -n "$root"/config/*.ini "$0/config"
exec node "$root/bin/haraka" -c "$0"
"""
