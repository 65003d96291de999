"""What `[[gateway]]` and a system with a service become, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from htpoort import InputError
from htpoort.agent import Agent, FileGatewaySettings
from htpoort.config import AgentConfig, check, read_agent_in_part
from htpoort.delivery import DirectoryDelivery
from htpoort.files import FileService, GatewayUser
from htpoort.transport import FtpsAccount, Security, TlsSettings

Read = Callable[..., AgentConfig]
Refuse = Callable[..., list[str]]

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
USER = "CVR_12345678_UI_12345678"
BASE = """
parties = ["NL123456789.02.05"]
[ledger]
url = "sqlite:///htpoort.db"
[systems.MANIFEST]
service = "Manifest"
[systems.ICS]
service = "ICS"
"""
SMALL = f'[[gateway]]\nserver = "new.gateway.example"\nusername = "{USER}"\npassword_env = "SECRET"\n'
WHOLE = f"""
[[gateway]]
server = "old.gateway.example"
port = 6371
security = "implicit"
username = "{USER}"
certificate = "own.pem"
key = "own.pem"
ca_file = "ca.pem"
services = ["manifest"]
upload = false
poll = "5m"
timeout = "30s"
transfer_timeout = "20m"
file_limit = 1000000
listing_limit = 2000000

[[gateway]]
server = "new.gateway.example"
username = "{USER}"
password_env = "SECRET"
certificate = "own.pem"
unique_names = false
connections = 2
per_hour = 50
retry = ["1m"]
fetch = true
"""
MANIFEST, ICS = FileService(name="MANIFEST", service="Manifest"), FileService(name="ICS", service="ICS")


class TestRead:
    """What a correct file becomes."""

    def test_whole(self, folder: Path, read: Read, files: SimpleNamespace) -> None:
        """Every key has its place; the old gateway is fetched from, and the new one takes the files."""
        config = read(BASE + WHOLE, {"SECRET": "geheim"})

        own, user = folder / files.own, GatewayUser.parse(USER)
        assert (
            FileGatewaySettings(
                server=FtpsAccount(
                    host="old.gateway.example",
                    port=6371,
                    security=Security.IMPLICIT,
                    username=USER,
                    password=None,
                    tls=TlsSettings(ca_file=folder / files.ca, certificate=own, key=own),
                    timeout=30.0,
                    transfer_timeout=1200.0,
                    file_limit=1_000_000,
                    listing_limit=2_000_000,
                ),
                user=user,
                services=(MANIFEST,),
                upload=False,
                poll_interval=timedelta(minutes=5),
            ),
            FileGatewaySettings(
                server=FtpsAccount(
                    host="new.gateway.example", username=USER, password="geheim", tls=TlsSettings(certificate=own)
                ),
                user=user,
                services=(MANIFEST, ICS),
                unique_names=False,
                connections=2,
                per_hour=50,
                retry_schedule=(timedelta(minutes=1),),
            ),
        ) == config.gateways
        assert ((MANIFEST, ICS), (user,)) == (config.ledger.services, config.ledger.users)

    def test_defaults(self, read: Read) -> None:
        """Server, user and password are enough: every service of the file, uploaded and fetched."""
        (gateway,) = read(BASE + SMALL, {"SECRET": "geheim"}).gateways

        assert (6381, Security.STARTTLS) == (gateway.server.port, gateway.server.security)
        assert ((MANIFEST, ICS), True, True, True) == (
            gateway.services,
            gateway.upload,
            gateway.fetch,
            gateway.unique_names,
        )

    def test_what_an_agent_does(self, read: Read) -> None:
        """A gateway sends to its services, is for an agent, and its services have deliveries, also for one user."""
        config = read(
            f'{BASE}{SMALL}services = ["ICS"]\n'
            '[[delivery]]\nsystem = "ics"\ndirectory = "ics"\n'
            f'[[delivery]]\nsystem = "Manifest"\nparty = "{USER.lower()}"\ndirectory = "own"\n'
            '[unanswered]\n[[unanswered.system]]\nsystem = "manifest"\nafter = "1h"\n',
            {"SECRET": "geheim"},
        )

        assert config.is_of_agent
        assert (True, False, False) == (
            config.sends_to("ics"),
            config.sends_to("MANIFEST"),
            config.sends_to("DMS"),
        )
        assert ["ICS"] == list(config.deliveries)
        assert [("MANIFEST", USER)] == list(config.party_deliveries)
        assert isinstance(config.deliveries["ICS"], DirectoryDelivery)
        assert timedelta(hours=1) == config.ledger.unanswered.limit("MANIFEST")

    def test_services_alone(self, read: Read) -> None:
        """A service without a gateway is known, and nothing sends to it."""
        config = read(BASE)

        assert (MANIFEST, ICS) == config.ledger.services
        assert (False, ()) == (config.sends_to("MANIFEST"), config.gateways)

    def test_one_secret_is_missing(self, folder: Path, files: SimpleNamespace) -> None:
        """A gateway whose password or certificate is missing leaves the other one complete."""
        (folder / "htpoort.toml").write_text(BASE + WHOLE.replace('key = "own.pem"', 'key = "gone.pem"'))
        assert files.own

        found = read_agent_in_part("htpoort.toml", environ={"SECRET": "geheim"})

        assert (frozenset({"gateway[0]"}), frozenset()) == (found.missing.certificates, found.missing.passwords)
        assert ["old.gateway.example", "new.gateway.example"] == [each.server.host for each in found.config.gateways]
        assert "geheim" == found.config.gateways[1].server.password
        missing = read_agent_in_part("htpoort.toml", environ={}).missing
        assert frozenset({"gateway[1]"}) == missing.passwords


WRONG = [
    ('[[gateway]]\nserver = "a.example"\n', ["gateway[0].username", "gateway[0].password"]),
    (f'{SMALL}security = "plain"\n', ["gateway[0]"]),
    (f"{SMALL}port = 0\n", ["gateway[0].port"]),
    (SMALL.replace(USER, "edi"), ["gateway[0].username"]),
    (f'{SMALL}services = ["ICS", "NCTS"]\n', ["gateway[0].services[1]"]),
    (f'{SMALL}services = ["DMS"]\n', ["gateway[0].services[0]"]),
    (f"{SMALL}upload = false\nfetch = false\n", ["gateway[0]"]),
    (f"{SMALL}connections = 0\n", ["gateway[0].connections"]),
    (f"{SMALL}per_hour = 0\n", ["gateway[0].per_hour"]),
    (f"{SMALL}{SMALL}", ["gateway[1]", "gateway[1]", "gateway[1]"]),
    (SMALL + SMALL.replace("new.", "old."), ["gateway[1]", "gateway[1]"]),
    (f"{SMALL}ports = 1\n", ["gateway[0].ports"]),
    (f'{SMALL}password = "geheim"\n', ["gateway[0].password"]),
]


class TestFilesAlone:
    """Who only uploads files has no party ID."""

    TEXT = BASE.replace('parties = ["NL123456789.02.05"]\n', "") + SMALL

    def test_no_party(self, folder: Path, read: Read) -> None:
        """An agent runs without parties; a message has no way out, and each user can be selected."""
        config = read(self.TEXT, {"SECRET": "geheim"})

        assert (folder / "htpoort.toml").exists()
        assert ((), (GatewayUser.parse(USER),)) == (config.ledger.parties, config.ledger.select_declarants([]))
        with config.ledger.open() as ledger:
            assert isinstance(config.agent(ledger), Agent)
            with pytest.raises(InputError) as caught:
                config.ledger.dispatcher(ledger)
        assert "htpoort.toml has no parties, which messages need; add them, or give a system that takes files." == str(
            caught.value
        )

    @pytest.mark.parametrize("table", ['[[outbox]]\nserver = "a.example"\n', "[cutover]\n"])
    def test_messages_need_one(self, refused: Refuse, table: str) -> None:
        """What sends or receives messages needs parties, beside a gateway too."""
        (problem,) = refused(self.TEXT + table, {"SECRET": "geheim"})

        assert 'parties: give an array of party IDs, such as ["NL123456789.02.05"].' in problem

    def test_selected(self, read: Read) -> None:
        """Parties and users are selected in any case; a stranger is refused by name."""
        config = read(BASE + SMALL, {"SECRET": "geheim"}).ledger

        assert ["NL123456789.02.05", USER] == [str(each) for each in config.select_declarants([])]
        assert [USER] == [str(each) for each in config.select_declarants([USER.lower()])]
        with pytest.raises(InputError):
            config.select_declarants(["NL9"])
        with pytest.raises(InputError):
            config.select_parties([USER])


class TestWrong:
    """Each mistake is reported at its place, once, with nothing that only follows from it."""

    @pytest.mark.parametrize(("text", "places"), WRONG)
    def test_places(self, refused: Refuse, text: str, places: list[str]) -> None:
        """A problem begins with file, line and path."""
        problems = refused(BASE + text, {"SECRET": "geheim"})

        assert len(places) == len(problems), problems
        for place, problem in zip(places, problems, strict=True):
            assert f" {place}" in problem
            assert "geheim" not in problem

    def test_words(self, refused: Refuse) -> None:
        """What is wrong is named in the words of the file, with what to do."""
        assert [
            "htpoort.toml:13: gateway[0].services[1]: 'NCTS' is no system with a service. Known: ICS, MANIFEST."
        ] == refused(f'{BASE}{SMALL}services = ["ICS", "NCTS"]\n', {"SECRET": "geheim"})
        assert [
            f"htpoort.toml:13: gateway[1]: {name} is already uploaded by gateway[0]; set upload = false in one of them."
            for name in ("MANIFEST", "ICS")
        ] == refused(f"{BASE}{SMALL}{SMALL.replace('new.', 'old.')}", {"SECRET": "geheim"})

    def test_no_service(self, refused: Refuse) -> None:
        """A gateway needs a service, which is a table of its own."""
        text = BASE.partition("[systems")[0] + SMALL

        assert [
            (
                "htpoort.toml:5: gateway[0]: the file has no service; add a table [systems.MANIFEST] with "
                'service = "Manifest".'
            )
        ] == refused(text, {"SECRET": "geheim"})

    def test_a_wrong_service_hides_nothing(self, refused: Refuse) -> None:
        """Where a service is wrong, its gateway is not blamed."""
        text = BASE.replace('"Manifest"', '"out"') + SMALL + 'services = ["MANIFEST"]\n'

        (problem,) = refused(text, {"SECRET": "geheim"})

        assert "systems.MANIFEST.service is 'out'" in problem

    def test_a_service_takes_no_mail(self, refused: Refuse) -> None:
        """An outbox and a watched folder are for systems that take mail."""
        problems = refused(
            f'{BASE}[[outbox]]\nserver = "a.example"\nsystems = ["MANIFEST"]\n'
            '[[folder]]\npath = "."\nmailbox = "edi@forwarder.example"\nparty = "NL123456789.02.05"\nsystem = "ICS"\n'
        )

        assert ["outbox[0].systems[0]", "folder[0].system"] == [problem.split(": ")[1] for problem in problems]


class TestChecked:
    """`htpoort check` warns of what a configuration with gateways leaves out."""

    async def test_what_is_missing(self, read: Read) -> None:
        """Files without a fetch, responses without a delivery, and a service that is closed are named."""
        config = read(
            BASE.replace('service = "ICS"', 'service = "ICS"\nclosed = 2026-01-01')
            + f'{SMALL.replace("new.gateway.example", "127.0.0.1")}port = 1\nservices = ["MANIFEST"]\n'
            + f'{SMALL.replace("new.gateway.example", "127.0.0.1")}port = 2\nservices = ["ICS"]\nfetch = false\n'
            + f'[[delivery]]\nsystem = "ICS"\nparty = "{USER}"\ndirectory = "ics"\n',
            {"SECRET": "geheim"},
        )

        findings = [
            (one.part, one.check, one.message)
            for one in await check(config, at=NOW)
            if one.part not in {"ledger", "disk"} and one.check in {"missing", "closed"}
        ]

        assert [
            (
                "gateway ICS",
                "missing",
                "Files for ICS are uploaded, but no [[gateway]] fetches what answers them.",
            ),
            (
                "delivery MANIFEST",
                "missing",
                "Declarations to MANIFEST are sent, but its replies are only stored: it has no [[delivery]].",
            ),
            (
                "gateway[1]",
                "closed",
                "gateway[1] sends to ICS, which takes no new declarations since 2026-01-01.",
            ),
        ] == findings
