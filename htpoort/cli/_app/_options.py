"""
Declare the arguments and options that several commands have.

Never does: read what they name.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Final

import typer

from htpoort import _clock
from htpoort.cli import _input
from htpoort.directory import Directory
from htpoort.message import Submission, build

FAILED: Final = 1
BAD_INPUT: Final = 2
QUARANTINED: Final = 3


class Layout(enum.Enum):
    """Tell how a payload is carried."""

    BODY = "body"
    ATTACHMENT = "attachment"


Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Systems = Annotated[
    str | None, typer.Option("--systems", metavar="FILE", help="TOML with further systems, [systems.NAME].")
]
Payload = Annotated[str, typer.Argument(metavar="PAYLOAD", help="File with the declaration; - is standard input.")]
System = Annotated[str, typer.Option(help="Name of the declaration system: AGS, DMS, or one of --systems.")]
Party = Annotated[str, typer.Option(help="Party ID of the declarant (V), as NL123456789.02.05.")]
Mailbox = Annotated[str, typer.Option(help="The declarant's own mailbox.")]
Reference = Annotated[str, typer.Option(help="Reference (K): 1 to 35 letters and digits, new for each transmission.")]
LayoutOption = Annotated[Layout, typer.Option("--layout", help="Carry the payload as the body or as an attachment.")]
FileName = Annotated[str | None, typer.Option(help="Name of the attachment.")]
ContentType = Annotated[str | None, typer.Option(help="Content-Type of the payload; found out where not given.")]
Date = Annotated[str | None, typer.Option(help="ISO 8601 with a zone; now where not given.")]
MessageId = Annotated[str | None, typer.Option(help="<unique@domain>; a new one where not given.")]
Sha256 = Annotated[
    str | None, typer.Option("--sha256", metavar="HEX", help="SHA-256 of PAYLOAD; another one is refused.")
]
Config = Annotated[
    Path,
    typer.Option("--config", metavar="FILE", envvar="HTPOORT_CONFIG", show_envvar=True, help="The configuration."),
]
CONFIG: Final = Path("htpoort.toml")
Limit = Annotated[
    int, typer.Option("--limit", metavar="NUMBER", min=1, help="Lines of the table at most; JSON and CSV have all.")
]
LIMIT: Final = 500
REST: Final = "Give --limit NUMBER for more; --json has all."
Key = Annotated[str, typer.Argument(metavar="K", help="Reference of the exchange.")]
WhichParty = Annotated[str | None, typer.Option("--party", help="Party ID (V), where several used the K.")]


def built(  # noqa: PLR0913, PLR0917 - the options of build, send and queue
    payload: bytes,
    system: str,
    party: str,
    mailbox: str,
    reference: str,
    layout: Layout,
    file_name: str | None,
    content_type: str | None,
    date: str | None,
    message_id: str | None,
    directory: Directory,
) -> Submission:
    """Build the message that the options describe."""
    return build(
        system=system,
        party=party,
        mailbox=mailbox,
        reference=reference,
        payload=payload,
        date=_input.moment(date, _clock.now),
        message_id=_clock.message_id(mailbox) if message_id is None else message_id,
        layout=layout.value,
        content_type=content_type,
        file_name=file_name,
        directory=directory,
    )
