"""The configuration for rsyslog in docs/how-to/ship, with a real rsyslogd and a real index."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from leadlog.shipping.elasticsearch import index_template
from tests.conftest import _unavailable
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import append, asking, indexed, record

pytestmark = pytest.mark.handmade_lines

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "ship" / "rsyslog" / "leadlog.conf"


@pytest.fixture
def rsyslogd():
    """Return the program, with its module for Elasticsearch."""
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if found is None or not list(Path("/usr/lib").glob("*/rsyslog/omelasticsearch.so")):
        _unavailable("rsyslog-elasticsearch is not installed")
    return found


def run_until(rsyslogd, configuration, tmp_path, done):
    """Run it until a condition holds, for at most half a minute; then end it."""
    command = [rsyslogd, "-n", "-f", str(configuration), "-i", str(tmp_path / "pid")]
    said = tmp_path / "said"
    with said.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            end = time.monotonic() + 30
            while not done() and time.monotonic() < end:
                assert process.poll() is None, said.read_text()
                time.sleep(0.1)
        finally:
            process.terminate()
            process.wait(20)
    assert done(), said.read_text()


def test_rsyslog_brings_each_event_once_over_a_restart(rsyslogd, directory, opensearch, tmp_path):
    """Lines are indexed under their event_ids, in the index of their type and day."""
    (tmp_path / "work").mkdir()
    text = PAGE.read_text()
    for old, new in {
        "/var/log/leadlog": str(directory),
        'serverport="9200"': f'serverport="{opensearch.url.rpartition(":")[2]}"',
        'mode="inotify"': 'mode="polling" pollingInterval="1"',
    }.items():
        assert old in text
        text = text.replace(old, new)
    configuration = tmp_path / "rsyslog.conf"
    work = f'global(workDirectory="{tmp_path / "work"}" maxMessageSize="64k")\n'
    configuration.write_text(work + text)
    for log_type in ("error_log", "database_operation"):  # as `leadlog ship template` prints them
        template = index_template(log_type, "leadlog", "opensearch")
        asking(opensearch.url)("PUT", f"/_index_template/leadlog-{log_type}", template)
    ids = []
    for category in ("error_logs", "database_operations"):
        events = [record(category, AT + number) for number in range(20)]
        ids += append(directory / category / f"{DAY}.jsonl", *events)

    def arrived():
        try:
            return set(indexed(opensearch)) == set(ids)
        except OSError:  # there is no index yet
            return False

    run_until(rsyslogd, configuration, tmp_path, arrived)
    ids += append(directory / "error_logs" / f"{DAY}.jsonl", record("error_logs", AT + 99))
    run_until(rsyslogd, configuration, tmp_path, arrived)
    found = indexed(opensearch)
    assert len(found) == 41
    assert {one["_index"] for one in found.values()} == {
        f"leadlog-error_log-{DAY}",
        f"leadlog-database_operation-{DAY}",
    }
