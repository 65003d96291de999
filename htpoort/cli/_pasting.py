"""
Tell where the simulator listens, and what to paste into other programs to use it.

Never does: show a password that is not of the simulator's own making or its command line.
"""

from __future__ import annotations

import json
import shlex
from typing import Final, final

import attrs

from htpoort.cli import _show
from htpoort.cli._facts import Facts
from htpoort.directory import DMS, Directory
from htpoort.simulator import ClientCertificate, Declarant, Gateway

_VARIABLE: Final = "HTPOORT_SIMULATOR"
_PARTY: Final = "NL123456789.02.05"  # of the official example
_PORTS: Final = ("smtp_port", "smtps_port", "pop3_port", "pop3s_port")


def tell(gateway: Gateway, *, host: str, directory: Directory, declarants: list[Declarant], as_json: bool) -> None:
    """
    Tell ports, mailboxes, certificates and logins.

    Args:
        gateway: Has begun to listen.
        host: Where it listens.
        directory: The systems that it plays.
        declarants: Who may send; what is to be pasted is for the first.
        as_json: Print one JSON document; lines for a person otherwise.
    """
    ports = {name: getattr(gateway, name) for name in _PORTS}
    mailboxes = [system.mailbox for system in directory]
    files = _files(gateway)
    uses = [_Use(gateway=gateway, host=host, declarant=one) for one in declarants]
    if as_json:
        facts: Facts = {"host": host, **ports, "mailboxes": mailboxes, **files}
        _show.as_json({**facts, "declarants": [use.facts for use in uses]})
        return
    told = [{"message": use.told} for use in uses]
    _show.rows({"host": host, **ports, "mailboxes": ", ".join(mailboxes), **files, "declarants": told})
    for use in uses[:1]:
        use.show()
    _show.line("Stop with Ctrl-C.")


def _files(gateway: Gateway) -> dict[str, str | None]:
    """Give the files that a client needs."""
    tls = gateway.tls
    shown = tls is not None and tls.client is not ClientCertificate.NONE
    return {
        "ca_file": None if tls is None else str(tls.ca_file),
        "certificate": str(tls.client_certificate) if tls is not None and shown else None,
    }


@final
@attrs.frozen(kw_only=True)
class _Use:
    """Say how one declarant uses the gateway."""

    gateway: Gateway
    host: str
    declarant: Declarant

    @property
    def facts(self) -> Facts:
        one = self.declarant
        return {
            "mailbox": one.mailbox,
            "username": None if one.password is None else one.username,
            "password": one.password,
            "server": self._server,
            "htpoort_toml": self._toml,
        }

    @property
    def told(self) -> str:
        one = self.declarant
        if one.password is None:
            return f"{one.mailbox}, replies pushed to {self._server}"
        return f"{one.mailbox}, password {one.password}, replies fetched by POP3"

    def show(self) -> None:
        """Print what is to be pasted."""
        self._shown("To send, for example:", [self._swaks])
        if self.declarant.password is not None:
            self._shown("To fetch, for example:", [self._curl])
            self._shown("For htpoort:", [f"export {_VARIABLE}={shlex.quote(self.declarant.password)}"])
        self._shown("In htpoort.toml:", self._toml.splitlines())
        _show.line("")

    @staticmethod
    def _shown(title: str, lines: list[str]) -> None:
        _show.line(f"\n{title}\n")
        for text in lines:
            _show.line(f"  {_show.printable(text)}".rstrip())

    @property
    def _server(self) -> str | None:
        server = self.declarant.server
        return None if server is None else f"{server.host}:{server.port}"

    @property
    def _swaks(self) -> str:
        one, files = self.declarant, _files(self.gateway)
        words = ["swaks", "--server", self.host, "--port", str(self.gateway.smtp_port)]
        if files["ca_file"] is not None:
            words += ["--tls", "--tls-verify", "--tls-ca-path", files["ca_file"]]
        if files["certificate"] is not None:
            words += ["--tls-cert", files["certificate"], "--tls-key", files["certificate"]]
        if one.password is not None:
            words += ["--auth", "PLAIN", "--auth-user", one.username, "--auth-password", one.password]
        subject = f"[V={_PARTY}][A={DMS.process_id}][K=22096222734662][S=0]"
        words += ["--from", one.mailbox, "--to", DMS.mailbox, "--header", f"Subject: {subject}"]
        return shlex.join([*words, "--body", "<MetaData/>"])

    @property
    def _curl(self) -> str:
        one, files = self.declarant, _files(self.gateway)
        words = ["curl", "--user", f"{one.username}:{one.password}"]
        if files["ca_file"] is not None:
            words += ["--ssl-reqd", "--cacert", files["ca_file"]]
        if files["certificate"] is not None:
            words += ["--cert", files["certificate"]]
        return shlex.join([*words, f"pop3://{self._place}:{self.gateway.pop3_port}/1"])

    @property
    def _place(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def _toml(self) -> str:
        one = self.declarant
        outbox = {"server": self.host, "port": self.gateway.smtp_port, **self._login}
        tables = [f"parties = {_value([_PARTY])}\n", _table("[ledger]", {"url": "sqlite:///htpoort.db"})]
        tables.append(_table("[[outbox]]", outbox))
        if one.password is not None:
            tables.append(_table("[[pop3]]", {"host": self.host, "port": self.gateway.pop3_port, **self._login}))
        if one.server is not None:
            inbox = {"hostname": one.mailbox.rpartition("@")[2], "mailboxes": [one.mailbox], "port": one.server.port}
            tables.append(_table("[[smtp]]", inbox))
        return "\n".join(tables)

    @property
    def _login(self) -> Facts:
        """Give the settings that both ways have in common."""
        one, files = self.declarant, _files(self.gateway)
        login = {} if one.password is None else {"username": one.username, "password_env": _VARIABLE}
        security = "plain" if files["ca_file"] is None else "starttls"
        return {"security": security, **login, **{name: path for name, path in files.items() if path is not None}}


def _table(head: str, settings: Facts) -> str:
    return "".join(f"{text}\n" for text in (head, *(f"{key} = {_value(value)}" for key, value in settings.items())))


def _value(value: object) -> str:
    """Write a text, a number or an array of texts: what JSON writes of them is TOML too."""
    return json.dumps(value, ensure_ascii=False)
