"""Run the POP3 servers of Courier and Cyrus over their own mailboxes."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from interop.messages import PASSWORD
from interop.programs import folder, free_port, in_layer, listening, running
from interop.servers import Files

HOST: Final = "127.0.0.1"

_COURIER: Final = """
set -e
sed -i 's/^authmodulelist=.*/authmodulelist="authuserdb"/' /etc/courier/authdaemonrc
password=$(openssl passwd -1 "$PASSWORD")
for user in edi folded; do
    home="home=$MAIL/$user|mail=$MAIL/$user"
    printf '%s\\tuid=65534|gid=65534|%s|pop3pw=%s\\n' "$user" "$home" "$password"
done >/etc/courier/userdb
chmod 600 /etc/courier/userdb
makeuserdb
mkdir -p /var/run/courier/authdaemon
/usr/lib/courier/courier-authlib/authdaemond &
while [ ! -S /var/run/courier/authdaemon/socket ]; do kill -0 $!; done
its=/usr/lib/courier/courier
exec couriertcpd -address=127.0.0.1 -maxprocs=20 -maxperip=20 -nodnslookup -noidentlookup "$PORT" \\
    /usr/bin/couriertls -server -tcpd "$its/courierpop3login" "$its/courierpop3d" .
"""


@asynccontextmanager
async def courier(files: Files, tls: str, mail: Path) -> AsyncGenerator[int]:
    """Run Courier over a folder of Maildirs; yields its port for implicit TLS."""
    port = free_port()
    settings = {
        "MAIL": str(mail),
        "PASSWORD": PASSWORD,
        "PORT": str(port),
        "TLS_CERTFILE": str(files.both),
        "TLS_PRIORITY": f"NORMAL:-VERS-ALL:+VERS-TLS{tls}",
        "POP3_TLS": "1",
    }
    values = [f"{name}={value}" for name, value in settings.items()]
    async with running(*in_layer("courier-pop", "env", *values, "sh", "-c", _COURIER)) as program:
        await listening(port, program)
        yield port


_CYRUS: Final = {
    "imapd.conf": """\
configdirectory: {place}/conf
partition-default: {place}/mail
defaultpartition: default
servername: mx.example
admins: admin
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {place}/passwords
sasl_mech_list: PLAIN
autocreate_quota: -1
lmtpsocket: {place}/lmtp
tls_server_cert: {place}/host.pem
tls_server_key: {place}/host.pem
tls_versions: {tls}
""",
    "cyrus.conf": """\
START {{
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C {place}/imapd.conf -r"
}}
SERVICES {{
  pop3s cmd="pop3d -s -C {place}/imapd.conf" listen="127.0.0.1:{port}" prefork=1
  lmtpunix cmd="lmtpd -a -C {place}/imapd.conf" listen="{place}/lmtp" prefork=1
}}
EVENTS {{
}}
""",
}
_START_CYRUS: Final = """
set -e
mkdir "$0/conf" "$0/mail"
for user in edi folded; do
    printf %s "$1" | saslpasswd2 -p -c -f "$0/passwords" -u mx.example "$user"
done
chown -R cyrus:mail "$0"
exec /usr/lib/cyrus/bin/master -C "$0/imapd.conf" -M "$0/cyrus.conf" -p "$0/pid" -D
"""


@asynccontextmanager
async def cyrus(files: Files, tls: str) -> AsyncGenerator[tuple[int, Path]]:
    """Run Cyrus; yields its port for implicit TLS, and its folder."""
    port = free_port()
    with folder() as place:
        (place / "host.pem").write_bytes(files.both.read_bytes())
        for name, text in _CYRUS.items():
            values = {"place": place, "port": port, "tls": f"tls{tls.replace('.', '_')}"}
            (place / name).write_text(text.format(**values), encoding="ascii")
        start = ("sh", "-c", _START_CYRUS, place, PASSWORD)
        async with running(*in_layer("cyrus-pop3d", *start)) as program:
            await listening(port, program)
            yield port, place


async def put_in(place: Path, mails: Mapping[str, Iterable[bytes]]) -> frozenset[bytes]:
    """Deliver mails to Cyrus by LMTP, for users who have logged in once; return the octets that it keeps."""

    def work() -> None:
        with smtplib.LMTP(f"{place}/lmtp") as client:
            for user, raws in mails.items():
                for raw in raws:
                    client.sendmail("dms@htpoort.nl", [user], raw)

    await asyncio.to_thread(work)
    return frozenset(path.read_bytes() for path in (place / "mail").rglob("*.") if path.is_file())
