"""
The names of uploaded files, and the users of a file gateway.

This module never decides by a prefix alone that a file is real: a name says whether it is validated only.
"""

from __future__ import annotations

import re
from typing import Final, cast, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower

__all__ = ["FileName", "GatewayUser"]

_PREFIX: Final = "val_"
_STEM: Final = re.compile(r"[A-Za-z0-9_]{1,78}")
_COMPANY: Final = re.compile(r"CVR_[0-9]{8}")
_USER: Final = re.compile(r"(?:UI|UID|RID)_[A-Za-z0-9-]{1,64}")
_WHOLE: Final = re.compile(rf"({_COMPANY.pattern})_({_USER.pattern})")


def _text(name: str, value: object) -> str:
    """Refuse a value that is no text."""
    if not isinstance(value, str):
        raise InputError("", (Problem("input.type", f"{name} is {type(value).__name__}; give a str."),))
    return value


@final
@attrs.frozen
class FileName:
    """
    The name of an uploaded file, which also says whether the file is real.

    A gateway takes a file whose name begins with ``val_`` for validation only; every other file is a declaration. The
    prefix is therefore no part of the stem: it is asked for by `validation_only`, and a stem that brings it along is
    refused.

    >>> str(FileName("MANIFEST_2026_0001"))
    'MANIFEST_2026_0001'
    >>> str(FileName.for_validation("MANIFEST_2026_0001"))
    'val_MANIFEST_2026_0001'
    >>> FileName("val_MANIFEST_2026_0001")
    Traceback (most recent call last):
        ...
    htpoort.core.errors.InputError: The name begins with val_, ...

    Args:
        stem: 1 to 78 ASCII letters, digits and underscores, not beginning with ``val_`` in any case.
        validation_only: Whether the gateway only validates the file.

    Raises:
        InputError: The stem is invalid.

    Source:
        The manual of a sister service on the same gateway: characters, prefix, and 78 characters after it. That a real
        file may not be longer is inferred.
    """

    stem: str
    validation_only: bool = False

    def __attrs_post_init__(self) -> None:
        stem, validation_only = _text("stem", self.stem), cast("object", self.validation_only)
        if not _STEM.fullmatch(stem):
            message = "This is not a file name; write 1 to 78 letters, digits and underscores, without an ending."
            raise InputError(stem, (Problem("input.file-name", message, 0, len(stem)),))
        if ascii_lower(stem).startswith(_PREFIX):
            message = (
                "The name begins with val_, which would make the file one for validation only; leave val_ out, and ask "
                "for validation instead."
            )
            raise InputError(stem, (Problem("input.validation", message, 0, len(_PREFIX)),))
        if not isinstance(validation_only, bool):
            message = f"validation_only is {type(validation_only).__name__}; give a bool."
            raise InputError("", (Problem("input.type", message),))

    @classmethod
    def for_validation(cls, stem: str) -> FileName:
        """
        Name a file that is only validated.

        Args:
            stem: The name without ``val_``.

        Returns:
            The name; its `str` begins with ``val_``.

        Raises:
            InputError: The stem is invalid.
        """
        return cls(stem, validation_only=True)

    @classmethod
    def parse(cls, text: str) -> FileName:
        """
        Read the name of an uploaded file as it stands in a folder, with its prefix.

        >>> FileName.parse("val_A1").stem, FileName.parse("val_A1").validation_only
        ('A1', True)

        Args:
            text: The whole name.

        Returns:
            The name; its `str` is exactly *text*.

        Raises:
            InputError: *text* is not the name of an uploaded file. ``Val_`` in another case is refused: nothing says
                whether a gateway takes it for the prefix.
        """
        if _text("text", text).startswith(_PREFIX):
            return cls(text.removeprefix(_PREFIX), validation_only=True)
        return cls(text)

    def __str__(self) -> str:
        return f"{_PREFIX}{self.stem}" if self.validation_only else self.stem


@final
@attrs.frozen(kw_only=True)
class GatewayUser:
    """
    One user of a file gateway: a company and one of its certificates.

    >>> user = GatewayUser.parse("CVR_12345678_UI_12345678")
    >>> user.folder, user.out
    ('/CVR_12345678/UI_12345678', '/CVR_12345678/UI_12345678/out')

    Args:
        company: ``CVR_`` and the eight digits of the company's number (*CVR-nummer*).
        user: ``UI_``, ``UID_`` or ``RID_`` and 1 to 64 letters, digits and hyphens: the ID in the certificate.

    Raises:
        InputError: One of them has another form. The error lists every problem.

    Source:
        Published pages on access to the gateway, and the folders in published status files.
    """

    company: str
    user: str

    def __attrs_post_init__(self) -> None:
        company, user = cast("object", self.company), cast("object", self.user)
        problems: list[Problem] = []
        if not (isinstance(company, str) and _COMPANY.fullmatch(company)):
            message = f"company is {company!r}; write CVR_ and eight digits."
            problems.append(Problem("input.gateway-user", message))
        if not (isinstance(user, str) and _USER.fullmatch(user)):
            message = f"user is {user!r}; write UI_, UID_ or RID_ and 1 to 64 letters, digits and hyphens."
            problems.append(Problem("input.gateway-user", message))
        if problems:
            raise InputError("", tuple(problems))

    @classmethod
    def parse(cls, text: str) -> GatewayUser:
        """
        Read the name that a user logs in with.

        Args:
            text: For example ``CVR_12345678_UI_12345678``.

        Returns:
            The user; its `str` is exactly *text*.

        Raises:
            InputError: *text* has another form.
        """
        matched = _WHOLE.fullmatch(_text("text", text))
        if matched is None:
            message = "This is not the user of a file gateway; write it as in CVR_12345678_UI_12345678."
            raise InputError(text, (Problem("input.gateway-user", message, 0, len(text)),))
        return cls(company=matched[1], user=matched[2])

    @property
    def folder(self) -> str:
        """The folder of this user, which has one folder for each service."""
        return f"/{self.company}/{self.user}"

    @property
    def out(self) -> str:
        """The folder that status files and responses are fetched from: beside those of the services."""
        return f"{self.folder}/out"

    def __str__(self) -> str:
        return f"{self.company}_{self.user}"
