"""Settings have an order of strength, and a mistake is named with its remedy."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.core import settings
from leadlog.core.errors import SettingsError
from leadlog.core.settings import load


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


def child(program: str, folder: Path, **environment: str) -> None:
    """Run a program, which contains assertions, in a separate process."""
    # With -c, Python 3.13.0 itself imports nothing where the directory is gone.
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("early", [True, False], ids=["before the import", "after it"])
def test_a_working_directory_that_is_gone_is_no_error(tmp_path: Path, early: bool) -> None:
    """An absolute log directory is all that is needed; a relative one is an error that says so."""
    leave = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    program = f"""
import leadlog
{"" if early else leave}
leadlog.configure(directory={str(tmp_path / "log")!r})
leadlog.get_logger().info("started")
leadlog.flush()
assert leadlog.stats().written == {{"monitoring_data": 1}}, leadlog.stats()
try:
    leadlog.configure(directory="elsewhere")
except leadlog.SettingsError as error:
    assert "'elsewhere' is relative" in str(error), error
else:
    raise AssertionError("a log directory below a directory that is gone")
"""
    child(leave + program if early else program, tmp_path)


@pytest.mark.parametrize("given", ["~/logs", "~{user}/logs"])
@pytest.mark.parametrize("origin", ["environment", "keyword", "file"])
def test_a_tilde_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, origin: str
) -> None:
    """`~` and `~user` mean the same wherever a path is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    entry = pwd.getpwuid(os.getuid())
    path = given.format(user=entry.pw_name)
    expected = tmp_path / "home" if given.startswith("~/") else Path(entry.pw_dir)
    if origin == "environment":
        monkeypatch.setenv("LEADLOG_DIRECTORY", path)
    elif origin == "file":
        (tmp_path / "leadlog.toml").write_text(f'directory = "{path}"')
    loaded = load(**({"directory": path} if origin == "keyword" else {}))
    assert loaded.settings.directory == (expected / "logs").resolve()


def test_a_home_that_nobody_has_is_named() -> None:
    """The error has the value, its origin and the remedy."""
    with pytest.raises(SettingsError, match=r"~nobody-at-all.*keyword.*whole path"):
        load(directory="~nobody-at-all/logs")


@pytest.mark.parametrize(
    "variable",
    [
        "PORT=tcp://10.0.0.7:8765",
        "SERVICE_HOST=10.0.0.7",
        "SERVICE_PORT=8765",
        "SERVICE_PORT_HTTP=8765",
        "PORT_8765_TCP=tcp://10.0.0.7:8765",
        "PORT_8765_TCP_ADDR=10.0.0.7",
        "PORT_8765_UDP_PROTO=udp",
        "DASHBOARD_SERVICE_HOST=10.0.0.8",
        "DASHBOARD_PORT=tcp://10.0.0.8:80",
        "DASHBOARD_PORT_80_TCP_PORT=80",
    ],
)
def test_a_service_link_is_no_setting(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A cluster sets them for services called leadlog, and leadlog-something."""
    name, _, value = variable.partition("=")
    monkeypatch.setenv(f"LEADLOG_{name}", value)
    load()


@pytest.mark.parametrize("variable", ["DIRECTRY=x", "PORT=8765", "SERVICE=x", "PORT_TCP=1"])
def test_a_mistyped_variable_is_still_found(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Only what has the form of a service link is left alone."""
    name, _, value = variable.partition("=")
    monkeypatch.setenv(f"LEADLOG_{name}", value)
    with pytest.raises(SettingsError, match=f"LEADLOG_{name}"):
        load()


def test_every_setting_is_a_typed_keyword_of_configure() -> None:
    """Editors complete what there is, and type checkers refuse the rest."""
    from leadlog.core.settings.fields import FIELDS
    from leadlog.core.settings.keywords import SettingsKeywords

    assert set(FIELDS) == SettingsKeywords.__optional_keys__
