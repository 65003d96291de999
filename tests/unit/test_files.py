"""Files of a gateway: names, users, services, entities, and what is built for an upload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from htpoort import DMS, HTPOORT, InputError, Mark, read_payload
from htpoort.core.directory import read_known, read_systems
from htpoort.core.files.service import read_services
from htpoort.core.toml_reader import Document
from htpoort.files import (
    FileName,
    FileService,
    FileSubmission,
    GatewayUser,
    build_file,
    clashes,
    entity,
    name_of,
    octets_of,
)

USER = GatewayUser.parse("CVR_12345678_UI_12345678")
MANIFEST = FileService(name="MANIFEST", service="Manifest")


def codes(error: InputError) -> list[str]:
    """List the codes of an error."""
    return [problem.code for problem in error.problems]


class TestFileName:
    """A name says whether the gateway only validates the file; no prefix is ever forgotten or added unasked."""

    @pytest.mark.parametrize("stem", ["A", "MANIFEST_2026_0001", "_", "__a__", "value", "val", "a" * 78])
    def test_a_real_file(self, stem: str) -> None:
        """A stem alone is the name of a real file."""
        assert stem == str(FileName(stem))
        assert FileName(stem) == FileName.parse(stem)
        assert not FileName.parse(stem).validation_only

    @pytest.mark.parametrize("stem", ["A", "MANIFEST_2026_0001", "value", "val", "a" * 78])
    def test_validated_only(self, stem: str) -> None:
        """A name for validation begins with `val_`, and is read as one."""
        assert f"val_{stem}" == str(FileName.for_validation(stem))
        assert FileName(stem, validation_only=True) == FileName.parse(f"val_{stem}")
        assert FileName.for_validation(stem) != FileName(stem)

    @pytest.mark.parametrize(
        "stem", ["", "a" * 79, "a.xml", "a-b", "a b", "a/b", "..", "a\n", "\u00e6", "a\u0661", "\u212a"]
    )
    def test_refused(self, stem: str) -> None:
        """Another form is refused, with the whole stem marked."""
        with pytest.raises(InputError) as caught:
            FileName(stem)

        (problem,) = caught.value.problems
        assert ("input.file-name", 0, len(stem)) == (problem.code, problem.start, problem.stop)
        assert stem == caught.value.text

    @pytest.mark.parametrize("prefix", ["val_", "VAL_", "Val_", "vAl_"])
    def test_the_prefix_is_no_part_of_a_stem(self, prefix: str) -> None:
        """A stem that brings the prefix along is refused in any case, and for validation too."""
        for make in (FileName, FileName.for_validation):
            with pytest.raises(InputError) as caught:
                make(f"{prefix}A")
            assert ["input.validation"] == codes(caught.value)
            assert (0, 4) == (caught.value.problems[0].start, caught.value.problems[0].stop)

    @pytest.mark.parametrize("text", ["Val_A", "val_val_A", "val_", "val_a.xml", ""])
    def test_not_read(self, text: str) -> None:
        """What no upload can be named is not read as a name either."""
        with pytest.raises(InputError):
            FileName.parse(text)

    def test_types(self) -> None:
        """Values of other types are refused."""
        calls: list[Callable[[], object]] = [
            lambda: FileName(None),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lambda: FileName.parse(b"A"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            lambda: FileName("A", validation_only="no"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ]
        for call in calls:
            with pytest.raises(InputError) as caught:
                call()
            assert ["input.type"] == codes(caught.value)


class TestGatewayUser:
    """A user is a company and one of its certificates; both are folders."""

    @pytest.mark.parametrize(
        "user", ["UI_12345678", "UID_9876543210", "RID_12345678", "UI_12345678-1234-1234-1234-123456789012"]
    )
    def test_forms(self, user: str) -> None:
        """Each published form is read, and `str` gives it back."""
        found = GatewayUser.parse(f"CVR_12345678_{user}")

        assert ("CVR_12345678", user) == (found.company, found.user)
        assert f"CVR_12345678_{user}" == str(found)
        assert f"/CVR_12345678/{user}" == found.folder
        assert f"/CVR_12345678/{user}/out" == found.out

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "CVR_12345678",
            "CVR_1234567_UI_1",
            "CVR_123456789_UI_1",
            "CVR_12345678_UI_",
            "CVR_12345678_XX_1",
            "CVR_12345678_UI_../x",
            "CVR_12345678_UI_a_b",
            "cvr_12345678_UI_1",
            "CVR_12345678_UI_1\n",
            "CVR_1234567\u0661_UI_1",
            f"CVR_12345678_UI_{'a' * 65}",
        ],
    )
    def test_refused(self, text: str) -> None:
        """Another form is refused, with the whole text marked."""
        with pytest.raises(InputError) as caught:
            GatewayUser.parse(text)

        (problem,) = caught.value.problems
        assert ("input.gateway-user", 0, len(text)) == (problem.code, problem.start, problem.stop)

    def test_every_problem_is_listed(self) -> None:
        """Both parts are checked, and a text is wanted."""
        with pytest.raises(InputError) as caught:
            GatewayUser(company="12345678", user=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert [
            "company is '12345678'; write CVR_ and eight digits.",
            "user is None; write UI_, UID_ or RID_ and 1 to 64 letters, digits and hyphens.",
        ] == [problem.message for problem in caught.value.problems]
        with pytest.raises(InputError):
            GatewayUser.parse(12345678)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class TestFileService:
    """A service is a folder of the gateway."""

    @pytest.mark.parametrize("service", ["Manifest", "FTPSGW.Heartbeat", "A_B-1", "outbox", "a" * 64])
    def test_folder(self, service: str) -> None:
        """A user uploads into the folder of the service, beside `out`."""
        assert f"/CVR_12345678/UI_12345678/{service}" == FileService(name="X", service=service).folder(USER)

    @pytest.mark.parametrize("service", ["", "out", "OUT", ".", "..", ".a", "a.", "a/b", "a b", "a\n", "a" * 65, None])
    def test_refused(self, service: str) -> None:
        """A folder that leads elsewhere, or is the one for responses, is refused."""
        with pytest.raises(InputError) as caught:
            FileService(name="X", service=service)

        assert ["input.service"] == codes(caught.value)

    def test_every_problem_is_listed(self) -> None:
        """One error has all that is wrong."""
        with pytest.raises(InputError) as caught:
            FileService(
                name=" X",
                service="",
                title=1,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                source=None,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                mark="field",  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                closed=datetime(2026, 1, 1, tzinfo=UTC),
            )
        assert ["input.system-name", "input.service", *["input.type"] * 3, "input.date"] == codes(caught.value)

    def test_whole(self) -> None:
        """What is given is kept."""
        service = FileService(
            name="MANIFEST", service="Manifest", title="t", source="s", mark=Mark.FIELD, closed=date(2026, 1, 1)
        )

        assert ("t", "s", Mark.FIELD, date(2026, 1, 1)) == (service.title, service.source, service.mark, service.closed)


class TestClashes:
    """Names that cannot be told apart are found before anything is sent."""

    @pytest.mark.parametrize(
        ("first", "second", "message"),
        [
            (
                ("MANIFEST", "Manifest"),
                ("manifest", "ICS"),
                "The systems MANIFEST and manifest share the name manifest; rename one of them.",
            ),
            (("A", "Manifest"), ("B", "MANIFEST"), "The services A and B share the folder MANIFEST."),
            (
                ("A", "Manifest"),
                ("B", "manifest_Temp"),
                (
                    "The folders Manifest and manifest_Temp cannot be kept apart in the name of a status file; "
                    "use one of them alone."
                ),
            ),
            (
                ("A", "Manifest_Temp"),
                ("B", "Manifest"),
                (
                    "The folders Manifest_Temp and Manifest cannot be kept apart in the name of a status file; "
                    "use one of them alone."
                ),
            ),
        ],
    )
    def test_two_services(self, first: tuple[str, str], second: tuple[str, str], message: str) -> None:
        """Two services share no name and no folder, and no folder is the beginning of another up to an underscore."""
        services = [FileService(name=name, service=service) for name, service in (first, second)]

        assert [("directory.shared", message)] == [(found.code, found.message) for found in clashes((), services)]

    def test_a_system_of_mail(self) -> None:
        """A service has not the name of a system that is reached by mail."""
        (found,) = clashes([DMS], [FileService(name="Dms", service="X")])

        assert "The systems DMS and Dms share the name Dms; rename one of them." == found.message

    def test_none(self) -> None:
        """Other names do not clash, also if one begins like another."""
        names = ["Manifest", "Manifests", "ICS", "FTPSGW.Heartbeat"]

        assert () == clashes(HTPOORT, [FileService(name=name, service=name) for name in names])


class TestEntity:
    """A stored file is read like a message, and its octets are exactly those of the file."""

    def test_form(self) -> None:
        """The header is short and typed here by hand."""
        assert (
            b"Subject: A1\r\n"
            b"Content-Type: application/xml\r\n"
            b"Content-Disposition: attachment; filename*=utf-8''A1\r\n"
            b"Content-Transfer-Encoding: binary\r\n"
            b"\r\n"
            b"<a/>"
        ) == entity("A1", b"<a/>")

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"\r",
            b"\n",
            b"\r\n",
            b"\0",
            b".\r\n",
            b"\r\n.\r\n",
            b"From me\r\n",
            b"--x\r\n\r\n--x--\r\n",
            b"\r\n\r\nSubject: x\r\n\r\n",
            bytes(range(256)) * 4_096,
        ],
        ids=repr,
    )
    def test_octets(self, octets: bytes) -> None:
        """Any octets come out as they went in, by the reader of payloads too."""
        raw = entity("A1", octets)

        assert octets == octets_of(raw)
        assert raw.endswith(octets)
        payload = read_payload(raw)
        assert (octets, "A1", ()) == (payload.octets, payload.file_name, payload.problems)

    @pytest.mark.parametrize(
        "name", ["A1", "status_Manifest_A_1.xml", "a b", "\u00e6~%25", "[V=a][A=b][K=1][S=0]", '"', "\\", "a" * 255]
    )
    def test_names(self, name: str) -> None:
        """Any name of a file comes out as it went in, and none reads as an envelope."""
        raw = entity(name, b"x")

        assert name == name_of(raw)
        assert name == read_payload(raw).file_name
        assert b"[" not in raw
        assert all(len(line) <= 998 for line in raw.split(b"\r\n"))

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "/", "a\n", "\0", "\x7f", "\u2028", "\ud800", "a" * 256, "\u20ac" * 86]
    )
    def test_no_name(self, name: str) -> None:
        """What leads to another folder, or hides something, is refused."""
        with pytest.raises(InputError) as caught:
            entity(name, b"x")

        assert ["input.file-name"] == codes(caught.value)

    def test_the_longest_name(self) -> None:
        """The header of the longest name is read, whatever is in it."""
        name = "\u20ac" * 85

        assert name == name_of(entity(name, b""))

    def test_name_of_other_octets(self) -> None:
        """A name that is not UTF-8 is refused as what it is: nothing that `entity` wrote."""
        with pytest.raises(InputError) as caught:
            name_of(entity("A1", b"").replace(b"A1", b"%FF"))
        assert ["input.entity"] == codes(caught.value)

    def test_types(self) -> None:
        """Values of other types are refused; a bytearray is octets."""
        assert entity("A", b"x") == entity("A", bytearray(b"x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InputError) as caught:
            entity("A", "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert ["input.type"] == codes(caught.value)
        with pytest.raises(InputError) as caught:
            entity(b"A", b"x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert ["input.type"] == codes(caught.value)

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"x",
            b"Subject: A1\r\n\r\nx",
            b"From: a@b.example\r\n" + entity("A1", b"x"),
            entity("A1", b"x")[:-5],
            entity("A1", b"x").replace(b"''A1", b"''A2"),
            entity("A1", b"x").replace(b"\r\n", b"\n"),
        ],
        ids=repr,
    )
    def test_no_entity(self, raw: bytes) -> None:
        """Anything else is refused instead of cut at a wrong place."""
        for call in (octets_of, name_of):
            with pytest.raises(InputError) as caught:
                call(raw)
            assert ["input.entity"] == codes(caught.value)


def built(**changes: object) -> FileSubmission:
    """Build a file with some values changed."""
    values: dict[str, object] = {"service": MANIFEST, "user": USER, "name": "A1", "payload": b"<a/>"}
    return build_file(**(values | changes))  # type: ignore[arg-type]


class TestBuild:
    """What is built for an upload is what a gateway takes."""

    def test_a_real_file(self) -> None:
        """The file goes into the folder of the service under its own name."""
        file = built()

        assert ("MANIFEST", "CVR_12345678_UI_12345678", "A1") == (file.system, file.party, file.reference)
        assert ("/CVR_12345678/UI_12345678/Manifest", b"<a/>") == (file.folder, file.octets)
        assert entity("A1", b"<a/>") == file.data
        assert "<a/>" not in repr(file)

    def test_validated_only(self) -> None:
        """The prefix is added where validation is asked for, and only there."""
        assert "val_A1" == built(validation_only=True).reference
        assert "val_A1" == built(name=FileName.for_validation("A1"), validation_only=True).reference
        assert "A1" == built(name=FileName("A1")).reference

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"name": "val_A1"}, "input.validation"),
            ({"name": "val_A1", "validation_only": True}, "input.validation"),
            ({"name": FileName.for_validation("A1")}, "input.validation"),
            ({"name": FileName("A1"), "validation_only": True}, "input.validation"),
            ({"name": "A1.xml"}, "input.file-name"),
            ({"payload": b""}, "input.payload"),
            ({"payload": "<a/>"}, "input.payload"),
        ],
    )
    def test_refused(self, changes: dict[str, object], code: str) -> None:
        """A real file never comes out of a forgotten prefix, nor the other way round; nothing empty is sent."""
        with pytest.raises(InputError) as caught:
            built(**changes)

        assert [code] == codes(caught.value)


def services_of(text: str) -> tuple[list[FileService], list[str]]:
    """Read the services of a document, with the problems that it then has."""
    document = Document.parse(text, name="a.toml")
    found = list(read_services(document, read_known(document)))
    return found, [problem.message for problem in document.problems]


class TestInToml:
    """A table with a service describes a system that takes files; the others are systems that are reached by mail."""

    def test_both_kinds(self) -> None:
        """Each kind is read by its own reader, and takes nothing of the other."""
        text = """
        [systems.MANIFEST]
        service = "Manifest"
        title = "t"
        source = "s"
        mark = "field"
        closed = 2026-01-01
        [systems.EXIT]
        mailbox = "exit@customs.example"
        process_id = "EXIT.NL"
        """

        assert (
            [
                FileService(
                    name="MANIFEST",
                    service="Manifest",
                    title="t",
                    source="s",
                    mark=Mark.FIELD,
                    closed=date(2026, 1, 1),
                )
            ],
            [],
        ) == services_of(text)
        assert ["AGS", "DMS", "EXIT"] == [system.name for system in read_systems(text)]

    @pytest.mark.parametrize(
        ("text", "problems"),
        [
            (
                '[systems.MANIFEST]\nservice = "out"',
                [
                    (
                        "a.toml:2: systems.MANIFEST.service is 'out'; give the folder's name: 1 to 64 letters, "
                        "digits, dots, hyphens or underscores, and not out."
                    )
                ],
            ),
            ("[systems.MANIFEST]\nservice = 1", ["a.toml:2: systems.MANIFEST.service: give a string."]),
            (
                '[systems.dms]\nservice = "Manifest"',
                ["a.toml:1: systems.dms: The systems DMS and dms share the name dms; rename one of them."],
            ),
            (
                '[systems.A]\nservice = "X"\n[systems.B]\nservice = "x"',
                ["a.toml:3: systems.B: The services A and B share the folder x."],
            ),
            (
                'published_systems = false\n[systems.A]\nservice = "X"',
                [
                    "a.toml:1: published_systems: false leaves no system; add a table [systems.NAME] for each.",
                ],
            ),
        ],
    )
    def test_wrong(self, text: str, problems: list[str]) -> None:
        """Each problem has its place; a service that clashes is left out."""
        assert problems == services_of(text)[1]

    def test_no_tables(self) -> None:
        """What holds no tables is reported, and leaves no service."""
        found, problems = services_of("systems = 1")

        assert ([], ["a.toml:1: systems: give a table for each system, [systems.NAME]."]) == (found, problems)
