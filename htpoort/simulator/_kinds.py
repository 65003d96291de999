"""
Find fields that hold something else than a member of their enum.

Never does: turn a text into a member; a misspelt one would mean nothing, silently.
"""

from __future__ import annotations

import enum

from htpoort.errors import Problem


def kind_problems(code: str, **fields: tuple[object, type[enum.StrEnum]]) -> list[Problem]:
    """
    Find the fields that are no member of their enum.

    Args:
        code: Of the problems.
        fields: The value and the enum of each.

    Returns:
        A problem for each of them, with the members that there are.
    """
    return [
        Problem(code, f"{field} is {value!r}; give one of {', '.join(f'{kind.__name__}.{one.name}' for one in kind)}.")
        for field, (value, kind) in fields.items()
        if not isinstance(value, kind)
    ]
