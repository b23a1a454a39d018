"""Settings as rows of text for users."""

from typing import Any

import attrs

from leadlog.core.settings.fields import FIELDS, Settings
from leadlog.core.settings.loading import Loaded
from leadlog_processors.masking import MASK, mask_url

__all__ = ["SettingRow", "describe", "names"]


@attrs.frozen
class SettingRow:
    """One setting as text.

    Attributes:
        name: the setting's name.
        value: the value in force as text; secrets masked.
        origin: the source of the value.
        unit: its unit, or "".
        help: description of the setting.
        default: its default as text.
    """

    name: str
    value: str
    origin: str
    unit: str
    help: str
    default: str


def names() -> list[str]:
    """Return every setting's name."""
    return list(FIELDS)


def describe(loaded: Loaded) -> list[SettingRow]:
    """Return every setting with its value, origin, unit and help; secrets masked."""
    rows = []
    defaults = Settings()
    for name, field in FIELDS.items():
        value = getattr(loaded.settings, name)
        default = getattr(defaults, name)
        rows.append(
            SettingRow(
                name=name,
                value=_shown(name, value),
                origin=loaded.origins[name],
                unit=field.metadata["unit"],
                help=field.metadata["help"],
                default=_shown(name, default),
            )
        )
    return rows


def _shown(name: str, value: Any) -> str:
    metadata = FIELDS[name].metadata
    if metadata["secret"] and value and metadata["shown"] is not mask_url:
        return MASK
    text: str = metadata["shown"](value)
    return text
