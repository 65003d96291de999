"""
Make texts from outside fit for every database.

Never does: touch what is compared or sent; that is refused where it cannot be stored.
"""

from __future__ import annotations

import re
from typing import Final

# PostgreSQL takes no NUL in a text, and no driver encodes half of a character, which stands for an octet that was
# not text.
_UNFIT: Final = re.compile(r"[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Give a text for people to read, with a question mark for each character that cannot be stored."""
    return _UNFIT.sub("?", text)
