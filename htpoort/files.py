"""The front of `htpoort.core.files`: declarations as files through a gateway."""

from htpoort.core.files import *  # noqa: F403
from htpoort.core.files import __all__ as __all__  # noqa: PLC0414 - the same names
