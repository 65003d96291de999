"""The front of `htpoort.core.notices`: notices about service windows, and what they mean for a declaration."""

from htpoort.core.notices import *  # noqa: F403
from htpoort.core.notices import __all__ as __all__  # noqa: PLC0414 - the same names
