"""
Build the entity of an uploaded file: a short header, an empty line, and the file's octets exactly as they are.

The header stays here; an upload sends the octets alone. So the stored file can be read like a message.
"""

from __future__ import annotations

import re
from typing import Final, cast, final
from urllib.parse import quote, unquote_to_bytes

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.files.names import FileName, GatewayUser
from htpoort.core.files.service import FileService
from htpoort.core.render import content_type_of

__all__ = ["FileSubmission", "build_file", "entity", "name_of", "octets_of"]

_NAME_LIMIT: Final = 255  # octets of a file name that file systems take
_HEADER: Final = re.compile(
    rb"Subject: ([A-Za-z0-9._%-]{1,765})\r\n"
    rb"Content-Type: [a-zA-Z/-]{1,40}\r\n"
    rb"Content-Disposition: attachment; filename\*=utf-8''\1\r\n"
    rb"Content-Transfer-Encoding: binary\r\n"
    rb"\r\n"
)


def entity(name: str, octets: bytes) -> bytes:
    r"""
    Write a file as an entity that can be stored and read like a message.

    >>> entity("A1", b"<Manifest/>").partition(b"\r\n\r\n")[2]
    b'<Manifest/>'

    Args:
        name: The file name, as it stands in the folder: at most 255 octets in UTF-8, without a slash or a control
            character.
        octets: The file; any octets, also none.

    Returns:
        A header, an empty line, and the octets unchanged.

    Raises:
        InputError: The name or the octets cannot be stored.
    """
    given = cast("object", octets)
    if not isinstance(given, bytes | bytearray):
        raise InputError("", (Problem("input.type", f"octets is {type(given).__name__}; give bytes."),))
    quoted = quote(_checked(name), safe="").replace("~", "%7E")
    header = (
        f"Subject: {quoted}\r\n"
        f"Content-Type: {content_type_of(octets)[0]}\r\n"
        f"Content-Disposition: attachment; filename*=utf-8''{quoted}\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "\r\n"
    )
    return header.encode("ascii") + octets


def _checked(name: object) -> str:
    """Refuse a name that is no name of a file in a folder."""
    if not isinstance(name, str):
        raise InputError("", (Problem("input.type", f"name is {type(name).__name__}; give a str."),))
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _NAME_LIMIT or name in {".", ".."} or "/" in name or not name.isprintable():
        message = (
            "This cannot be the name of a file: it has 1 to 255 octets, none of them a slash or control character."
        )
        raise InputError(name, (Problem("input.file-name", message, 0, len(name)),))
    return name


def _header_of(raw: bytes) -> re.Match[bytes]:
    matched = _HEADER.match(raw)
    if matched is None:
        message = "raw does not begin with the header of a stored file; this is another message."
        raise InputError("", (Problem("input.entity", message),))
    return matched


def octets_of(raw: bytes) -> bytes:
    """
    Take the file out of an entity.

    Args:
        raw: What `entity` wrote.

    Returns:
        The octets, exactly as they were given.

    Raises:
        InputError: `entity` has not written *raw*.
    """
    return raw[_header_of(raw).end() :]


def name_of(raw: bytes) -> str:
    """
    Read the name of the file in an entity.

    Args:
        raw: What `entity` wrote.

    Returns:
        The name, exactly as it was given.

    Raises:
        InputError: `entity` has not written *raw*.
    """
    try:
        return unquote_to_bytes(_header_of(raw)[1]).decode()
    except UnicodeDecodeError:
        message = "raw has a file name that is not UTF-8; entity writes none."
        raise InputError("", (Problem("input.entity", message),)) from None


@final
@attrs.frozen(kw_only=True)
class FileSubmission:
    """
    A file that is ready to upload.

    Args:
        system: The name of the service that it is for.
        user: The user of the gateway who uploads it.
        name: Its name, used once for ever.
        folder: The folder that it is uploaded to.
        data: The entity; an upload sends `octets` alone.
    """

    system: str
    user: GatewayUser
    name: FileName
    folder: str
    data: bytes = attrs.field(repr=False)

    @property
    def reference(self) -> str:
        """The name as it stands in the folder: what K is for a message."""
        return str(self.name)

    @property
    def party(self) -> str:
        """The user as text: what V is for a message."""
        return str(self.user)

    @property
    def octets(self) -> bytes:
        """The file as it is uploaded."""
        return octets_of(self.data)


def build_file(
    *,
    service: FileService,
    user: GatewayUser,
    name: FileName | str,
    payload: bytes,
    validation_only: bool = False,
) -> FileSubmission:
    """
    Build a file for upload. Strict: nothing is sent that a gateway is known to refuse.

    >>> file = build_file(
    ...     service=FileService(name="MANIFEST", service="Manifest"),
    ...     user=GatewayUser.parse("CVR_12345678_UI_12345678"),
    ...     name="MANIFEST_2026_0001",
    ...     payload=b"<Manifest/>",
    ... )
    >>> file.folder, file.reference, file.octets
    ('/CVR_12345678/UI_12345678/Manifest', 'MANIFEST_2026_0001', b'<Manifest/>')

    Args:
        service: The service that takes it.
        user: The user who uploads it.
        name: Its name without ``val_``; a `FileName` says itself whether the file is validated only.
        payload: The file, not empty.
        validation_only: Whether the gateway shall only validate it; the prefix ``val_`` is then added here.

    Returns:
        The file with its folder.

    Raises:
        InputError: A value is invalid, the payload is empty, or *name* is a `FileName` that says otherwise than
            *validation_only*.
    """
    given = cast("object", payload)
    if not isinstance(given, bytes | bytearray):
        raise InputError("", (Problem("input.payload", f"payload is {type(given).__name__}; give bytes."),))
    if not payload:
        raise InputError("", (Problem("input.payload", "payload is empty; give the octets of the file."),))
    if not isinstance(name, FileName):
        name = FileName(name, validation_only=validation_only)
    elif cast("object", validation_only) is not name.validation_only:
        message = f"validation_only is {validation_only!r}, but the name is {str(name)!r}; say the same in both."
        raise InputError("", (Problem("input.validation", message),))
    return FileSubmission(
        system=service.name,
        user=user,
        name=name,
        folder=service.folder(user),
        data=entity(str(name), bytes(payload)),
    )
