"""The cells of the matrix, and the text of the page around them."""

from __future__ import annotations

from typing import Final

from interop.files import CLIENTS, GATEWAY_TLS, GATEWAYS
from interop.mailboxes import COLLECTORS, MAILBOXES
from interop.messages import READERS
from interop.page import EXCHANGING, FETCHING, WRITING, Key, place_of, table
from interop.servers import SERVERS, SPOKEN
from interop.writers import WRITERS

SAFE: Final = ("1.2", "1.3")
PLACES: Final = [(server, tls) for server in SERVERS for tls in SPOKEN.get(server, ("none", *SAFE))]
WRITE_HEAD: Final = ("writer", "server", "TLS", *READERS)
WRITE_KEYS: Final[list[Key]] = [(writer, server, tls) for writer in WRITERS for server, tls in PLACES]

KEPT: Final = [(server, tls) for server in MAILBOXES for tls in SAFE]
FETCH_HEAD: Final = ("fetched by", "from", "TLS", "the same octets", "routed", "routed, Subject folded")
FETCH_KEYS: Final[list[Key]] = [(collector, server, tls) for collector in COLLECTORS for server, tls in KEPT]

SERVED: Final = [(server, tls) for server in GATEWAYS for tls in GATEWAY_TLS.get(server, SAFE)]
FILE_HEAD: Final = ("client", "server", "TLS", "uploads", "lists", "fetches", "deletes")
FILE_KEYS: Final[list[Key]] = [
    (client, server, tls) for client in CLIENTS for server, tls in SERVED if "htpoort" in client or "htpoort" in server
]
"""Each combination with a side of ours."""

REASONS: Final = {
    "smtplib `send_message`, policy default": (
        "`email.policy.default` folds at 78 columns. A policy with `max_line_length=998` keeps the line."
    ),
    "aiosmtplib `send(EmailMessage)`, policy with 998 columns": (
        "aiosmtplib renders the message again with its own policy, whatever policy the message has."
    ),
    "nodemailer `subject, text`": (
        "nodemailer folds a header of 76 columns or more, so from a K of 26. It leaves a `prepared` header alone."
    ),
}
"""Why a writer folds the line; typed by hand, because no run can find the reason."""

FURTHER: Final = {
    "Postfix and Dovecot": (
        "What our agent sends to Postfix reaches the simulator. The replies return through Postfix and "
        "Dovecot by POP3, each reaches its process, and the mailbox is empty afterwards."
    ),
    "Postfix": "Postfix relays the replies of the simulator over TLS to our agent.",
    "Dovecot": "Our POP3 client also starts TLS by STLS.",
    "smtp-server": "Our agent logs in over STARTTLS. A wrong password is reported as `LOGIN`, and nothing is sent.",
    "smtp-sink": (
        "A connection lost after the final dot is *unknown*, before it *deferred*, as 4xx and 421 are; 5xx is"
        " *refused*."
    ),
    "mailparser, Email::MIME, MIME::Tools, Ruby mail, PHP, mblaze, fast-mail-parser, `email`": (
        "A Subject in which one of them finds another V, A or K than our reader is not routed: hand-written "
        "ones, and hundreds that Hypothesis generates."
    ),
    "mailparser, Email::MIME, MIME::Tools": (
        "They take the same payload out of the messages of `build`, of drawn replies and of public corpora as our "
        "reader does. Where it gives no octets, they differ or guess."
    ),
    "PgBouncer": (
        "Machines that share the sessions of a pool use one ledger, in `pool_mode` session and transaction; "
        "statement is refused with a reason."
    ),
    "each writer of octets": (
        "It presents a certificate and logs in to the simulator, by STARTTLS and implicit TLS, and its "
        "message arrives octet for octet. Without password or certificate curl, swaks, nodemailer and Jakarta"
        " Mail fail."
    ),
    "each server": (
        "A payload arrives octet for octet, with lines of 989, 991 and 998 octets, lines that begin with "
        "`From ` or end in blanks, and lines of dots."
    ),
    "vsftpd, ProFTPD": ("They refuse an upload by ftplib, which resumes no session."),
    "vsftpd, ProFTPD, Pure-FTPd": (
        "`htpoort run` uploads a manifest, and its status files and response reach their process. Without a "
        "certificate or with a wrong password nothing is uploaded. Thirty transfers go over one connection, and an "
        "upload that was cancelled in the middle arrives whole by the next attempt."
    ),
    "Exim and Jakarta Mail": (
        "They name the submitter in MAIL FROM, and a receiver with a login and the simulator accept that."
    ),
    "Sendmail, Exim, Courier, Cyrus, vsftpd, ProFTPD, Pure-FTPd": (
        "Each is installed in its own layer over the machine's root, because Debian installs one mail server, "
        "one POP3 server and one FTP server at a time."
    ),
}
"""What the other tests of this folder prove; each is a test that fails otherwise."""

TEMPLATE: Final = f"""\
---
myst:
  html_meta:
    description: "Which foreign programs for mail and files were tested with htpoort, and how."
    keywords: "interoperability, Postfix, Dovecot, Exim, Sendmail, vsftpd, ProFTPD, mail servers"
---

# Interoperation

A run of `tests/interop/` wrote this page, and every later run is compared with it. Programs of other authors send to
our servers, and ours send to theirs. Each cell is the result of one message over a real socket, and answers one
question: did the envelope arrive as it was written?

Each combination is tested with three references (K): 14 characters as in the official examples, 32 as seen in the
field, and 35, the longest that htpoort writes. *yes* and *no* apply to all three, unless lengths are named. The column
TLS shows the version that the server was limited to, with STARTTLS unless noted; *none* is a plain connection on
loopback.

What the real gateway does with a folded Subject is **unknown**. The column *line by line* shows what a reader sees that
does not unfold. If it is *no*, the result depends on the reader.

{WRITING}

{place_of(WRITING)}
## Why some programs fold

With a K of 29 or more characters the Subject line, header name included, is longer than 78 columns. RFC 5322 recommends
at most 78 and allows 998; a program that writes the message itself may fold the line. The envelope has no blank to fold
at, so the first line holds the header name only, and the whole envelope is on the next.

{table(("writer", "why"), REASONS.items())}
Pass a mail client the octets that `build` made, not a message to render: those rows are *yes* throughout.

Up to CPython 3.12.7 and 3.13.0, the standard library returns the value of a folded Subject with a blank or a line end
before it. The two columns allow for that; a program that compares without `strip()` does not.

{FETCHING}

Replies of our `Gateway` in a POP3 mailbox, over implicit TLS. The gateway filled the mailboxes of Dovecot and Courier
through Postfix; Cyrus was filled by LMTP. *routed* means that our router assigns each reply to DMS with the K of its
declaration. fetchmail delivers by SMTP to our `Receiver`, getmail into a Maildir; both add header lines, so the octets
differ from those of the mailbox.

{place_of(FETCHING)}
{EXCHANGING}

A file with every octet in it, over FTPS, with a certificate and a login. *yes* in *uploads* and *fetches* means that
both sides have the same octets. Every server requires TLS for the data too. vsftpd, ProFTPD and our `FileGateway` also
require that the data of a transfer resumes the TLS session of its control connection, as a gateway may demand.

{place_of(EXCHANGING)}
## What else is tested

{table(("with", "what the test proves"), FURTHER.items())}
"""
