"""Settings have an order of strength, and a mistake is named with its remedy."""

from pathlib import Path

import pytest

from leadlog.core import settings
from leadlog.core.errors import SettingsError


def test_the_strongest_origin_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyword beats environment beats leadlog.toml beats pyproject.toml beats default."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.leadlog]\nlevel = "debug"\nconsole = "on"\npii = "masked"\nline_limit_bytes = 5000\n'
    )
    (tmp_path / "leadlog.toml").write_text(
        'console = "auto"\npii = "plain"\nline-limit-bytes = 6000'
    )
    monkeypatch.setenv("LEADLOG_PII", "masked")
    monkeypatch.setenv("LEADLOG_LINE_LIMIT_BYTES", "7000")
    loaded = settings.load(line_limit_bytes=8000)
    found = loaded.settings
    assert (found.level, found.console, found.pii) == ("debug", "auto", "masked")
    assert found.line_limit_bytes == 8000
    assert loaded.origins["level"] == str(tmp_path / "pyproject.toml")
    assert loaded.origins["console"] == str(tmp_path / "leadlog.toml")
    assert loaded.origins["pii"] == "environment LEADLOG_PII"
    assert loaded.origins["line_limit_bytes"] == "keyword"
    assert loaded.origins["enabled"] == "default"


def test_a_file_is_found_from_below_and_its_paths_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative directory in leadlog.toml is relative to that file, not to where one stands."""
    (tmp_path / "leadlog.toml").write_text('directory = "logs"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert settings.load().settings.directory == tmp_path / "logs"
    assert settings.load(directory="mine").settings.directory == below / "mine"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"directry": "x"}, "did you mean 'directory'"),
        ({"level": "infoo"}, "level = 'infoo' is none of debug, info.*did you mean 'info'"),
        ({"tier_good_ms": "abc"}, "tier_good_ms.*abc"),
        ({"line_limit_bytes": 1}, "line_limit_bytes = 1 is below 4096"),
        ({"pii": "pseudonymised"}, "LEADLOG_PSEUDONYM_KEY"),
        ({"sampling": {"get_lead": 2}}, "2.* of 'get_lead'"),
        ({"tier_good_ms": 1}, "must ascend"),
        ({"tier_good_ms": 200}, "must ascend"),
        ({"tier_overrides": {"sync": [1, 2]}}, "'sync' needs four"),
        ({"enabled": "perhaps"}, "enabled.*perhaps"),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(given: dict[str, object], message: str) -> None:
    """The error names the setting, the value and what would do."""
    with pytest.raises(SettingsError, match=message):
        settings.load(**given)


def test_a_bad_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown or unreadable variable is named as it stands in the environment."""
    monkeypatch.setenv("LEADLOG_SAMPLING", "{broken")
    with pytest.raises(SettingsError, match="LEADLOG_SAMPLING"):
        settings.load()
    monkeypatch.setenv("LEADLOG_SAMPLING", "")
    assert settings.load().settings.sampling == {}
    monkeypatch.setenv("LEADLOG_LEVEL_", "info")
    with pytest.raises(SettingsError, match=r"LEADLOG_LEVEL_.*did you mean 'level'"):
        settings.load()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is no TOML is an error that names it."""
    (tmp_path / "leadlog.toml").write_text("level = ")
    with pytest.raises(SettingsError, match=r"leadlog\.toml"):
        settings.load()


def test_objects_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates in the environment are a JSON object."""
    monkeypatch.setenv("LEADLOG_SAMPLING", '{"get_lead": 0.1}')
    assert settings.load().settings.sampling == {"get_lead": 0.1}


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key of the pseudonyms nor a database password is printed."""
    monkeypatch.setenv("LEADLOG_PSEUDONYM_KEY", "hush")
    loaded = settings.load(database="postgresql://ana:s3cret@db/leads")
    shown = {row.name: row.value for row in settings.describe(loaded)}
    assert shown["pseudonym_key"] == "***"
    assert shown["database"] == "postgresql://ana:***@db/leads"
    assert "hush" not in repr(loaded.settings)
    assert "s3cret" not in repr(loaded.settings)


def test_every_setting_is_documented() -> None:
    """Each has a help, which is what the reference is made of."""
    rows = settings.describe(settings.load())
    assert [row.name for row in rows] == settings.names()
    assert all(row.help.endswith(".") for row in rows)
