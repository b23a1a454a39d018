"""Identifiers as Airtable's, the same ones with the same seed."""

import string
from random import Random

__all__ = ["Ids"]

_LETTERS = string.ascii_letters + string.digits


class Ids:
    """Makes identifiers: three letters that say of what, and 14 letters and digits.

    Args:
        seed: Equal seeds give equal identifiers in the same order.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose; nothing is secret here

    def new(self, prefix: str) -> str:
        """Return the next one, as `recA1b2C3d4E5f6G7`."""
        return prefix + "".join(self._random.choices(_LETTERS, k=14))
