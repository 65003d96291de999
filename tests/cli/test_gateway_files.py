"""`htpoort queue` for a system that takes files: by name, and never a real file by mistake."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from htpoort import Outcome
from htpoort.files import (
    FileRouter,
    FileService,
    GatewayUser,
    StatusReport,
    entity,
    octets_of,
    render_report,
)
from htpoort.ledger import Ledger
from htpoort.simulator import (
    ClientCertificate,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    GatewayTls,
    OutKind,
    PutOut,
)

Run = Callable[..., Any]

USER = "CVR_12345678_UI_12345678"
CONFIG = f"""
parties = ["NL123456789.02.05"]
[ledger]
url = "sqlite:///htpoort.db"
[systems.MANIFEST]
service = "Manifest"
[[gateway]]
server = "ftps.gateway.example"
username = "{USER}"
password_env = "GATEWAY_PASSWORD"
"""
FILE = ("--system", "manifest", "--party", USER)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a configuration that has a gateway, and no password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    (tmp_path / "manifest.xml").write_bytes(b"<Manifest/>\n")
    return tmp_path


def queued(office: Path) -> list[tuple[str, str, str, bytes]]:
    """List what is in the ledger: system, user, name and octets."""
    with Ledger.open(f"sqlite:///{office}/htpoort.db", create=False) as ledger:
        return [
            (each.system, each.party, each.reference, octets_of(raw or b""))
            for each, raw in ledger.exchanges.messages()
        ]


class TestQueued:
    """A file is queued under its name, with its octets as they are."""

    def test_a_real_file(self, htpoort: Run, office: Path) -> None:
        """System, user and name are printed, as those of a message; no password is needed."""
        result = htpoort("queue", "manifest.xml", *FILE, "--reference", "MANIFEST_2026_0001")

        assert (0, "") == (result.code, result.err)
        assert [("MANIFEST", USER, "MANIFEST_2026_0001", b"<Manifest/>\n")] == queued(office)
        rows = {line.split()[0]: line.split()[-1] for line in result.text.splitlines()}
        assert ("MANIFEST", USER, "MANIFEST_2026_0001", "queued") == (
            rows["system"],
            rows["party"],
            rows["reference"],
            rows["state"],
        )

    def test_validated_only(self, htpoort: Run, office: Path) -> None:
        """The prefix is added where it is asked for; real and validated are two files."""
        for options in (("--validation-only",), ()):
            assert 0 == htpoort("queue", "manifest.xml", *FILE, "--reference", "A1", *options).code

        assert ["val_A1", "A1"] == [name for _, _, name, _ in queued(office)]

    def test_a_name_of_its_own(self, htpoort: Run, office: Path) -> None:
        """The name may follow from user and content; the same file again is the same exchange."""
        first, again = (
            htpoort("queue", "-", *FILE, "--reference", "auto", "--json", stdin=b"<Manifest/>") for _ in range(2)
        )

        assert (False, True) == (first.facts["repeated"], again.facts["repeated"])
        assert [first.facts["reference"]] == [name for _, _, name, _ in queued(office)]

    def test_its_own_reference(self, htpoort: Run, office: Path) -> None:
        """A reference for reports is kept."""
        result = htpoort("queue", "manifest.xml", *FILE, "--reference", "A1", "--business-reference", "LRN1", "--json")

        assert "LRN1" == result.facts["business_reference"]
        assert 1 == len(queued(office))

    def test_a_name_is_used_once(self, htpoort: Run, office: Path) -> None:
        """Another file under a used name is refused before anything is sent."""
        assert 0 == htpoort("queue", "manifest.xml", *FILE, "--reference", "A1").code

        result = htpoort("queue", "-", *FILE, "--reference", "A1", "--json", stdin=b"<Other/>")

        assert (2, ["ledger.reference-used"]) == (result.code, [each["code"] for each in result.facts["problems"]])
        assert 1 == len(queued(office))


class TestReported:
    """Pages show a user of a gateway as they show a party."""

    def test_one_user(self, htpoort: Run, office: Path) -> None:
        """A report is of everything, or of one user alone."""
        assert 0 == htpoort("queue", "manifest.xml", *FILE, "--reference", "A1").code

        for options in ((), ("--party", USER.lower())):
            assert 0 == htpoort("report", "--html", "report.html", *options).code
            page = (office / "report.html").read_text()
            assert USER in page
            assert "MANIFEST" in page


class TestRefused:
    """A wrong option is named, and nothing is queued."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((*FILE, "--reference", "val_A1"), "--reference: The name begins with val_"),
            ((*FILE, "--reference", "val_A1", "--validation-only"), "--reference: The name begins with val_"),
            ((*FILE, "--reference", "A1.xml"), "--reference: This is not a file name"),
            ((*FILE, "--reference", "A1", "--mailbox", "edi@forwarder.example"), "--mailbox is for a message"),
            (
                (*FILE, "--reference", "A1", "--validation-only", "--mailbox", "edi@forwarder.example"),
                "--mailbox: a file has none; leave it out for MANIFEST.",
            ),
            ((*FILE, "--reference", "A1", "--kind", "import"), "--kind: a file has none; leave it out for MANIFEST."),
            (
                (*FILE, "--reference", "A1", "--layout", "attachment", "--date", "2026-01-01T00:00:00Z"),
                "--layout, --date: a file has none; leave it out for MANIFEST.",
            ),
            (
                (*FILE, "--reference", "auto", "manifest.xml"),
                "MANIFEST takes files; queue each by itself, with its name as --reference.",
            ),
            (
                ("--system", "MANIFEST", "--party", "NL123456789.02.05", "--reference", "A1"),
                "Known: CVR_12345678_UI_12345678.",
            ),
            (("--system", "DMS", "--party", USER, "--reference", "A1"), "--mailbox is missing."),
            (("--party", USER, "--reference", "A1"), "--mailbox is missing."),
            (
                ("--system", "DMS", "--party", USER, "--reference", "A1", "--validation-only"),
                "--validation-only is for a system that takes files (in htpoort.toml: MANIFEST).",
            ),
            ((*FILE, "--reference", "A1", "--business-reference", ""), "--business-reference is empty"),
        ],
    )
    def test_options(self, htpoort: Run, office: Path, options: tuple[str, ...], expected: str) -> None:
        """The option is named, with what to do."""
        result = htpoort("queue", "manifest.xml", *options)

        assert (2, "") == (result.code, result.text)
        assert expected in " ".join(result.err.split())
        assert not (office / "htpoort.db").exists() or [] == queued(office)

    def test_no_service(self, htpoort: Run, office: Path) -> None:
        """A file without a service is one of messages."""
        (office / "htpoort.toml").write_text(CONFIG.partition("[systems")[0])

        result = htpoort("queue", "manifest.xml", *FILE, "--reference", "A1", "--validation-only", "--json")

        assert 2 == result.code
        assert "--validation-only is for a system that takes files (in htpoort.toml: none)." in json.dumps(result.facts)


def fetched(office: Path, name: str, octets: bytes) -> int:
    """Store a file that was fetched from the gateway; return its number."""
    router = FileRouter(services=[FileService(name="MANIFEST", service="Manifest")], user=GatewayUser.parse(USER))
    with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
        at = datetime.now(UTC)  # noqa: TID251 - now
        return ledger.replies.take_in_file(router, entity(name, octets), at=at, account="x").key


class TestQuarantine:
    """A file that belongs to no upload for sure waits in quarantine, like a message."""

    def test_release(self, htpoort: Run, office: Path) -> None:
        """It is released to an upload by system, user and name."""
        htpoort("queue", "manifest.xml", *FILE, "--reference", "A1")
        key = fetched(office, "answer.xml", b"<Answer/>")
        shown = htpoort("quarantine", "show", str(key), "--payload")
        result = htpoort("quarantine", "release", str(key), *FILE, "--reference", "A1", "--json")

        assert b"<Answer/>" == shown.out
        assert ("MANIFEST", USER, "A1") == tuple(result.facts[name] for name in ("system", "party", "reference"))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (FILE, "--reference is missing; give the name of the upload."),
            (("--system", "manifest", "--party", "CVR_1", "--reference", "A1"), "--party: This is not the user"),
            (
                ("--system", "DMS", "--party", "NL123456789.02.05", "--reference", "A1"),
                "--system is DMS, but message 1",
            ),
        ],
    )
    def test_refused(self, htpoort: Run, office: Path, options: tuple[str, ...], expected: str) -> None:
        """Without a name, for no user or to a mail system nothing is released."""
        key = fetched(office, "answer.xml", b"<Answer/>")
        result = htpoort("quarantine", "release", str(key), *options)

        assert (2, True) == (result.code, expected in result.err)
        assert "held" in htpoort("quarantine", "list").text


def test_an_error_of_the_gateway_forbids_a_resend(htpoort: Run, office: Path) -> None:
    """What the gateway has and refuses goes out again under a new name only; status says what is wrong."""
    htpoort("queue", "manifest.xml", *FILE, "--reference", "A1")
    with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
        at = datetime.now(UTC)  # noqa: TID251 - now
        (claimed,) = ledger.exchanges.claim_soon(
            ["MANIFEST"], owner="a", most=1, at=at, lease=timedelta(minutes=2)
        ).result()
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=at).result()
    fetched(office, "status_Manifest_A1_0.xml", render_report(StatusReport(error_message="Not well-formed")))
    result = htpoort("resolve", "A1", "--resend")

    assert (2, True) == (result.code, "queue the corrected file under a new name" in result.err)
    assert "Not well-formed" in htpoort("status").text


async def test_a_manifest_goes_out_and_its_response_comes_back(office: Path, process: Run) -> None:
    """Uploaded by one `htpoort run --once`, fetched by `htpoort fetch`, delivered by the next run."""
    out = tuple(PutOut(kind=kind) for kind in (OutKind.HANDED_OVER, OutKind.TAKEN, OutKind.ANSWERED))
    user = FileUser(user=GatewayUser.parse(USER), password="geheim")
    tls = GatewayTls.made(office, client=ClientCertificate.REQUIRED)
    async with FileGateway(tls=tls, users=[user], script=FileScript(scenarios=(FileScenario(out=out),))) as gateway:
        (office / "htpoort.toml").write_text(
            CONFIG.replace('"ftps.gateway.example"', f'"127.0.0.1"\nport = {gateway.port}')
            + f'ca_file = "{tls.ca_file}"\ncertificate = "{tls.client_certificate}"\n'
            '[[delivery]]\nsystem = "MANIFEST"\ndirectory = "in"\n'
        )
        environment = {**os.environ, "GATEWAY_PASSWORD": "geheim"}
        await process("queue", "manifest.xml", *FILE, "--reference", "A1")
        first = await process("run", "--once", "--json", env=environment)
        await gateway.wait_for_due()
        fetched_now = await process("fetch", "--json", env=environment)
        second = await process("run", "--once", "--json", env=environment)

        assert ((0, 0, 0), ()) == ((first.code, fetched_now.code, second.code), gateway.out(user))
    assert [b"<Manifest/>\n"] == [one.octets for one in gateway.uploads]
    (report,) = fetched_now.facts
    assert (4, 4, None) == (report["fetched"], report["new"], report["error"])
    assert 4 == sum(1 for _ in (office / "in").iterdir())


async def test_run_says_what_a_gateway_is_used_for(office: Path) -> None:
    """The first lines name each gateway and what no table serves; it needs no inbox beside it."""
    (office / "htpoort.toml").write_text(CONFIG.replace('"ftps.gateway.example"', '"127.0.0.1"') + "upload = false\n")
    environment = {**os.environ, "GATEWAY_PASSWORD": "geheim"}
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort", "run", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    assert agent.stdout is not None
    async with asyncio.timeout(60):
        facts = json.loads(await agent.stdout.readline())
        agent.terminate()
        await agent.communicate()

    assert [f"127.0.0.1:6381 as {USER} (fetch only)"] == facts["gateway"]
    assert ["no [[outbox]]: no declaration is sent", "no [[delivery]]: replies are stored, and wait"] == facts[
        "missing"
    ]
