"""Readers of the log. They know the files (folders, names, lines) and nothing of the writers.

`events` reads one file, `tail` merges and follows all of them, `where` is the little language of
`--where`. None of them needs the store or the logging chain.
"""
