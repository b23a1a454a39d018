"""No command prints a secret from a setting, however it is written and whatever fails."""

import subprocess
import sys

import pytest
import sqlalchemy as sa

from leadlog.core.errors import SettingsError
from leadlog.leads.store.location import location, masked
from leadlog.monitor.notification.channels import AppriseChannel
from leadlog_processors.masking import mask_url

SECRET = "kastanie9"
PLACE = "postgresql+psycopg://127.0.0.1:1/shop"
URLS = [
    f"postgresql+psycopg://ana:{SECRET}@127.0.0.1:1/shop?connect_timeout=2",
    f"postgresql+psycopg://ana:{SECRET}@127.0.0.1:1/shop?application_name=a@b&connect_timeout=2",
    f"{PLACE}?user=ana&password={SECRET}&connect_timeout=2",
    f"{PLACE}?user=ana&pass%77ord={SECRET}&connect_timeout=2",
    f"{PLACE}?sslmode=prefer&sslpassword={SECRET}&connect_timeout=2",
    f"{PLACE}?connect_timeout=2&password={SECRET}&password=another",
    f"postgres://ana:{SECRET}@127.0.0.1:1/shop?connect_timeout=2",
    f"postgresql+nodriver://ana:{SECRET}@127.0.0.1:1/shop?password={SECRET}",
    f"oracle://ana:{SECRET}@127.0.0.1:1/shop",
    f"postgresql+psycopg://ana:{SECRET}@127.0.0.1:port/shop",
]
COMMANDS = [
    ["doctor"],
    ["doctor", "--json"],
    ["verify"],
    ["health", "--timeout", "3"],
    ["db", "stats"],
    ["db", "check"],
    ["db", "upgrade"],
    ["sync", "status"],
    ["migrate", "status"],
]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    (tmp_path / "database_logs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("url", URLS)
def test_a_database_password_is_never_printed(run, directory, monkeypatch, url, command):
    """A database password is not printed in settings, in errors, or in chained errors."""
    monkeypatch.setenv("LEADLOG_DATABASE", url)
    result = run(*command)
    assert SECRET not in result.output
    error = result.exception
    while error is not None:
        if not isinstance(error, SystemExit):
            assert SECRET not in str(error)
        error = error.__cause__


@pytest.mark.parametrize("url", URLS)
def test_a_masked_url_still_says_where_it_points(url):
    """Host and scheme stay; masking again changes nothing."""
    shown = mask_url(url)
    assert SECRET not in shown
    assert "127.0.0.1" in shown
    assert shown.startswith(url.partition("://")[0])
    assert mask_url(shown) == shown


@pytest.mark.parametrize(
    "url", ["sqlite:///leads.db", "postgresql://ana@db/shop?connect_timeout=2", "leads.db"]
)
def test_a_url_without_secrets_is_shown_as_it_is(url):
    assert mask_url(url) == url


@pytest.mark.parametrize("url", URLS[:7])
def test_the_text_of_a_store_s_url_hides_every_secret(url):
    """However it is made text; the driver still gets it."""
    hidden = location(url)
    assert SECRET not in f"{hidden} {hidden!r} {hidden.set(port=5)}"
    assert SECRET in hidden.render_as_string(hide_password=False)
    assert SECRET not in repr(sa.create_engine(hidden))
    assert SECRET not in str(masked(sa.make_url(url)))


@pytest.mark.parametrize(
    "url",
    [
        f"json://ana:{SECRET}@127.0.0.1:1/hook",
        f"json://ana:a#{SECRET}@127.0.0.1:1/hook",
        f"json://ana:a/{SECRET}@127.0.0.1:1/hook",
        f"json://127.0.0.1:1/{SECRET}/?token={SECRET}",
        f"mailtos://ana:{SECRET}@example.com?smtp=127.0.0.1",
    ],
)
def test_a_channel_s_name_and_its_errors_hide_its_secrets(url):
    """Secrets stay hidden even in a URL that Apprise parses differently from leadlog."""
    pytest.importorskip("apprise")
    try:
        channel = AppriseChannel(url)
        said = [channel.name, repr(channel), channel._clean(f"refused by {url} ({SECRET})")]
    except SettingsError as error:
        said = [str(error)]
    assert SECRET not in " ".join(said)


def test_the_traceback_of_a_defect_hides_secrets(tmp_path):
    """The messages of an unexpected exception and its causes are masked; the exit code is 70."""
    code = (
        "import sys, types, click\n"
        "from leadlog.cli import main, root\n"
        "@click.command()\n"
        "def demo():\n"
        "    try:\n"
        f"        raise KeyError({URLS[2]!r})\n"
        "    except KeyError as error:\n"
        f"        raise RuntimeError('no engine for ' + {URLS[0]!r}) from error\n"
        "sys.modules['crash'] = types.ModuleType('crash')\n"
        "sys.modules['crash'].demo = demo\n"
        "root._lazy['demo'] = ('crash:demo', '')\n"
        "sys.argv = ['leadlog', 'demo']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "no engine for postgresql" in done.stderr
    assert SECRET not in done.stderr
