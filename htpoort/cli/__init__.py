"""
The `htpoort` command: the library for people, and for programs in any language.

Each module without an underscore holds a group of commands; `_app` has the table of all commands and their modules.
The others are what all commands share: their options (`_input`), values as facts (`_facts`), facts on a screen
(`_show`), and standard output itself (`_output`).
"""
