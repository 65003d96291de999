"""Show how to use a simulated gateway that has started: its ports, logins and files, and what to paste elsewhere."""

from __future__ import annotations

import json
import shlex
from typing import Final, final

import attrs

from htpoort.cli import _facts, _show
from htpoort.cli._facts import Facts
from htpoort.cli._file_simulation import FileSimulation, show_lines, table
from htpoort.core.directory import DMS, HTPOORT, DeclarationSystem
from htpoort.simulator import ClientCertificate, Declarant, Gateway

__all__ = ["show_start"]

_VARIABLE: Final = "HTPOORT_SIMULATOR"
_PARTY: Final = "NL123456789.02.05"  # of the official example
_PORTS: Final = ("smtp_port", "smtps_port", "pop3_port", "pop3s_port")


def show_start(  # noqa: PLR0913 - what the command was given, and what it started
    gateway: Gateway,
    files: FileSimulation | None,
    declarants: list[Declarant],
    *,
    host: str,
    page: str | None,
    as_json: bool,
) -> None:
    """
    Print ports, mailboxes, certificates and logins, and what to paste into other programs.

    Args:
        gateway: The gateway, which listens.
        files: The file gateway, which listens too, if there is one.
        declarants: The senders; what to paste is for the first.
        host: The address that it listens on.
        page: The address of its page; None if there is none.
        as_json: Whether to print one line of JSON in place of lines for people.
    """
    for text in gateway.played.left_out:
        _show.failed(_show.printable(f"htpoort: Not played: {text}".replace("notice_names", "--notice-name")))
    ports = {name: getattr(gateway, name) for name in _PORTS}
    windows = [_facts.played_window(window) for window in gateway.played.windows]
    mailboxes = [system.mailbox for system in gateway.directory]
    certificates = _files(gateway)
    uses = [_Use(gateway=gateway, host=host, declarant=one) for one in declarants]
    if as_json:
        facts: Facts = {"host": host, **ports, "web": page, "mailboxes": mailboxes, **certificates, "windows": windows}
        facts["ftps"] = None if files is None else files.facts
        _show.json_line({**facts, "declarants": [use.facts for use in uses]}, at_once=True)
        return
    described = [{"message": use.description} for use in uses]
    web = {} if page is None else {"web": page}
    rows = {"host": host, **ports, **web, "mailboxes": ", ".join(mailboxes), **certificates}
    _show.rows({**rows, **({} if files is None else files.rows), "declarants": described})
    if windows:
        _show.table("Windows that are played", tuple(windows[0]), [tuple(each.values()) for each in windows])
    for use in uses[:1]:
        use.show()
    if files is not None:
        files.show(alone=not declarants)
    _show.line("Stop with Ctrl-C.")


def _files(gateway: Gateway) -> dict[str, str | None]:
    """Return the files that a client needs."""
    tls = gateway.tls
    shown = tls is not None and tls.client is not ClientCertificate.NONE
    return {
        "ca_file": None if tls is None else str(tls.ca_file),
        "certificate": str(tls.client_certificate) if tls is not None and shown else None,
    }


@final
@attrs.frozen(kw_only=True)
class _Use:
    """How one declarant uses the gateway. Its password is the simulator's own, or from the command line."""

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
    def description(self) -> str:
        one = self.declarant
        if one.password is None:
            return f"{one.mailbox}, replies pushed to {self._server}"
        return f"{one.mailbox}, password {one.password}, replies fetched by POP3"

    def show(self) -> None:
        """Print what to paste."""
        show_lines("To send, for example:", [self._swaks])
        if self.declarant.password is not None:
            show_lines("To fetch, for example:", [self._curl])
            show_lines("For htpoort:", [f"export {_VARIABLE}={shlex.quote(self.declarant.password)}"])
        show_lines("In htpoort.toml:", self._toml.splitlines())
        _show.line("")

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
        systems = {system.name: system for system in self.gateway.directory}
        system = systems.get(DMS.name, next(iter(systems.values())))
        subject = f"[V={_PARTY}][A={system.process_id}][K=22096222734662][S=0]"
        words += ["--from", one.mailbox, "--to", system.mailbox, "--header", f"Subject: {subject}"]
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
        own = [system for system in self.gateway.directory if system not in HTPOORT.systems]
        published = {} if len(own) + len(HTPOORT.systems) == len(self._names) else {"published_systems": False}
        tables = [
            table(f"parties = {json.dumps([_PARTY])}", published),
            *map(_system, own),
            table("[ledger]", {"url": "sqlite:///htpoort.db"}),
            table("[[outbox]]", outbox),
        ]
        if one.password is not None:
            tables.append(table("[[pop3]]", {"server": self.host, "port": self.gateway.pop3_port, **self._login}))
        if one.server is not None:
            inbox = {"hostname": one.mailbox.rpartition("@")[2], "mailboxes": [one.mailbox], "port": one.server.port}
            tables.append(table("[[smtp]]", inbox))
        # Where a newcomer sees the replies: as files.
        replies = {"directory": "replies/{system}/{party}", "payload": True}
        tables += [table("[[delivery]]", {"system": name, **replies}) for name in self._names]
        return "\n".join(tables)

    @property
    def _names(self) -> list[str]:
        return [system.name for system in self.gateway.directory]

    @property
    def _login(self) -> Facts:
        """The settings that sending and fetching have in common."""
        one, files = self.declarant, _files(self.gateway)
        login = {} if one.password is None else {"username": one.username, "password_env": _VARIABLE}
        security = "plain" if files["ca_file"] is None else "starttls"
        return {"security": security, **login, **{name: path for name, path in files.items() if path is not None}}


def _system(system: DeclarationSystem) -> str:
    """Describe a system that is not a published one."""
    return table(
        f"[systems.{json.dumps(system.name)}]",
        {"mailbox": system.mailbox, "process_id": system.process_id, "reply_ids": sorted(system.reply_ids)},
    )
