"""Rolling figures: totals of the last minutes, hours and days.

They are sums over decoded events, with `load` and `save` on an SQLite connection, so that a
follower can store them in the same transaction as its position. Their size is fixed, whatever the
number of events: by minute for three days, latencies by hour for a week.
"""
