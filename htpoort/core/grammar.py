"""The patterns and limits of text from and to Customs, each with its reason."""

from __future__ import annotations

import re
from typing import Final

# ── the envelope, as it is read ──────────────────────────────────────────────

KEYS: Final = ("V", "A", "K", "S")
"""Keys of the envelope in the order of the official examples."""

TEXT_LIMIT: Final = 4_096
"""Characters of a Subject that are read: four values of the limit below fill a quarter of it."""

VALUE_LIMIT: Final = 256
"""Characters of one value that are read; the longest seen has 32, the official lengths are unknown."""

VALUE: Final = re.compile(r"[!-Z\\^-~](?:[ -Z\\^-~]*[!-Z\\^-~])?")
"""One value: printable ASCII, no bracket, no blank at either end."""

# Possessive repeats never give back what a value has matched, so a text that almost matches costs one pass, not one
# for each way to split it.
_VALUE_INSIDE = r"([!-Z\\^-~]++(?: ++[!-Z\\^-~]++)*+)"
CANONICAL: Final = re.compile("".join(rf"\[{key}={_VALUE_INSIDE}\]" for key in KEYS))
"""The line that the writer emits, and nothing else."""

_BLANK_VALUE = r" ?+([!-Z\\^-~]++)"
COMMON: Final = re.compile("".join(rf"\[{key}={_BLANK_VALUE}\]" for key in KEYS))
"""Nearly every line in use: at most one blank after the equals sign, as in the official reply, and none elsewhere."""

# Every repeat stops at a bracket and no two classes of blanks touch, so only one match reads each character.
GROUP: Final = re.compile(r"\[[ \t]*+([A-Za-z]++)[ \t]*+=([^\[\]]*+)(\]?)")
"""Anything of the form `[key=value]`, closed or not."""

BRACKETED: Final = re.compile(r"\[[^\[\]=]*+=[^\[\]]*+")
"""Anything that another program might read as `[key=value]`, with any characters in it."""

UNPRINTABLE: Final = re.compile(r"[^ -~\t]")
"""A character that is neither printable ASCII nor a tab; some programs drop it, some read it as a blank."""

FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
"""A line end inside a folded header (RFC 5322, section 2.2.3)."""

# ── what the writer emits ────────────────────────────────────────────────────

WRITER_VALUE: Final = re.compile(r"[A-Za-z0-9._-]{1,35}")
"""V and A as `build` sends them: the characters of every ID seen; 35 is the longest party ID of EDIFACT (UNB 0004)."""

WRITER_REFERENCE: Final = re.compile(r"[A-Za-z0-9]{1,35}")
"""K as `build` sends it: letters and digits; 32 is the longest seen, 35 the longest reference of EDIFACT."""

WRITER_S: Final = re.compile(r"[0-9]")
"""S as `build` sends it: one digit; only 0 has been seen and the meaning is unknown."""

LINE_LIMIT: Final = 998
"""Octets of one line of a message without its line end (RFC 5322, section 2.1.1)."""

PLAIN_LINE_LIMIT: Final = 900
"""Octets of one line of a payload that goes out as it is. Sendmail, qmail and Haraka break lines above 990, whatever
the standard allows; the rest is room for servers that count the line end or a mark of their own."""

CHANGED_START: Final = re.compile(rb"\.|>*+From ")
"""How a line begins that a server or a mailbox file may change: some lose or double a dot, and some put a `>` before
`From `, or take one away that was there (RFC 2049, section 3, item 8; RFC 4155, appendix A)."""

CHANGED_ENDS: Final = (b" ", b"\t")
"""How a line ends that a server may shorten (RFC 2049, section 3, item 6)."""

BASE64_LINE: Final = 76
"""Characters of one line of base64 (RFC 2045, section 6.8)."""

FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
"""Name of an attachment: no path, no quoting, no hidden file."""

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
CONTENT_TYPE: Final = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')
"""A Content-Type that fits on one line (RFC 2045, section 5.1)."""

CONTENT_TYPE_LIMIT: Final = 200
"""Characters of a Content-Type that is given by the caller; the longest in use has about 60."""

MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
"""A Message-ID without the obsolete forms (RFC 5322, section 3.6.4)."""

MESSAGE_ID_LIMIT: Final = 250
"""Characters of a Message-ID: RFC 5322 sets none; this keeps its header line on one line and well below 998."""

# ── party IDs ────────────────────────────────────────────────────────────────

PARTY: Final = re.compile(r"([A-Za-z]{2})([0-9]{1,15})((?:\.[A-Za-z0-9]{1,16}){0,8})")
"""A party ID: country, number, groups; wider than the official one, because more groups are in use."""

# ── header blocks, as they are read ──────────────────────────────────────────

HEADER_LIMIT: Final = 65_536
"""Octets of a header block that are read; replies in use have about 3,000, Postfix stops at 102,400."""

MESSAGE_LIMIT: Final = 52_428_800
"""Octets of a whole message that is routed, 50 MiB; a longer one is no reply to a declaration."""

HEADER_END: Final = re.compile(rb"\n\r?+\n")
"""The empty line after the headers, with the line end before it (RFC 5322, section 2.1)."""

BAD_LINE: Final = re.compile(rb"\n(?![!-9;-~]++:|[ \t]|\Z)")
"""Start of a header line that is neither `name:` nor a continuation (RFC 5322, section 2.2)."""

BARE_CR: Final = re.compile(rb"\r(?!\n)")
"""A carriage return that does not end a line; some programs read it as a line end."""

ADDRESS: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*+"
    r"@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)*+)"
)
"""A bare ASCII mailbox (RFC 5322, dot-atom on both sides)."""

PLAIN_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9]++(?:[._-][A-Za-z0-9]++)*+@[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+(?:\.[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+)*+"
)
"""A mailbox of letters, digits and single dots, hyphens and underlines, as almost all are."""

# Outside of quotes the name may not contain a character of an address, list, group or comment: programs read them
# differently, and each difference is a forged sender somewhere.
NAMED_ADDRESS: Final = re.compile(
    r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~. \t-]++|\"(?:[ !#-\[\]-~]|\\[ -~])*+\"[ \t]*+)?+<" + ADDRESS.pattern + ">"
)
"""A mailbox in angle brackets after a plain or quoted name, with nothing behind it."""

UNREAD_WORD: Final = re.compile(r"=[ \t]*+\?[^ \t]*+")
"""What another program may read as an encoded word, with everything up to the next blank. Some programs decode words
that have no blanks around them, that are broken, or whose character set is not decoded here; some drop a fold with
its blank."""

BROKEN_Q: Final = re.compile(r"=(?![0-9A-Fa-f]{2})|\[_*+[A-Za-z]++_*+=(?!3[Dd])")
"""What makes the Q encoding of a word broken: an equals sign that encodes nothing (RFC 2047, section 4.2), or one
behind a bracket and a key that encodes another character, where a program that decodes nothing reads a value."""

ENCODED_WORD: Final = re.compile(r"=\?([A-Za-z0-9-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([BbQq])\?([!->@-~]*+)\?=")
"""One encoded word (RFC 2047, section 2), also in the lengths above 75 that field software writes."""

# ── the parts of a message, as they are read ─────────────────────────────────

PART_LIMIT: Final = 100
"""Parts of a message that are read; a reply has one or two, and ten thousand are an attack."""

DEPTH_LIMIT: Final = 8
"""Multiparts in multiparts that are read; signed mail with alternatives and pictures has five."""

BOUNDARY_LIMIT: Final = 200
"""Characters of a boundary that is read; RFC 2046, section 5.1.1, allows 70."""

# Possessive, like all that reads text of a peer; comments in comments are not in use.
_COMMENTS = r"(?:[ \t]|\([^()]*+\))*+"
MIME_WORD: Final = re.compile(rf"{_COMMENTS}([!#-'*+.0-9A-Z^-z{{|}}~-]++(?:/[!#-'*+.0-9A-Z^-z{{|}}~-]++)?+){_COMMENTS}")
"""The word before the parameters of a header: a content type or a disposition (RFC 2045, section 5.1)."""

MIME_PARAMETER: Final = re.compile(
    rf";{_COMMENTS}(?:([!#-'*+.0-9A-Z^-z{{|}}~-]++)[ \t]*+=[ \t]*+"
    rf'(?:"((?:[^"\\]|\\.)*+)"|([!#-\'*-:<-~\x80-\xff]++)){_COMMENTS})?+'
)
"""One parameter, or nothing after a semicolon. Values without quotes may have signs that need them (`----=_Part`),
and octets above ASCII."""

DELIMITER_END: Final = re.compile(rb"(--)?+[ \t]*+(?:\r?\n|\Z)")
"""What may follow a boundary on its line (RFC 2046, section 5.1.1); on any other line it is text."""

BROKEN_QUOTED: Final = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+(?:\r?\n|\Z))")
"""An equals sign in quoted-printable that neither encodes an octet nor ends a line (RFC 2045, section 6.7)."""
