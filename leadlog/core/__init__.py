"""The base layer of leadlog: records, settings, file layout, limits, errors, clock, forks."""
