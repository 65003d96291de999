"""The configuration that `htpoort init` writes: its text, and the file for its password."""

from __future__ import annotations

import os
from json import dumps
from pathlib import Path
from typing import Final, Self, final

import attrs

from htpoort.transport import MailServer, Security

FOLDER: Final = "out"
"""The folder for declarations, beside the configuration."""
PASSWORD: Final = "htpoort.password"  # noqa: S105 - the name of a file
"""The file for the password, beside the configuration."""

LISTEN_PORT: Final = 2526
"""Where replies are pushed to; not the port at which pages show the simulator, so that both fit one machine."""


@final
@attrs.frozen
class Server:
    """
    A mail server.

    Args:
        host: Its name or address.
        port: Its port, which is written even where it is the usual one: what is tried is then in the file.
        security: How the connection is secured.
    """

    host: str
    port: int
    security: Security

    @classmethod
    def usual(cls, kind: type[MailServer], host: str, port: int | None, security: Security | None) -> Self:
        """Take security and port of the protocol where they are not given."""
        security = security or next(iter(kind.usual_ports))
        return cls(host, port or kind.usual_ports[security], security)

    def lines(self, login: Login | None) -> str:
        """Write the keys of a table."""
        lines = [
            f"server = {dumps(self.host)}",
            f"port = {self.port}",
            f'security = "{self.security.value}"',
            *(() if login is None else login.lines),
        ]
        if self.security is not Security.PLAIN:
            lines.append(
                '# ca_file = "ca.pem"                # if this machine does not know the authority of its certificate'
            )
        return "\n".join(lines)


@final
@attrs.frozen
class Login:
    """
    A login whose password is in a file: cron and services can read one, and do not have the variables of a shell.

    Args:
        username: The user name of both logins.
        file: The file for the password of both.
        config: The configuration, which names it.
    """

    username: str
    file: Path
    config: Path

    def create(self) -> None:
        """Create the file, empty and for this user alone, so that the password need not be protected later."""
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"--password-file {self.file}") from None

    @property
    def lines(self) -> tuple[str, ...]:
        """Write the keys of the login; a path in the configuration starts from its folder."""
        file, home = self.file.absolute(), self.config.absolute().parent
        name = str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
        return (
            f"username = {dumps(self.username, ensure_ascii=False)}",
            f"password_file = {dumps(name, ensure_ascii=False)}",
        )


@final
@attrs.frozen
class Setup:
    """
    The answers that a configuration is written from.

    Args:
        system: The declaration system.
        parties: The party IDs; at least one.
        mailbox: Where replies arrive.
        outbox: Where declarations are sent to.
        pop3: Where replies are fetched from; None if mail servers exchange mail.
        login: The login of both; None likewise.
        listen_port: Where replies are pushed to if mail servers exchange mail.
    """

    system: str
    parties: tuple[str, ...]
    mailbox: str
    outbox: Server
    pop3: Server | None
    login: Login | None
    listen_port: int

    @property
    def _replies(self) -> str:
        if self.pop3 is not None:
            return f"""\
[[pop3]]                            # replies: they are fetched from here
{self.pop3.lines(self.login)}"""
        return f"""\
[[smtp]]                            # replies: your mail server passes them on to this port
hostname = {dumps(self.mailbox.rpartition("@")[2])}
mailboxes = [{dumps(self.mailbox)}]
host = "127.0.0.1"                  # only this machine can connect; for others, give an address and networks
port = {self.listen_port}"""

    @property
    def _reply(self) -> str:
        """Give an example of the file of a reply."""
        return f"replies/{self.system}/{self.parties[0]}/22096222734662-1.xml"

    @property
    def _secrets(self) -> str:
        if self.login is None:
            return ""
        return """\
# No password is in this file: password_file names the file that holds it, and nothing else. With password_env = "NAME"
# in its place, it comes from a variable of the environment, which cron does not have.
"""

    @property
    def text(self) -> str:
        """Write the configuration."""
        first = self.parties[0]
        return f"""\
# Configuration of htpoort, written by htpoort init. Check it with: htpoort check
{self._secrets}
parties = [{", ".join(map(dumps, self.parties))}]    # your party IDs; a reply to any other is quarantined

[ledger]                            # what was sent and what came in
url = "sqlite:///htpoort.db"

[[folder]]                          # declarations: write each as a file, such as {FOLDER}/{first}/22096222734662.xml
path = "{FOLDER}"
mailbox = {dumps(self.mailbox)}
pattern = "{{party}}/{{reference}}.xml"
system = {dumps(self.system)}

[[outbox]]                          # they are sent to this mail server
{self.outbox.lines(self.login)}
systems = [{dumps(self.system)}]

{self._replies}

[[delivery]]                        # each reply becomes a file, such as {self._reply}
system = {dumps(self.system)}
directory = "replies/{{system}}/{{party}}"
payload = true                      # the XML alone; false for the whole mail
"""
