"""Rolling figures: what the events of the last minutes, hours and days add up to.

Pure sums over decoded events, with `load` and `save` on an SQLite connection, so that whoever
follows a log can keep them in the same transaction as its position. All of them have a fixed
size, whatever comes: by minute for three days, latencies by hour for a week.
"""
