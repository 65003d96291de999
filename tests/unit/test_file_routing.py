"""Files that are fetched: status files, what they say, and the uploads that responses belong to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from htpoort import Correlation, InputError, Mark, Quarantined, Reason, SentRecord
from htpoort.files import (
    MANIFEST_2020,
    MANIFEST_RULES,
    Fact,
    FileName,
    FileRouter,
    FileService,
    FileStatus,
    GatewayAccess,
    GatewayChange,
    GatewayUser,
    RoutedFile,
    StatusFile,
    StatusReport,
    UnmatchedFile,
    correlate_file,
    entity,
    is_certain,
    read_report,
    render_report,
    rules_at,
)

USER = GatewayUser.parse("CVR_12345678_UI_12345678")
MANIFEST = FileService(name="MANIFEST", service="Manifest")
ICS = FileService(name="ICS", service="ICS_Entry")
ROUTER = FileRouter(services=(MANIFEST, ICS), user=USER)

PUBLISHED = b"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<status>
<file>
<filename>/CVR_12345678/UI_12345678/FTPSGW.Heartbeat/ping1-hb01.xml</filename>
<FTPTransaktionsId>ping1-hb01.xml</FTPTransaktionsId>
<SKATTransactionId>ci1_12345678_1</SKATTransactionId>
<timestamp>20201210143017</timestamp>
<status.code>File delivered to requested Backend System</status.code>
<service>FTPSGW.Heartbeat</service>
</file>
</status>
"""
"""The form of a published status file, with dummy numbers."""


def sent(reference: str, system: str = "MANIFEST", party: str = "CVR_12345678_UI_12345678") -> SentRecord:
    """Make the record of an upload."""
    return SentRecord(system=system, party=party, reference=reference)


class TestStatusFile:
    """The name of a status file names a service, an upload and a number from 0 to 3."""

    @pytest.mark.parametrize(
        ("text", "service", "name", "status"),
        [
            ("status_Manifest_A1_0.xml", "Manifest", "A1", FileStatus.ERROR),
            ("status_Manifest_A1_1.xml", "Manifest", "A1", FileStatus.HANDED_OVER),
            ("status_Manifest_val_A1_2.xml", "Manifest", "val_A1", FileStatus.TAKEN),
            ("status_ICS_Entry_A_B_1_3.xml", "ICS_Entry", "A_B_1", FileStatus.ANSWERED),
            ("status_ICS_Entry____1.xml", "ICS_Entry", "__", FileStatus.HANDED_OVER),
            ("status_MANIFEST_A1_1.xml", "Manifest", "A1", FileStatus.HANDED_OVER),
        ],
    )
    def test_read(self, text: str, service: str, name: str, status: FileStatus) -> None:
        """Underscores in service and name are parted by the known services, in any case."""
        found = StatusFile.parse(text, [MANIFEST, ICS])

        assert StatusFile(service=service, name=FileName.parse(name), status=status) == found

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "status_Manifest_A1_4.xml",
            "status_Manifest_A1_12.xml",
            "status_Manifest_A1_1.xml.tmp",
            "status_Manifest_A1_1.xml\n",
            "xstatus_Manifest_A1_1.xml",
            "status_Manifest__1.xml",
            "status_Manifest_1.xml",
            "status_Manifest_val_val_A_1.xml",
            "status_Manifest_a-b_1.xml",
            "status_Other_A1_1.xml",
            "status_Manifests_A1_1.xml",
            f"status_Manifest_{'a' * 79}_1.xml",
            f"status_Manifest_{'a' * 1_000_000}_1.xml",
        ],
    )
    def test_not_read(self, text: str) -> None:
        """What is no status file of a known service is none, and nothing is guessed."""
        assert StatusFile.parse(text, [MANIFEST, ICS]) is None

    def test_name(self) -> None:
        """The name is written in the published form."""
        status = StatusFile(service="Manifest", name=FileName.for_validation("A_1"), status=FileStatus.TAKEN)

        assert "status_Manifest_val_A_1_2.xml" == status.file_name

    @pytest.mark.parametrize(
        ("numbers", "certain"),
        [([1, 2, 3], True), ([3, 1, 2, 1], True), ([1, 2], False), ([3], False), ([0, 1, 2, 3], False), ([], False)],
    )
    def test_certain(self, numbers: list[int], *, certain: bool) -> None:
        """Only 1, 2 and 3 together are certainty."""
        assert certain is is_certain(map(FileStatus, numbers))


class TestReport:
    """What a status file says is read as far as it can be, and no more."""

    def test_published(self) -> None:
        """The published form is read."""
        assert StatusReport(
            file_name="ping1-hb01.xml",
            gateway_id="ci1_12345678_1",
            time="20201210143017",
            status_code="File delivered to requested Backend System",
            service="FTPSGW.Heartbeat",
        ) == read_report(PUBLISHED)

    def test_a_response_is_named(self) -> None:
        """A file in a response is the response, by its name without folders; another one is the upload."""
        octets = (
            b"<status><file><FTPTransaktionsId>/a/A1</FTPTransaktionsId><response><filename>/x/out/R1.xml</filename>"
            b"</response><filename>/y/A2</filename></file></status>"
        )

        assert ("A1", "R1.xml") == (read_report(octets).file_name, read_report(octets).response)

    def test_an_error(self) -> None:
        """Code, message and resolution of an error are read; the refusal of a used name is recognised."""
        report = read_report(
            b"<s:status xmlns:s='urn:x'><s:error><s:error.code>E1</s:error.code><s:error.message> FILENAME_CANNOT_BE_"
            b"REUSED_FOR_TRANSACTION\n for A1 &lt;</s:error.message><s:error.resolution><![CDATA[Rename]]>"
            b"</s:error.resolution></s:error></s:status>"
        )

        assert ("E1", "FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION for A1 <", "Rename") == (
            report.error_code,
            report.error_message,
            report.resolution,
        )
        assert report.is_name_reused
        assert not read_report(PUBLISHED).is_name_reused

    @pytest.mark.parametrize("field", ["error_code", "error_message", "status_code"])
    def test_a_used_name_may_be_said_in_each_place(self, field: str) -> None:
        """Where the text stands is not published: each place that describes an error is looked at."""
        report = StatusReport(**{field: "x FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION."})

        assert report.is_name_reused

    @pytest.mark.parametrize(
        ("octets", "service"),
        [
            (b"", ""),
            (b"\xff\xfe\x00", ""),
            (b"<status><service>A</service>", "A"),
            (b"<status><service>A</service><service>B</service></status>", "A"),
            (b"<status><service></service><service>B</service></status>", "B"),
            (b"<status><service>A</x></status>", ""),
            (b'<?xml version="1.0" encoding="no-such"?><status><service>A</service></status>', ""),
            (b'<?xml version="1.0" encoding="rot13"?><status><service>A</service></status>', ""),
            (b'<!DOCTYPE s [<!ENTITY a "b">]><status><service>A</service></status>', ""),
            (b'<!DOCTYPE s SYSTEM "file:///etc/passwd"><s><service>&x;A</service></s>', "A"),
            (b"<status><service>A</service></status>".ljust(65_536), "A"),
            (b"<status><service>A</service></status>".ljust(65_537), ""),
            (b"<status><service>A</service></status", "A"),
        ],
    )
    def test_what_is_broken(self, octets: bytes, service: str) -> None:
        """What comes before an error is read, entities are not, and nothing is raised."""
        assert service == read_report(octets).service

    def test_written(self) -> None:
        """What is written is read back, and empty fields leave no element."""
        report = StatusReport(
            file_name="A1",
            gateway_id="1",
            time="20260101000000",
            status_code="a < b & c",
            service="Manifest",
            response="R1.xml",
            error_code="E",
            error_message="m",
            resolution="r",
        )

        assert report == read_report(render_report(report))
        assert b"<status>\n<file>\n</file>\n</status>" in render_report(StatusReport())


class TestRouter:
    """A router reads names, and never decides alone to which upload a response belongs."""

    def test_a_status_file(self) -> None:
        """A status file is routed by its name, with what it says."""
        raw = entity("status_ICS_Entry_A1_3.xml", b"<status><response><filename>R1</filename></response></status>")

        found = ROUTER.route_file(raw)

        assert isinstance(found, RoutedFile)
        assert (ICS, USER, "A1", Correlation.NOT_CHECKED, FileStatus.ANSWERED) == (
            found.system,
            found.party,
            found.reference,
            found.correlation,
            found.status,
        )
        assert ("/CVR_12345678/UI_12345678/out", "ICS_Entry", ("A1",)) == (
            found.mailbox,
            found.process_id,
            found.references,
        )
        assert StatusReport(response="R1") == found.report
        assert raw[found.body_start :] == found.payload.octets

    def test_another_file(self) -> None:
        """Any other file is one that may be a response."""
        raw = entity("response_Manifest_A_1.xml", b"<r/>")

        found = ROUTER.route_file(raw)

        assert isinstance(found, UnmatchedFile)
        assert (USER, "response_Manifest_A_1.xml", ROUTER.services) == (found.party, found.file_name, found.services)
        assert "/CVR_12345678/UI_12345678/out" == found.mailbox
        assert found.candidates == found.references
        assert b"<r/>" == found.payload.octets == raw[found.body_start :]

    @pytest.mark.parametrize(
        ("file_name", "candidates"),
        [
            ("A1.xml", ["A1"]),
            ("A1", ["A1"]),
            ("val_A.xml", ["val_A", "val"]),
            ("A_B", ["A_B", "A", "B"]),
            ("A__B", ["A__B", "A_", "_B", "A", "B"]),
            ("A-B.C.xml", ["A", "B", "C"]),
            ("Val_A", ["Val", "A"]),
            ("\u00e6.xml", []),
            ("_".join("a" * 24), ["_".join("a" * length) for length in range(1, 25)]),
            ("_".join("a" * 25), []),
            ("", []),
        ],
    )
    def test_candidates(self, file_name: str, candidates: list[str]) -> None:
        """Candidates are runs of parts that can be names of uploads, the longest first, without the ending."""
        expected = sorted(candidates, key=lambda name: (-len(name), name))

        assert expected == [name for name in ROUTER.candidates(file_name) if name.strip("_")]

    def test_services(self) -> None:
        """A router has a service, and none that clashes with another."""
        with pytest.raises(InputError) as caught:
            FileRouter(services=(), user=USER)
        assert "services is empty; give at least one service." == str(caught.value)
        with pytest.raises(InputError):
            FileRouter(services=[MANIFEST, FileService(name="B", service="Manifest_B")], user=USER)

    def test_no_entity(self) -> None:
        """Only stored files are routed."""
        with pytest.raises(InputError):
            ROUTER.route_file(b"Subject: A1\r\n\r\nx")


def response(name: str) -> RoutedFile | UnmatchedFile:
    """Route a fetched file."""
    return ROUTER.route_file(entity(name, b"<r/>"))


class TestCorrelate:
    """A fetched file belongs to one upload, or it is quarantined; a response is never given to the wrong one."""

    def test_a_status_file(self) -> None:
        """A status file belongs to the upload that it names."""
        found = correlate_file(response("status_Manifest_A1_1.xml"), [sent("A1"), sent("A2")])

        assert isinstance(found, RoutedFile)
        assert ("A1", MANIFEST, Correlation.MATCHED) == (found.reference, found.system, found.correlation)

    @pytest.mark.parametrize(
        "record",
        [
            sent("A2"),
            sent("a1"),
            sent("val_A1"),
            sent("A1", system="ICS"),
            sent("A1", system="DMS"),
            sent("A1", party="CVR_12345678_UI_87654321"),
        ],
    )
    def test_a_foreign_status_file(self, record: SentRecord) -> None:
        """One of another upload, service or user is foreign."""
        found = correlate_file(response("status_Manifest_A1_1.xml"), [record])

        assert isinstance(found, Quarantined)
        assert (Reason.FOREIGN_FILE, "/CVR_12345678/UI_12345678/out") == (found.reason, found.mailbox)
        assert [
            (
                "route.foreign-file",
                "The file status_Manifest_A1_1.xml belongs to no uploaded file of CVR_12345678_UI_12345678.",
            )
        ] == [(problem.code, problem.message) for problem in found.problems]

    def test_a_response_by_its_name(self) -> None:
        """A response whose name carries one upload alone belongs to it, in its service."""
        found = correlate_file(response("response_A1.xml"), [sent("A1", system="ics"), sent("A2")])

        assert isinstance(found, RoutedFile)
        assert ("A1", ICS, Correlation.MATCHED, None, "response_A1.xml") == (
            found.reference,
            found.system,
            found.correlation,
            found.status,
            found.file_name,
        )
        assert b"<r/>" == found.payload.octets == found.raw[found.body_start :]

    @pytest.mark.parametrize(("name", "reference"), [("response_val_A_1.xml", "val_A_1"), ("response_A_1.xml", "A_1")])
    def test_validated_first(self, name: str, reference: str) -> None:
        """A file may be validated first and then be uploaded under the same stem: each response goes to its own."""
        found = correlate_file(response(name), [sent("A_1"), sent("val_A_1")])

        assert isinstance(found, RoutedFile)
        assert reference == found.reference

    def test_a_response_that_fits_two(self) -> None:
        """A response that may belong to two uploads is kept for a person."""
        found = correlate_file(response("response_A_1.xml"), [sent("A"), sent("A_1")])

        assert isinstance(found, Quarantined)
        assert (
            "The file response_A_1.xml may belong to each of A, A_1; no status file says to which."
            == found.problems[0].message
        )
        assert found.body_start > 0

    @pytest.mark.parametrize("name", ["response_A_1.xml", "7f3a.xml"])
    def test_a_response_that_is_announced(self, name: str) -> None:
        """A response that a status 3 names belongs to that upload, whatever its own name looks like."""
        found = correlate_file(response(name), [sent("A"), sent("A_1")], announced=["A"])

        assert isinstance(found, RoutedFile)
        assert "A" == found.reference

    def test_announced_twice(self) -> None:
        """A file that two status files name belongs to neither for certain."""
        found = correlate_file(response("R.xml"), [sent("A"), sent("B")], announced=["A", "B"])

        assert isinstance(found, Quarantined)

    def test_announced_by_a_foreign_upload(self) -> None:
        """What was not uploaded announces nothing, and a status file goes by its own name."""
        assert isinstance(correlate_file(response("R.xml"), [sent("A")], announced=["B"]), Quarantined)
        found = correlate_file(response("status_Manifest_A_1.xml"), [sent("A"), sent("B")], announced=["B"])
        assert isinstance(found, RoutedFile)
        assert "A" == found.reference


OPENS = datetime(2020, 10, 7, 4, 0, tzinfo=UTC)
BOTH, FETCH, NOTHING = (
    GatewayAccess(upload=upload, fetch=fetch) for upload, fetch in ((True, True), (False, True), (False, False))
)


class TestChange:
    """On 7 October 2020 one gateway replaced another, from 06:00 to 08:00 in Copenhagen, which was UTC+2."""

    @pytest.mark.parametrize(
        ("minutes", "old", "new", "processed_by", "mark"),
        [
            (-1, BOTH, NOTHING, "old", Mark.OFFICIAL),
            (0, BOTH, BOTH, "new", Mark.INFERRED),
            (119, BOTH, BOTH, "new", Mark.INFERRED),
            (120, FETCH, BOTH, "new", Mark.OFFICIAL),
        ],
    )
    def test_what_now(
        self, minutes: int, old: GatewayAccess, new: GatewayAccess, processed_by: str, mark: Mark
    ) -> None:
        """Before: the old one. In between: the new one processes. After: uploads to the new one, fetches from both."""
        advice = MANIFEST_2020.what_now(OPENS + timedelta(minutes=minutes))

        assert (old, new, processed_by, mark) == (advice.old, advice.new, advice.processed_by, advice.mark)
        assert processed_by in advice.text

    def test_the_facts(self) -> None:
        """The new gateway: port, TLS, login, certificate, names, one certificate for `out`."""
        new, old = MANIFEST_2020.new, MANIFEST_2020.old

        assert (6381, "TLS 1.2", True, True, True, True, 30) == (
            new.port.value,
            new.tls.value,
            new.needs_certificate.value,
            new.needs_login.value,
            new.unique_names.value,
            new.out_is_of_one_certificate.value,
            new.days_kept.value,
        )
        assert (6371, None, True, False, False, False) == (
            old.port.value,
            old.tls.value,
            old.needs_certificate.value,
            old.needs_login.value,
            old.unique_names.value,
            old.out_is_of_one_certificate.value,
        )

    def test_every_fact_has_a_source(self) -> None:
        """No fact is without a mark and a source, and how TLS begins is not claimed to be official."""
        for rules in MANIFEST_RULES:
            facts: list[Fact[object]] = [
                value for value in attrs.astuple(rules, recurse=False) if isinstance(value, Fact)
            ]
            assert 10 == len(facts)
            assert all(fact.source and fact.mark is not Mark.UNKNOWN for fact in facts)
            assert rules.security.mark in {Mark.FIELD, Mark.INFERRED}
            assert Mark.FIELD is rules.days_kept.mark

    @pytest.mark.parametrize(
        ("at", "port", "ports"),
        [
            (datetime(2020, 10, 7, 5, 59, tzinfo=UTC), 6371, (35000, 35100)),
            (datetime(2020, 10, 7, 6, 0, tzinfo=UTC), 6381, (36000, 36100)),
            (datetime(2021, 5, 19, 5, 59, tzinfo=UTC), 6381, (36000, 36100)),
            (datetime(2021, 5, 19, 6, 0, tzinfo=UTC), 6381, (36000, 39999)),
        ],
    )
    def test_rules_at(self, at: datetime, port: int, ports: tuple[int, int]) -> None:
        """Each moment has its rules."""
        assert (port, ports) == (rules_at(at).port.value, rules_at(at).passive_ports.value)

    def test_refused(self) -> None:
        """A moment has a time zone, a change an end after its beginning, and rules a beginning."""
        naive = datetime(2020, 10, 7, 6)  # noqa: DTZ001 - that it has no zone is the test
        for call in (
            lambda: MANIFEST_2020.what_now(naive),
            lambda: rules_at(naive),
            lambda: MANIFEST_2020.what_now(None),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lambda: rules_at(OPENS, MANIFEST_RULES[1:]),
            lambda: GatewayChange(old=MANIFEST_2020.old, new=MANIFEST_2020.new, opens=naive, closes=OPENS),
            lambda: GatewayChange(old=MANIFEST_2020.old, new=MANIFEST_2020.new, opens=OPENS, closes=OPENS),
        ):
            with pytest.raises(InputError) as caught:
                call()
            assert ["input.date"] == [problem.code for problem in caught.value.problems]
