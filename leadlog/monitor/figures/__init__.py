"""Rolling figures: what the events of the last minutes, hours and days add up to.

Pure sums over decoded events, with `load` and `save` on an SQLite connection, so that a follower
can store them in the same transaction as its position. All of them have a fixed size, whatever
the number of events: by minute for three days, latencies by hour for a week.
"""
