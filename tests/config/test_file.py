"""What a correct configuration file becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from htpoort import HTPOORT, InputError, PartyId, UnknownError
from htpoort.agent import Agent, DeclarationFolder, Outbox, Pop3Inbox, SmtpInbox, Timing
from htpoort.config import AgentConfig, LedgerConfig
from htpoort.delivery import CommandDelivery, DirectoryDelivery, MaildirDelivery
from htpoort.ledger import RETENTION_DAYS
from htpoort.transport import Limits, Pop3Account, Security, SmtpServer, TlsSettings

Read = Callable[..., AgentConfig]
ReadLedger = Callable[..., LedgerConfig]

SMALL = 'parties = ["NL123456789.02.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
WHOLE = """
parties = ["NL123456789.02.05", "NL123456789.03.05"]

[systems.EXIT]
mailbox = "exit@customs.example"
process_id = "EXIT.NL"

[ledger]
url = "sqlite:///var/htpoort.db"
retention_days = 4000
transaction_timeout = "20s"

[[outbox]]
server = "smtp.forwarder.example"
port = 2587
security = "starttls"
username = "edi"
password_env = "SMTP_PASSWORD"
ca_file = "ca.pem"
certificate = "own.pem"
connections = 2
per_hour = 100
systems = ["ags", "DMS"]
retry = ["30s", "1h30m"]
timeout = "30s"
final_timeout = "20m"
local_hostname = "edi.forwarder.example"

[[outbox]]
server = "exit.forwarder.example"
security = "implicit"
systems = ["EXIT"]

[[smtp]]
hostname = "mx.forwarder.example"
mailboxes = ["edi@forwarder.example"]
host = "192.0.2.1"
port = 25
certificate = "own.pem"
key = "own.pem"
ca_file = "ca.pem"
require_tls = true
networks = ["192.0.2.0/24"]
size_limit = 1000000
connections = 400
connections_per_peer = 100
held_limit = 5000000
commands_per_turn = 20
mail_from_rewritten_by = ["192.0.2.10/32"]

[[pop3]]
server = "pop.forwarder.example"
port = 1995
security = "starttls"
username = "edi"
password_file = "pop3-password"
poll = "2m"
timeout = "30s"
mail_timeout = "5m"
session_timeout = "30m"
mail_limit = 100000000
listing_limit = 1000000
ca_file = "ca.pem"

[[delivery]]
system = "DMS"
maildir = "mail/dms"
timeout = "20s"

[[delivery]]
system = "ags"
command = ["./deliver", "--quick"]
timeout = "30s"

[[delivery]]
system = "EXIT"
command = ["sh", "-c", "true"]

[[delivery]]
system = "DMS"
party = "nl123456789.02.05"
directory = "replies/{system}/{party}"
payload = true

[[folder]]
path = "out"
mailbox = "edi@forwarder.example"
pattern = "{reference}.edi"
party = "NL123456789.02.05"
system = "dms"
settle = "10s"
layout = "attachment"
transfer_encoding = "base64"

[timing]
poll = "100ms"
lease = "10m"
grace = "1m"
retry_delay = "2s"
pause = ["2m", "1h"]
pause_login = "2h"
redeliver = ["1s", "1d"]
delivery = "20m"
"""


@pytest.fixture
def whole(folder: Path, files: SimpleNamespace, read: Read) -> AgentConfig:
    """Read a file that has every setting."""
    del files
    (folder / "pop3-password").write_text("geheim-2\r\n")
    (folder / "out").mkdir()
    (folder / "deliver").write_text("#!/bin/sh\n")
    (folder / "deliver").chmod(0o700)
    return read(WHOLE, {"SMTP_PASSWORD": "geheim-1"})


class TestWhole:
    """Every setting reaches the part that it configures; relative paths start from the folder of the file."""

    def test_ledger(self, whole: AgentConfig, folder: Path) -> None:
        """Parties, additional systems, and the file and the retention period of the ledger."""
        found = whole.ledger

        assert ["AGS", "DMS", "EXIT"] == [system.name for system in found.directory]
        assert ["NL123456789.02.05", "NL123456789.03.05"] == [str(party) for party in found.parties]
        assert (f"sqlite:///{folder}/var/htpoort.db", 4000) == (found.url, found.retention_days)
        assert timedelta(seconds=20) == found.transaction_timeout

    def test_outboxes(self, whole: AgentConfig, folder: Path) -> None:
        """Server, login, TLS files, limits, systems and retry schedule of each outbox."""
        assert (
            Outbox(
                server=SmtpServer(
                    host="smtp.forwarder.example",
                    port=2587,
                    username="edi",
                    password="geheim-1",
                    tls=TlsSettings(ca_file=folder / "ca.pem", certificate=folder / "own.pem"),
                    timeout=30.0,
                    final_timeout=1200.0,
                    local_hostname="edi.forwarder.example",
                ),
                systems=("ags", "DMS"),
                connections=2,
                per_hour=100,
                retry_schedule=(timedelta(seconds=30), timedelta(minutes=90)),
            ),
            Outbox(server=SmtpServer(host="exit.forwarder.example", security=Security.IMPLICIT), systems=("EXIT",)),
        ) == whole.outboxes

    def test_inboxes(self, whole: AgentConfig, folder: Path) -> None:
        """The SMTP inbox with a TLS context, then the POP3 inbox with the password from its file."""
        smtp, pop3 = whole.inboxes
        assert isinstance(smtp, SmtpInbox)
        assert smtp.tls is not None

        assert (
            SmtpInbox(
                hostname="mx.forwarder.example",
                mailboxes=("edi@forwarder.example",),
                host="192.0.2.1",
                port=25,
                tls=smtp.tls,
                require_tls=True,
                networks=("192.0.2.0/24",),
                size_limit=1_000_000,
                limits=Limits(connections=400, connections_per_peer=100, held_limit=5_000_000, commands_per_turn=20),
                mail_from_rewritten_by=("192.0.2.10/32",),
            )
            == smtp
        )
        assert (
            Pop3Inbox(
                server=Pop3Account(
                    host="pop.forwarder.example",
                    port=1995,
                    security=Security.STARTTLS,
                    username="edi",
                    password="geheim-2",
                    tls=TlsSettings(ca_file=folder / "ca.pem"),
                    timeout=30.0,
                    mail_timeout=300.0,
                    session_timeout=1800.0,
                    mail_limit=100_000_000,
                    listing_limit=1_000_000,
                ),
                poll_interval=timedelta(minutes=2),
            )
            == pop3
        )

    def test_deliveries(self, whole: AgentConfig, folder: Path) -> None:
        """The delivery of each system by its proper name; a program by its path, or looked up as a shell does."""
        assert {
            "DMS": MaildirDelivery(folder / "mail/dms", timeout=20.0),
            "AGS": CommandDelivery((f"{folder}/deliver", "--quick"), timeout=30.0),
            "EXIT": CommandDelivery(("sh", "-c", "true")),
        } == whole.deliveries
        directory = DirectoryDelivery(folder / "replies/{system}/{party}", payload=True)
        assert {("DMS", "NL123456789.02.05"): directory} == whole.party_deliveries

    def test_folders(self, whole: AgentConfig, folder: Path) -> None:
        """The folders of declarations, with the proper name of the system."""
        expected = DeclarationFolder(
            path=folder / "out",
            mailbox="edi@forwarder.example",
            pattern="{reference}.edi",
            party="NL123456789.02.05",
            system="DMS",
            settle=10.0,
            layout="attachment",
            transfer_encoding="base64",
        )
        assert (expected,) == whole.folders

    def test_timing(self, whole: AgentConfig) -> None:
        """The waiting times of the agent."""
        assert (
            Timing(
                poll_interval=timedelta(milliseconds=100),
                lease=timedelta(minutes=10),
                grace=timedelta(minutes=1),
                retry_delay=timedelta(seconds=2),
                redelivery_schedule=(timedelta(seconds=1), timedelta(days=1)),
                delivery_timeout=timedelta(minutes=20),
                pause_schedule=(timedelta(minutes=2), timedelta(hours=1)),
                login_pause=timedelta(hours=2),
            )
            == whole.timing
        )

    def test_no_password_is_shown(self, whole: AgentConfig) -> None:
        """The repr of a configuration shows no password and no URL of a ledger."""
        assert "geheim" not in repr(whole)
        assert "sqlite" not in repr(whole)

    def test_a_ledger_command_needs_no_password(self, read_for_the_ledger: ReadLedger, folder: Path) -> None:
        """A command that only reads the ledger needs no access to passwords, certificates and programs."""
        assert f"sqlite:///{folder}/var/htpoort.db" == read_for_the_ledger(WHOLE).url

    def test_it_makes_an_agent(self, read: Read) -> None:
        """Ledger and agent of a configuration are ready to be entered."""
        config = read(SMALL)
        with config.ledger.open() as ledger:
            assert isinstance(config.agent(ledger), Agent)
            assert (PartyId.parse("NL123456789.02.05"),) == config.ledger.router().parties


class TestSmall:
    """A setting that is left out has the default of the part that it configures."""

    def test_least(self, read: Read) -> None:
        """Parties and a ledger are enough."""
        config = read(SMALL)

        assert ((), (), {}, Timing()) == (config.outboxes, config.inboxes, config.deliveries, config.timing)
        assert (HTPOORT, RETENTION_DAYS) == (config.ledger.directory, config.ledger.retention_days)

    def test_a_test_environment(self, read: Read) -> None:
        """Without the published systems, those of the file are the only ones that an agent sends to or believes."""
        environment = '[systems.DMS]\nmailbox = "dms@test.customs.example"\nprocess_id = "DMS4.NL"\n'
        config = read(f"published_systems = false\n{SMALL}{environment}")

        assert ["dms@test.customs.example"] == [system.mailbox for system in config.ledger.router().directory]

    def test_outbox(self, read: Read) -> None:
        """An outbox with nothing but a server sends to every system, over STARTTLS."""
        (outbox,) = read(f'{SMALL}[[outbox]]\nserver = "smtp.forwarder.example"\n').outboxes

        assert Outbox(server=SmtpServer(host="smtp.forwarder.example")) == outbox

    def test_inboxes(self, read: Read) -> None:
        """An SMTP inbox needs names and a port; a POP3 inbox needs a host and a login."""
        text = (
            f'{SMALL}[[smtp]]\nhostname = "mx.forwarder.example"\nmailboxes = ["edi@forwarder.example"]\nport = 0\n'
            '[[pop3]]\nserver = "pop.forwarder.example"\nusername = "edi"\npassword_env = "POP3"\n'
        )

        assert (
            SmtpInbox(hostname="mx.forwarder.example", mailboxes=("edi@forwarder.example",)),
            Pop3Inbox(server=Pop3Account(host="pop.forwarder.example", username="edi", password="geheim")),
        ) == read(text, {"POP3": "geheim"}).inboxes

    def test_a_key_that_is_closed(self, read: Read, files: SimpleNamespace) -> None:
        """The password of a private key also comes from the environment or from a file."""
        del files
        text = f'{SMALL}[[outbox]]\nserver = "a.example"\ncertificate = "own.pem"\nkey_password_env = "KEY"\n'
        (outbox,) = read(text, {"KEY": "geheim"}).outboxes

        assert "geheim" == outbox.server.tls.key_password

    def test_a_byte_order_mark_is_no_setting(self, read: Read) -> None:
        """A byte order mark at the beginning of the file is ignored."""
        assert 1 == len(read(f"\ufeff{SMALL}").ledger.parties)


class TestParties:
    """A configuration finds the parties of the file, and names the file in the error about any other."""

    def test_in_any_case(self, read_for_the_ledger: ReadLedger) -> None:
        """A party is found in any case, as the file writes it."""
        assert "NL123456789.02.05" == str(read_for_the_ledger(SMALL).party("nl123456789.02.05"))

    def test_a_stranger(self, read_for_the_ledger: ReadLedger) -> None:
        """The error about another party lists those of the file."""
        with pytest.raises(UnknownError) as caught:
            read_for_the_ledger(SMALL).party("Jansen BV")

        expected = "party 'Jansen BV' is not in htpoort.toml (parties). Known: NL123456789.02.05."
        assert expected == str(caught.value)

    def test_several(self, read_for_the_ledger: ReadLedger) -> None:
        """Each party comes once, in the order of the texts; without a text, all parties of the file come."""
        config = read_for_the_ledger(WHOLE)
        texts = ["NL123456789.03.05", "nl123456789.03.05", "NL123456789.02.05"]

        assert ["NL123456789.03.05", "NL123456789.02.05"] == [str(party) for party in config.select_parties(texts)]
        assert config.parties == config.select_parties([])

    def test_strangers_among_several(self, read_for_the_ledger: ReadLedger) -> None:
        """Every stranger is reported, and no party of the file is named."""
        with pytest.raises(InputError) as caught:
            read_for_the_ledger(SMALL).select_parties(["NL1", "NL123456789.02.05", "NL2"])

        assert [
            ("cutover.party", "party 'NL1' is not in htpoort.toml (parties). Check its spelling, or add it there."),
            ("cutover.party", "party 'NL2' is not in htpoort.toml (parties). Check its spelling, or add it there."),
        ] == [(problem.code, problem.message) for problem in caught.value.problems]


class TestLedgerUrl:
    """The URL of the ledger is in the file, or, with a password, in the environment."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("sqlite:////srv/htpoort.db", "sqlite:////srv/htpoort.db"),
            ("postgresql+psycopg://edi@db.example/htpoort", "postgresql+psycopg://edi@db.example/htpoort"),
        ],
    )
    def test_in_the_file(self, read: Read, url: str, expected: str) -> None:
        """The URL of an absolute file or of a server does not change."""
        assert expected == read(SMALL.replace("sqlite:///htpoort.db", url)).ledger.url

    def test_in_the_environment(self, read_for_the_ledger: ReadLedger) -> None:
        """A URL with a password comes from the environment, for every command."""
        text = SMALL.replace('url = "sqlite:///htpoort.db"', 'url_env = "LEDGER"')
        url = "postgresql+psycopg://edi:geheim@db.example/htpoort"

        assert url == read_for_the_ledger(text, {"LEDGER": url}).url

    def test_a_folder_with_any_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative file is found in a folder whose name has characters that a URL must escape."""
        odd = tmp_path / "100% klaar? ja"
        odd.mkdir()
        monkeypatch.chdir(odd)
        (odd / "htpoort.toml").write_text(SMALL)
        from htpoort.config import read_ledger

        with read_ledger("htpoort.toml").open():
            assert (odd / "htpoort.db").exists()


def test_a_file_that_is_not_there(folder: Path) -> None:
    """The error names a missing file."""
    from htpoort.config import read_ledger

    del folder
    with pytest.raises(InputError, match=r"^htpoort\.toml cannot be read: No such file or directory\.$"):
        read_ledger("htpoort.toml")
