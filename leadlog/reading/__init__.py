"""Readers of the log. They know the files (folders, names, lines) and nothing of the writers.

`events` reads one file, `merged` all of them, `tail` follows them, `where` is the little language
of `--where`. `change` understands what a record says about a table, `replay` (with `table` and
`rows`) makes the table of it, and `history` the story of one row. None of them needs the store or
the logging chain.
"""
