"""What every other room stands on: records, settings, file layout, limits, errors, clock, forks."""
