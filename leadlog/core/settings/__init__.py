"""Settings and the sources of their values.

In order of precedence: keyword of `configure`, `LEADLOG_<NAME>` in the environment,
`leadlog.toml`, `[tool.leadlog]` in pyproject.toml (both searched from the working directory
upwards; a relative path in a file is relative to that file), default. Settings are frozen and
validated once. An unknown name is an error that suggests the closest one; an empty
environment variable counts as not set.
"""

from leadlog.core.settings.describing import SettingRow, describe, names
from leadlog.core.settings.fields import Settings
from leadlog.core.settings.loading import ENVIRONMENT_PREFIX, Loaded, load, unknown

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Loaded",
    "SettingRow",
    "Settings",
    "describe",
    "load",
    "names",
    "unknown",
]
