"""
Hold what a receiver answers, code and text.

Never does: name a mailbox, a peer or a reason that a peer should not know.
"""

from __future__ import annotations

from typing import Final

from htpoort.transport._content_reader import Unfit

TOO_MANY: Final = "421 4.3.2 Too many connections, try again later"
TOO_MANY_OF_YOURS: Final = "421 4.7.0 Too many connections from your address, try again later"
NO_SERVICE: Final = "554 5.7.1 No service for you here"
TAKEN: Final = "250 OK"
LATER: Final = "451 4.3.0 Not taken, try again later"
CLOSING: Final = "421 4.3.2 Closing"
NOT_OURS: Final = "550 5.1.1 No such mailbox here"
ONE_ONLY: Final = "452 4.5.3 One recipient a message"
NO_ROOM: Final = "452 4.3.1 No room for the message now, try again later"
UNFIT: Final = {
    Unfit.UNCLEAN: "550 5.6.0 Bare CR, bare LF or NUL in the message",
    Unfit.TOO_LARGE: "552 5.3.4 Message too large",
    Unfit.NO_ROOM: NO_ROOM,
}
LOGIN_FIRST: Final = "530 5.7.0 Authentication required"
LOGIN_LATER: Final = "454 4.7.0 Login cannot be checked, try again later"
TLS_ALREADY: Final = "503 5.5.1 TLS stands already"
CANNOT_VERIFY: Final = "252 2.5.2 Cannot tell; send it and see"
