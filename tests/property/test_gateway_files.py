"""Files of a gateway: what is drawn here never makes a real file of a validated one, nor loses an octet."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, example, given, strategies as st
from work import work

from htpoort import InputError, Quarantined, SentRecord, read_payload
from htpoort.files import (
    FileName,
    FileRouter,
    FileService,
    FileStatus,
    GatewayUser,
    RoutedFile,
    StatusFile,
    StatusReport,
    UnmatchedFile,
    build_file,
    clashes,
    correlate_file,
    entity,
    name_of,
    octets_of,
    read_report,
    render_report,
)

LETTERS = string.ascii_letters + string.digits + "_"
USER = GatewayUser.parse("CVR_12345678_UI_12345678")

stems = (
    st.text(LETTERS, min_size=1, max_size=78)
    | st.lists(st.sampled_from(["val", "A", "1", "", "status", "Manifest", "VAL", "xml"]), min_size=1).map("_".join)
).filter(lambda stem: 0 < len(stem) <= 78 and not stem.lower().startswith("val_"))
"""Names of uploads without a prefix: hostile ones are made of what status files are made of."""

file_names = st.builds(FileName, stems, st.booleans())
folders = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}[A-Za-z0-9_-]", fullmatch=True) | st.lists(
    st.sampled_from(["A", "B", "1", "val", "status", "", "0"]), min_size=1, max_size=6
).map(lambda parts: "A" + "_".join(parts))
services = st.lists(
    folders.filter(lambda folder: folder.lower() != "out"), min_size=1, max_size=5, unique_by=str.lower
).map(lambda found: [FileService(name=folder, service=folder) for folder in found])
listed_names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=63).filter(
    lambda name: "/" not in name and name not in {".", ".."}
)
"""Names that a server may list."""


class TestNames:
    """A real file never comes out of a forgotten prefix, nor a validated one out of a real name."""

    @given(stem=stems, validation_only=st.booleans())
    @example(stem="val", validation_only=True)
    @example(stem="value", validation_only=False)
    def test_what_is_asked_for_is_built(self, stem: str, *, validation_only: bool) -> None:
        """The name begins with `val_` exactly where validation was asked for."""
        file = build_file(
            service=FileService(name="MANIFEST", service="Manifest"),
            user=USER,
            name=stem,
            payload=b"x",
            validation_only=validation_only,
        )

        assert validation_only is file.reference.lower().startswith("val_")
        assert validation_only is file.name.validation_only
        assert file.name == FileName.parse(file.reference)

    @given(file_names, file_names)
    def test_names_differ(self, one: FileName, other: FileName) -> None:
        """Two different names are never written alike."""
        assert (one == other) is (str(one) == str(other))

    @given(
        text=st.text() | st.text(LETTERS) | stems.map("val_{}".format) | stems.map("VAL_{}".format),
        validation_only=st.booleans(),
    )
    def test_any_text(self, text: str, *, validation_only: bool) -> None:
        """Any text is a name that says the same as was asked for, or is refused."""
        try:
            name = FileName(text, validation_only=validation_only)
        except InputError:
            return
        assert ("val_" if validation_only else "") + text == str(name)
        assert validation_only is FileName.parse(str(name)).validation_only


class TestEntities:
    """Any file is stored and comes out exactly as it was."""

    @given(
        listed_names, st.binary() | st.lists(st.sampled_from([b"\r", b"\n", b"\0", b".", b"--", b"x"])).map(b"".join)
    )
    def test_octets_and_name(self, name: str, octets: bytes) -> None:
        """Octets and name come out as they went in, also by the reader of payloads."""
        raw = entity(name, octets)

        payload = read_payload(raw)
        assert (octets, name) == (octets_of(raw), name_of(raw))
        assert (octets, name, ()) == (payload.octets, payload.file_name, payload.problems)

    @given(st.text(max_size=300), st.binary(max_size=9))
    def test_any_name(self, name: str, octets: bytes) -> None:
        """Any text is a name that comes out again, or is refused."""
        try:
            raw = entity(name, octets)
        except InputError:
            return
        assert name == name_of(raw)

    @given(st.binary())
    def test_any_octets(self, raw: bytes) -> None:
        """What is no entity is refused, and nothing else is raised."""
        for call in (octets_of, name_of):
            with pytest.raises(InputError):
                call(raw)


class TestStatusFiles:
    """A status file belongs to the service and the upload that it was written for, however both are named."""

    @given(services, file_names, st.sampled_from(FileStatus), st.data())
    def test_round_trip(
        self, known: list[FileService], name: FileName, status: FileStatus, data: st.DataObject
    ) -> None:
        """What is written is read back, if no two folders clash."""
        assume(not clashes((), known))
        service = data.draw(st.sampled_from(known))
        file = StatusFile(service=service.service, name=name, status=status)

        assert file == StatusFile.parse(file.file_name, known)

    @given(services, st.text() | st.lists(st.sampled_from(["status", "val", "A", "1", "0.xml", ""])).map("_".join))
    def test_any_text(self, known: list[FileService], text: str) -> None:
        """Any text is no status file, or one that is written like it but for the case of its service."""
        found = StatusFile.parse(text, known)

        assert found is None or found.file_name.lower() == text.lower()

    @given(
        st.builds(
            StatusReport, **dict.fromkeys(["file_name", "gateway_id", "service", "response"], file_names.map(str))
        )
    )
    def test_reports(self, report: StatusReport) -> None:
        """What a report says is read back."""
        assert report == read_report(render_report(report))

    @given(
        st.binary()
        | st.lists(
            st.sampled_from([
                b"<status>",
                b"</status>",
                b"<response>",
                b"</response>",
                b"<filename>",
                b"</filename>",
                b"A",
                b"&lt;",
                b"&x;",
                b"<![CDATA[",
                b"]]>",
                b"<!--",
                b"-->",
                b"<service>",
                b"</service>",
                b"<?xml version='1.0'?>",
            ])
        ).map(b"".join)
    )
    def test_any_report(self, octets: bytes) -> None:
        """Any octets give a report."""
        assert isinstance(read_report(octets), StatusReport)


class TestResponses:
    """A response goes to an upload of its own user and services, or to nobody."""

    @given(
        listed_names | st.builds("response_{}_{}.xml".format, folders, file_names),
        st.lists(
            st.builds(
                SentRecord,
                system=st.just("MANIFEST") | st.just("DMS"),
                party=st.just(str(USER)) | st.just("X"),
                reference=file_names.map(str),
            ),
            max_size=4,
        ),
        st.lists(file_names.map(str), max_size=2),
    )
    def test_only_what_was_uploaded(self, name: str, records: list[SentRecord], announced: list[str]) -> None:
        """What is matched was uploaded by this user to this service, and its name is carried or announced."""
        router = FileRouter(services=[FileService(name="MANIFEST", service="Manifest")], user=USER)
        found = router.route_file(entity(name, b"x"))

        result = correlate_file(found, records, announced=announced)

        if isinstance(result, Quarantined):
            return
        assert SentRecord(system="MANIFEST", party=str(USER), reference=result.reference) in records
        assert result.reference in {*found.references, *announced}

    @given(file_names, st.sampled_from(["{}", "{}.xml", "response_Manifest_{}.xml", "{}_1.xml"]))
    def test_the_only_upload(self, name: FileName, form: str) -> None:
        """A response whose name carries the one upload finds it, and never the same stem with another prefix."""
        assume(str(name).count("_") < 18)
        assume("_val_" not in f"_{name.stem}_")
        router = FileRouter(services=[FileService(name="MANIFEST", service="Manifest")], user=USER)
        found = router.route_file(entity(form.format(name), b"x"))
        assume(isinstance(found, UnmatchedFile))
        twin = FileName(name.stem, validation_only=not name.validation_only)

        result = correlate_file(
            found,
            [SentRecord(system="MANIFEST", party=str(USER), reference=str(each)) for each in (name, twin)],
        )

        if str(twin) not in found.references:
            assert isinstance(result, RoutedFile)
        if isinstance(result, RoutedFile):
            assert str(name) == result.reference


class TestLinearTime:
    """Eight times the text is at most nine times the work."""

    @pytest.mark.parametrize("piece", ["_", "a_", "A", "val_", "status_", "-", ".", "\u00e6", "_1.xml"])
    def test_names(self, piece: str) -> None:
        """Names of fetched files are routed in linear time, also those that no file system has."""
        services = [FileService(name="MANIFEST", service="Manifest")]

        def routed(size: int) -> object:
            text = "status_Manifest_" + piece * (size // len(piece))
            return StatusFile.parse(text, services), FileRouter.candidates(text)

        small, large = (work(lambda size=size: routed(size)) for size in (800, 6_400))  # type: ignore[misc]
        assert large <= 9 * small + 2_000

    @pytest.mark.parametrize(
        "piece",
        [b"<a>", b"<response>", b"<filename>A</filename>", b"<response><filename>A", b"A", b"<service>A</service>"],
    )
    def test_reports(self, piece: bytes) -> None:
        """Status files are read in linear time."""
        small, large = (
            work(lambda size=size: read_report(b"<status>" + piece * (size // len(piece))))  # type: ignore[misc]
            for size in (6_000, 48_000)
        )
        assert large <= 9 * small + 200

    @pytest.mark.parametrize("piece", [b"\r\n", b"\n\n", b".", b"--x", b"\0"])
    def test_entities(self, piece: bytes) -> None:
        """Files of any size are stored and taken out in linear time."""
        small, large = (
            work(lambda size=size: octets_of(entity("A", piece * size)))  # type: ignore[misc]
            for size in (1_000, 8_000)
        )
        assert large <= 9 * small + 200
