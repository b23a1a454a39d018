"""Identifiers like Airtable's, reproducible by their seed."""

import string
from random import Random

__all__ = ["Ids"]

_LETTERS = string.ascii_letters + string.digits


class Ids:
    """Generator of identifiers: three letters for the kind, and 14 letters and digits.

    Args:
        seed: Seed; equal seeds give equal identifiers in the same order.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - reproducible on purpose; nothing here is secret

    def new(self, prefix: str) -> str:
        """Return the next identifier, such as `recA1b2C3d4E5f6G7`."""
        return prefix + "".join(self._random.choices(_LETTERS, k=14))
