"""
Show a simulated gateway in a browser, live, on loopback only; needs the extra `htpoort[web]`.

This package never changes what the gateway does, but for two orders of the person who looks at the page: let time pass,
and answer now.
"""

from htpoort.live.page import LivePage

__all__ = ["LivePage"]
