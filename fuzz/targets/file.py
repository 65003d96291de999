"""htpoort.files: names of status files, their reports, entities, and lines of a listing."""

from __future__ import annotations

from collections.abc import Iterator

from htpoort import InputError
from htpoort.files import (
    FileRouter,
    FileService,
    GatewayUser,
    RoutedFile,
    StatusFile,
    StatusReport,
    UnmatchedFile,
    entity,
    name_of,
    octets_of,
    read_report,
    render_report,
)
from htpoort.transport._ftps_client import _listed, is_name  # the reader of a line

_SERVICES = (FileService(name="MANIFEST", service="Manifest"),)
_ROUTER = FileRouter(services=_SERVICES, user=GatewayUser.parse("CVR_12345678_UI_12345678"))


def seeds() -> Iterator[bytes]:
    """Yield names, reports, an entity and lines."""
    yield b"status_Manifest_MANIFEST_2026_0001_2.xml"
    yield b"status_Manifest_val_MANIFEST_2026_0001_0.xml"
    report = StatusReport(service="Manifest", response="A1.xml", error_code="1", error_message="<x>")
    yield render_report(report)
    yield b'<!DOCTYPE a [<!ENTITY b "c">]><status><file><service>&b;</service></file></status>'
    yield '<?xml version="1.0" encoding="utf-16"?><status/>'.encode("utf-16")
    yield entity("A1 \N{LATIN SMALL LETTER E WITH DIAERESIS}.xml", b"<Manifest/>")
    yield entity("A1", b"").replace(b"A1", b"%FF")
    yield b"type=file;size=12;modify=20260302093000; A1.xml"
    yield b"Type=cdir;Perm=el; ."


def _is_entity(data: bytes) -> bool:
    try:
        name_of(data)
    except InputError:
        return False
    return True


def check(data: bytes) -> None:
    """Read as each of them."""
    text = data.decode("utf-8", "surrogateescape")
    status = StatusFile.parse(text, _SERVICES)
    if status is not None:
        assert StatusFile.parse(status.file_name, _SERVICES) == status
    report = read_report(data)
    assert read_report(render_report(report)) == report
    routed: object = _ROUTER.route_file(data) if _is_entity(data) else None
    assert routed is None or isinstance(routed, RoutedFile | UnmatchedFile)
    try:
        octets, name = octets_of(data), name_of(data)
    except InputError as error:
        assert error.problems
    else:
        assert data.endswith(octets)
        assert octets_of(entity(name, octets)) == octets
        assert name_of(entity(name, octets)) == name
    try:
        stored = entity(text, data)
    except InputError as error:
        assert error.problems
    else:
        assert (name_of(stored), octets_of(stored)) == (text, data)
    name_octets, size = _listed(data)
    assert data.endswith(name_octets)
    assert size is None or size >= 0
    is_name(name_octets.decode("utf-8", "surrogateescape"))
