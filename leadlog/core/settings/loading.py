"""Where the values of settings come from."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import attrs
import typed_settings
from typed_settings.types import (
    LoadedSettings,
    LoaderMeta,
    OptionList,
    SettingsClass,
    SettingsDict,
)

from leadlog.core.errors import SettingsError
from leadlog.core.settings.fields import FIELDS, Settings

__all__ = ["ENVIRONMENT_PREFIX", "Loaded", "load", "unknown"]

ENVIRONMENT_PREFIX = "LEADLOG_"
_TABLE = "airtable"  # its settings may stand in a table of their own
_TOKEN = "airtable_api_key"  # noqa: S105 - the name of a setting


@attrs.frozen
class Loaded:
    """Settings in force and where each came from.

    Attributes:
        settings: the values.
        origins: setting to `keyword`, `environment LEADLOG_…`, a file's path, or `default`.
    """

    settings: Settings
    origins: dict[str, str]


class _Source:
    """One origin of settings, as a loader of typed-settings; remembers what it gave."""

    def __init__(
        self, name: str, values: Mapping[str, Any], base: Path, origins: dict[str, str]
    ) -> None:
        self._values = {key.replace("-", "_"): value for key, value in values.items()}
        self._name = name
        self._base = base
        self._origins = origins

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:  # noqa: ARG002 - typed-settings calls a loader with both
        for key in self._values:
            if key not in FIELDS:
                raise SettingsError(unknown(key, self._name))
            self._origins[key] = self._name
        return LoadedSettings(
            cast(SettingsDict, dict(self._values)), LoaderMeta(self._name, base_dir=self._base)
        )


def unknown(name: str, origin: str) -> str:
    """What to tell about a setting that does not exist."""
    close = difflib.get_close_matches(name, FIELDS, 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown setting {name!r} ({origin}){hint} `leadlog doctor` lists them all"


def _file_values(path: Path, section: str | None) -> dict[str, Any]:
    read = typed_settings.TomlFormat(section)
    try:
        values = dict(read(path, Settings, ()))
    except typed_settings.exceptions.TsError as error:
        raise SettingsError(f"{path} cannot be read: {error}; mend it or remove it") from error
    table = values.pop(_TABLE, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: {_TABLE} is {table!r}; write it as a table, [{_TABLE}]")
    values |= {f"{_TABLE}_{key.replace('-', '_')}": value for key, value in table.items()}
    if values.get(_TOKEN):
        raise SettingsError(
            f"{path}: {_TOKEN} is a secret that does not belong into a file; set "
            "AIRTABLE_API_KEY, or keep it in the keyring"
        )
    return values


def _environment() -> dict[str, dict[str, str]]:
    """Environment variable to the setting it sets."""
    found = {}
    for variable, value in os.environ.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and value:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if name not in FIELDS:
                raise SettingsError(unknown(name, f"environment {variable}"))
            found[variable] = {name: value}
    return found


def load(**keywords: Any) -> Loaded:
    """Reads the settings from all their origins.

    Args:
        keywords: settings by name; None stands for "not given".

    Raises:
        SettingsError: a name is unknown, or a value is bad; says which, where it was
            set and what would do.
    """
    origins = dict.fromkeys(FIELDS, "default")
    here = Path.cwd()
    sources = []
    for name, section in (("pyproject.toml", "tool.leadlog"), ("leadlog.toml", None)):
        path = Path(typed_settings.find(name))
        if path.is_file():
            values = _file_values(path, section)
            sources.append(_Source(str(path), values, path.resolve().parent, origins))
    for variable, values in _environment().items():
        sources.append(_Source(f"environment {variable}", values, here, origins))
    given = {key: value for key, value in keywords.items() if value is not None}
    sources.append(_Source("keyword", given, here, origins))
    try:
        settings = typed_settings.load_settings(Settings, sources, base_dir=here)
    except typed_settings.exceptions.InvalidSettingsError as group:
        problems = "; ".join(_explain(error, origins) for error in group.exceptions)
        raise SettingsError(problems) from group
    return Loaded(settings, origins)


_INNER = re.compile(r"^Could not convert .*?: \w+\((['\"])(?P<inner>.*)\1\)$", re.DOTALL)


def _explain(error: BaseException, origins: Mapping[str, str]) -> str:
    """One error of typed-settings in our words, with the setting's origin."""
    text = str(error)
    inner = _INNER.match(text)
    option = re.search(r"for option '(\w+)'", text)
    name = option[1] if option else ""
    if inner:
        text = f"{name}: {inner['inner']}" if name else inner["inner"]
        name = name or text.split(" ", 1)[0].rstrip(":")
    origin = origins.get(name, "default")
    return text if origin == "default" else f"{text} (set by {origin})"
