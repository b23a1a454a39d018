"""The configuration for rsyslog in docs/how-to/ship, with a real rsyslogd and a real index."""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from leadlog.shipping.elasticsearch import index_template
from tests.conftest import _unavailable
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Trouble, append, asking, indexed, record, serving

pytestmark = pytest.mark.handmade_lines

KILLS = 50 if os.environ.get("SOAK") else 2
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "ship" / "rsyslog" / "leadlog.conf"


@pytest.fixture
def rsyslogd():
    """Return the program, with its module for Elasticsearch."""
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if found is None or not list(Path("/usr/lib").glob("*/rsyslog/omelasticsearch.so")):
        _unavailable("rsyslog-elasticsearch is not installed")
    return found


def run_until(rsyslogd, configuration, tmp_path, done, seconds=30):
    """Run it until a condition holds, for at most some seconds; then end it."""
    command = [rsyslogd, "-n", "-f", str(configuration), "-i", str(tmp_path / "pid")]
    said = tmp_path / "said"
    with said.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            end = time.monotonic() + seconds
            while not done() and time.monotonic() < end:
                assert process.poll() is None, said.read_text()
                time.sleep(0.1)
        finally:
            process.terminate()
            process.wait(20)
    assert done(), said.read_text()


@pytest.fixture
def configured_for(directory, tmp_path):
    """Write the page's configuration for a port: `configured_for(9200)` returns its path."""

    def write(port):
        (tmp_path / "work").mkdir(exist_ok=True)
        text = PAGE.read_text()
        for old, new in {
            "/var/log/leadlog": str(directory),
            'serverport="9200"': f'serverport="{port}"',
            "/var/spool/rsyslog": str(tmp_path / "work"),
            'mode="inotify"': 'mode="polling" pollingInterval="1"',
        }.items():
            assert old in text
            text = text.replace(old, new)
        configuration = tmp_path / "rsyslog.conf"
        work = f'global(workDirectory="{tmp_path / "work"}" maxMessageSize="64k")\n'
        configuration.write_text(work + text)
        return configuration

    return write


def there(server):
    """Return the events in the index."""
    try:
        return set(indexed(server))
    except OSError:  # there is no index yet
        return set()


def test_rsyslog_brings_each_event_once_over_a_restart(
    rsyslogd, directory, opensearch, tmp_path, configured_for
):
    """Lines arrive under their event_ids, in the index of their type and day."""
    configuration = configured_for(opensearch.url.rpartition(":")[2])
    for log_type in ("error_log", "database_operation"):  # as `leadlog ship template` prints them
        template = index_template(log_type, "leadlog", "opensearch")
        asking(opensearch.url)("PUT", f"/_index_template/leadlog-{log_type}", template)
    ids = []
    for category in ("error_logs", "database_operations"):
        events = [record(category, AT + number) for number in range(20)]
        ids += append(directory / category / f"{DAY}.jsonl", *events)

    run_until(rsyslogd, configuration, tmp_path, lambda: there(opensearch) == set(ids))
    ids += append(directory / "error_logs" / f"{DAY}.jsonl", record("error_logs", AT + 99))
    run_until(rsyslogd, configuration, tmp_path, lambda: there(opensearch) == set(ids))
    found = indexed(opensearch)
    assert len(found) == 41
    assert {one["_index"] for one in found.values()} == {
        f"leadlog-error_log-{DAY}",
        f"leadlog-database_operation-{DAY}",
    }


def test_kills_and_lost_answers_lose_and_double_nothing(
    rsyslogd, directory, opensearch, tmp_path, configured_for
):
    """Repeated records are refused as copies; those refused with 429 and 503 are in a file."""
    draw, ids, faults = random.Random(3), [], {"429": 0.1, "503": 0.1, "reset": 0.15}
    path, refused = directory / "error_logs" / f"{DAY}.jsonl", tmp_path / "work"
    with serving(Trouble(opensearch.url, faults)) as between:
        configuration = configured_for(between.server_port)
        command = [rsyslogd, "-n", "-f", str(configuration), "-i", str(tmp_path / "pid")]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for number in range(KILLS):
            at = AT + number * 1000
            ids += append(path, *[record("error_logs", at + one) for one in range(5)])
            with subprocess.Popen(command, **quiet) as process:
                time.sleep(draw.uniform(0.1, 1.5))
                ids += append(path, record("error_logs", at + 99))
                process.kill()
            (tmp_path / "pid").unlink(missing_ok=True)

        def whole():
            kept = refused / "leadlog-refused.json"
            text = kept.read_text() if kept.exists() else ""
            missing = set(ids) - there(opensearch)
            return all(one in text for one in missing)

        run_until(rsyslogd, configuration, tmp_path, whole, 60)
        assert KILLS < 50 or all(between.made.values()), between.made
    assert there(opensearch) <= set(ids)
