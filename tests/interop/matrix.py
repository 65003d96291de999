"""
Say which cells the matrix has, and what the page says around it.

Never does: run a cell.
"""

from __future__ import annotations

from typing import Final

from interop.mailboxes import COLLECTORS, MAILBOXES
from interop.messages import READERS
from interop.page import FETCHING, WRITING, Key, place_of, table
from interop.servers import SERVERS, SPOKEN
from interop.writers import WRITERS

SAFE: Final = ("1.2", "1.3")
PLACES: Final = [(server, tls) for server in SERVERS for tls in SPOKEN.get(server, ("none", *SAFE))]
WRITE_HEAD: Final = ("writer", "server", "TLS", *READERS)
WRITE_KEYS: Final[list[Key]] = [(writer, server, tls) for writer in WRITERS for server, tls in PLACES]

KEPT: Final = [(server, tls) for server in MAILBOXES for tls in SAFE]
FETCH_HEAD: Final = ("fetched by", "from", "TLS", "the same octets", "routed", "routed, Subject folded")
FETCH_KEYS: Final[list[Key]] = [(collector, server, tls) for collector in COLLECTORS for server, tls in KEPT]

REASONS: Final = {
    "smtplib `send_message`, policy default": "`email.policy.default` folds at 78 columns. A policy with "
    "`max_line_length=998` keeps the line.",
    "aiosmtplib `send(EmailMessage)`, policy with 998 columns": "aiosmtplib renders the message again with a policy of "
    "its own, whatever policy the message has.",
    "nodemailer `subject, text`": "nodemailer folds a header of 76 columns or more, so from a K of 26. One that is "
    "given as `prepared` it leaves alone.",
}
"""Why a writer does not keep the line; typed, because no run finds a reason."""

FURTHER: Final = {
    "Postfix and Dovecot": "What our agent gives to Postfix reaches the simulator. The replies come back through "
    "Postfix and Dovecot by POP3, each reaches its process, and the mailbox is empty then.",
    "Postfix": "Replies that the simulator gives to Postfix are relayed over TLS into our agent.",
    "Dovecot": "Our POP3 client begins TLS by STLS too.",
    "smtp-server": "Our agent logs in over STARTTLS. A wrong password is reported as `LOGIN`, and nothing is sent.",
    "smtp-sink": "A drop after the final dot is *unknown*, before it *deferred*, as 4xx and 421 are; 5xx is *refused*.",
    "mailparser, Email::MIME, MIME::Tools, Ruby mail, PHP, mblaze, fast-mail-parser, `email`": "A Subject in which "
    "one of them finds another V, A or K than our reader is not routed: hand-made ones, and hundreds that Hypothesis "
    "makes.",
    "PgBouncer": "Machines that share the sessions of a pool work on one ledger, in `pool_mode` session and "
    "transaction; statement is refused with a reason.",
    "each writer of octets": "It shows a certificate and logs in to the simulator, by STARTTLS and implicit TLS, and "
    "is taken octet for octet. Without password or certificate curl, swaks, nodemailer and Jakarta Mail fail.",
    "each server": "A payload arrives octet for octet, with lines of 989, 991 and 998 octets, lines that begin with "
    "`From ` or end in blanks, and lines of dots.",
    "Exim and Jakarta Mail": "They name the submitter in MAIL FROM, and are taken by a receiver with a login and by "
    "the simulator.",
    "Sendmail, Exim, Courier, Cyrus": "Each is installed in a layer of its own over the machine's root, because Debian "
    "installs one mail server and one POP3 server at a time.",
}
"""What the other tests of this folder prove; each is a test, and fails where it does not hold."""

TEMPLATE: Final = f"""\
# Interoperation

This page is written by a run of `tests/interop/`, and every later run is compared with it. Programs that nobody here
wrote send to our servers, and ours send to theirs. Each cell is a message that went over a real socket, and answers one
question: did the envelope that was written arrive as the same envelope?

Each is tried with three references (K): 14 characters as in the official examples, 32 as seen in the field, and 35, the
longest that htpoort writes. *yes* and *no* hold for all three, unless the lengths are named. TLS is what the server was
limited to, by STARTTLS where nothing else is said; *none* is a plain connection on loopback.

What the real gateway does with a folded Subject is **unknown**. The column *line by line* says what a reader sees that
does not unfold. Where it says *no*, everything rests on the reader.

{WRITING}

{place_of(WRITING)}
## Why not

A Subject with a K of 29 or more characters is longer than 78 columns, its name counted. RFC 5322 asks for no more than
78 and allows 998; a program that writes the message itself may fold the line. The envelope has no blank to fold at, so
the line of the name is left empty, and the whole envelope stands on the next.

{table(("writer", "why"), REASONS.items())}
Give a mail client the octets that `build` made, and no message to render: those rows say *yes* everywhere.

A reader of the standard library gives the value of a folded Subject with a blank or a line end before it, up to CPython
3.12.7 and 3.13.0. The two columns allow for that; a program that compares without `strip()` does not.

{FETCHING}

Replies of our `Gateway` in a POP3 mailbox, over implicit TLS. The gateway filled the mailboxes of Dovecot and Courier
through Postfix; Cyrus was filled by LMTP. *routed* says that our router gives each reply to DMS with the K of its
declaration. fetchmail delivers by SMTP to our `Receiver`, getmail into a Maildir; both add header lines, so the octets
are not those of the mailbox.

{place_of(FETCHING)}
## What else is run

{table(("with", "what holds"), FURTHER.items())}
"""
