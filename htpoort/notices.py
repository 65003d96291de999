"""The front of `htpoort.core.notices`: notices about service windows, and what they mean for a declaration."""

from htpoort.core.notices import *  # noqa: F403
