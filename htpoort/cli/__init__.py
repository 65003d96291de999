"""
The `htpoort` command: the library for people, and for programs in any language.

Exit codes: 0 done, 1 failed (network, ledger, demo), 2 bad input or usage, 3 quarantined.
"""
