"""Alerts: rules over the rolling figures, the states they go through, and who is told.

`rules` (with `objective`, `speed`, `failures`, `levels`) say what is wrong now. `states` decides
when that is an alert, `groups` when somebody is told, both as pure functions of what was and what
is. `storage` keeps all of it in SQLite, `outbox` delivers, `channels` knows Apprise.
"""
