"""
Play the gateway of Dutch Customs on loopback, for tests and rehearsals.

What it does where nothing is published is its own choice and marked so.
"""

from htpoort.simulator.gateway import Declaration, Gateway

__all__ = ["Declaration", "Gateway"]
