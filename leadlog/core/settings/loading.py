"""Loading of settings from their sources."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from leadlog.core.errors import SettingsError
from leadlog.core.settings.fields import FIELDS, Settings
from leadlog.core.settings.library import somewhere, typed_settings, types
from leadlog_processors.log_types import VARIABLE

__all__ = ["ENVIRONMENT_PREFIX", "Loaded", "load", "unknown"]

ENVIRONMENT_PREFIX = "LEADLOG_"
_TABLE = "airtable"  # its settings may be written in a table of that name
_PATHS = frozenset(
    name for name, field in attrs.fields_dict(Settings).items() if field.type is Path
)
_SERVICE_LINK = re.compile(
    r"(\w+_)?(service_(host|port(_\w+)?)|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)=.*"
    r"|(\w+_)?port=(tcp|udp|sctp)://.*"
)
"""Variables that a cluster sets in every container for a service named leadlog or leadlog-…."""
_TOKEN = "airtable_api_key"  # noqa: S105 - the name of a setting


@attrs.frozen
class Loaded:
    """Settings in force and the source of each.

    Attributes:
        settings: the values.
        origins: setting to `keyword`, `environment LEADLOG_…`, a file's path, or `default`.
    """

    settings: Settings
    origins: dict[str, str]


class _Source:
    """One source of settings, as a loader of typed-settings; records which settings it provided."""

    def __init__(
        self, name: str, values: Mapping[str, Any], base: Path, origins: dict[str, str]
    ) -> None:
        named = ((key.replace("-", "_"), value) for key, value in values.items())
        self.values = {key: _expanded(key, value, name) for key, value in named}
        self._name = name
        self._base = base
        self._origins = origins

    def __call__(
        self,
        settings_cls: types.SettingsClass,  # noqa: ARG002 - typed-settings calls a loader with both
        options: types.OptionList,  # noqa: ARG002 - the loader's signature
    ) -> types.LoadedSettings:
        for key in self.values:
            if key not in FIELDS:
                raise SettingsError(unknown(key, self._name))
            self._origins[key] = self._name
        return types.LoadedSettings(
            cast(types.SettingsDict, dict(self.values)),
            types.LoaderMeta(self._name, base_dir=self._base),
        )


def _expanded(key: str, value: Any, origin: str) -> Any:
    """Return a path with `~` and `~user` replaced by the home directory; any other value as it is.

    Raises:
        SettingsError: no such home directory exists.
    """
    if key not in _PATHS or not isinstance(value, str | os.PathLike):
        return value
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise SettingsError(
            f"{key} {os.fspath(value)!r} (set by {origin}): {error}; write the whole path"
        ) from error


def unknown(name: str, origin: str) -> str:
    """Return the error message for a setting that does not exist."""
    close = difflib.get_close_matches(name, FIELDS, 1, 0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    where = "help(leadlog.configure) lists" if origin == "keyword" else "`leadlog doctor` lists"
    return f"unknown setting {name!r} ({origin}); {hint}{where} them all"


def _file_values(path: Path, section: str | None) -> dict[str, Any]:
    read = typed_settings.TomlFormat(section)
    try:
        values = dict(read(path, Settings, ()))
    except typed_settings.exceptions.TsError as error:
        raise SettingsError(f"{path} cannot be read: {error}; correct it or remove it") from error
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
    """Return a mapping from environment variable to the setting and value it gives."""
    found = {}
    for variable, value in os.environ.items():
        if variable == VARIABLE:
            continue  # not a setting: read where log types are registered
        if variable.startswith(ENVIRONMENT_PREFIX) and value:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if name not in FIELDS:
                if _SERVICE_LINK.fullmatch(f"{name}={value}"):
                    continue
                raise SettingsError(unknown(name, f"environment {variable}"))
            found[variable] = {name: value}
    return found


def _working_directory() -> Path | None:
    """Return the working directory; None if it was removed or may not be entered."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _found(name: str, here: Path) -> Path | None:
    """Return a file in the working directory or the nearest parent folder; None if unreadable."""
    try:
        path = Path(typed_settings.find(name, start_dir=here))
        return path if path.is_file() else None
    except OSError:
        return None


def _demand_absolute(sources: Sequence[_Source]) -> None:
    """Require that the log directory can be found without a working directory.

    Raises:
        SettingsError: the log directory is a relative path.
    """
    given = [source.values["directory"] for source in sources if "directory" in source.values]
    directory = Path(given[-1] if given else str(attrs.fields(Settings).directory.default))
    if not directory.is_absolute():
        raise SettingsError(
            f"directory {str(directory)!r} is relative to the working directory, which is gone or "
            "may not be entered; give an absolute path, for example "
            "LEADLOG_DIRECTORY=/var/log/leadlog"
        )


def load(**keywords: Any) -> Loaded:
    """Load the settings from all their sources.

    Args:
        keywords: settings by name; None stands for "not given".

    Raises:
        SettingsError: a name is unknown or a value is bad; the message names it, where it was set
            and the valid values.
    """
    origins = dict.fromkeys(FIELDS, "default")
    here = _working_directory()
    base = here or Path(os.sep)
    sources = []
    for name, section in (("pyproject.toml", "tool.leadlog"), ("leadlog.toml", None)):
        path = None if here is None else _found(name, here)
        if path is not None:
            values = _file_values(path, section)
            sources.append(_Source(str(path), values, path.resolve().parent, origins))
    for variable, values in _environment().items():
        sources.append(_Source(f"environment {variable}", values, base, origins))
    given = {key: value for key, value in keywords.items() if value is not None}
    sources.append(_Source("keyword", given, base, origins))
    if here is None:
        _demand_absolute(sources)
    try:
        with somewhere():
            settings = typed_settings.load_settings(Settings, sources, base_dir=base)
    except typed_settings.exceptions.InvalidSettingsError as group:
        problems = "; ".join(_explain(error, origins) for error in group.exceptions)
        raise SettingsError(problems) from group
    return Loaded(settings, origins)


_INNER = re.compile(r"^Could not convert .*?: \w+\((['\"])(?P<inner>.*)\1\)$", re.DOTALL)


def _explain(error: BaseException, origins: Mapping[str, str]) -> str:
    """Return the message for one error of typed-settings, with the setting's source."""
    text = str(error)
    inner = _INNER.match(text)
    option = re.search(r"for option '(\w+)'", text)
    name = option[1] if option else ""
    if inner:
        text = f"{name}: {inner['inner']}" if name else inner["inner"]
        name = name or text.split(" ", 1)[0].rstrip(":")
    origin = origins.get(name, "default")
    return text if origin == "default" else f"{text} (set by {origin})"
