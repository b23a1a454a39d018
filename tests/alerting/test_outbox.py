"""Messages are delivered once, in order, and survive any end of the monitor."""

import logging
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from leadlog.core.errors import SettingsError
from leadlog.monitor.notification import outbox
from leadlog.monitor.notification.channels import DeliveryError, channels
from leadlog.monitor.notification.outbox import Outbox


class Clocks:
    """A clock and a stopwatch that the test advances."""

    def __init__(self):
        self.seconds = 0.0

    def us(self):
        return round(self.seconds * 1e6)

    def monotonic(self):
        return self.seconds


class Sink:
    """A channel that accepts messages, or refuses them."""

    def __init__(self, name="sink"):
        self.name, self.taken, self.refusing = name, [], False
        self.attempts = 0
        self.during = lambda: None

    def send(self, title, body, severity):
        self.attempts += 1
        self.during()
        if self.refusing:
            raise DeliveryError("it is closed")
        self.taken.append((title, body))


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        outbox.create(connection)
    return path


def opened(database, sinks, clocks, told=None):
    box = Outbox(
        database,
        sinks,
        clock=clocks.us,
        monotonic=clocks.monotonic,
        notice=(told if told is not None else []).append,
    )
    with closing(sqlite3.connect(database)) as connection, connection:
        box.load(connection)
    return box


def put(box, database, *titles):
    """Stage and commit messages, as the monitor does."""
    for title in titles:
        box.stage(title, "body", "warning")
    with closing(sqlite3.connect(database)) as connection, connection:
        box.save(connection)
    box.release(saved=True)


def states(database):
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT state FROM outbox ORDER BY id")]


def test_each_message_reaches_each_channel_once_in_order(database, clocks):
    """Each message reaches each channel once, and the database records it."""
    one, two = Sink(), Sink()
    box = opened(database, {"1": one, "2": two}, clocks)
    put(box, database, "a", "b")
    assert box.deliver_due() == 4
    put(box, database, "c")
    box.deliver_due()
    assert [title for title, _ in one.taken] == [title for title, _ in two.taken] == ["a", "b", "c"]
    assert box.deliver_due() == 0
    assert states(database) == ["sent"] * 6


def test_nothing_is_sent_before_it_is_committed(database, clocks):
    """A message whose transaction was rolled back is not sent, since it would be sent twice."""
    sink = Sink()
    box = opened(database, {"1": sink}, clocks)
    box.stage("a", "body", "warning")
    assert box.deliver_due() == 0
    assert box.waiting() == 0


def test_a_channel_that_refuses_is_tried_again_and_holds_up_no_other(database, clocks):
    """It is retried after 5, 10, 20 … seconds; its later messages wait for the first."""
    closed, sink, told = Sink("closed"), Sink(), []
    closed.refusing = True
    box = opened(database, {"1": closed, "2": sink}, clocks, told)
    put(box, database, "a", "b")
    while clocks.seconds < 36:
        box.deliver_due()
        clocks.seconds += 1
    assert closed.attempts == 4  # at 0, 5, 15 and 35
    assert [title for title, _ in sink.taken] == ["a", "b"]
    assert told[0] == "closed did not accept 'a': it is closed; trying again in 5 s"
    closed.refusing = False
    clocks.seconds += 900
    box.deliver_due()
    assert [title for title, _ in closed.taken] == ["a", "b"]


def test_a_message_is_given_up_after_a_day(database, clocks):
    """A message is given up after a day, and the next one is tried."""
    sink = Sink()
    sink.refusing = True
    box = opened(database, {"1": sink}, clocks)
    put(box, database, "old")
    for _ in range(120):
        box.deliver_due()
        clocks.seconds += 900
    sink.refusing = False
    put(box, database, "new")
    box.deliver_due()
    assert [title for title, _ in sink.taken] == ["new"]
    assert states(database) == ["given_up", "sent"]


def test_the_next_monitor_delivers_what_waits_and_nothing_twice(database, clocks):
    """Accepted messages are not sent again; waiting ones are; one in flight says so."""
    sink = Sink()
    box = opened(database, {"1": sink}, clocks)
    put(box, database, "sent", "under way", "waits")
    snapshots = []
    sink.during = lambda: snapshots.append(database.read_bytes())
    box.deliver_due()
    # The database as it was while the second message was being sent, as after a kill.
    database.write_bytes(snapshots[1])
    later = Sink()
    again = opened(database, {"1": later}, clocks)
    again.deliver_due()
    assert [title for title, _ in later.taken] == ["under way", "waits"]
    assert later.taken[0][1].startswith("(leadlog was stopped while it sent this message")
    assert later.taken[1][1] == "body"


def test_an_url_that_is_gone_ends_its_messages(database, clocks):
    """Messages of a URL that is no longer configured are given up instead of waiting forever."""
    box = opened(database, {"1": Sink()}, clocks)
    put(box, database, "a")
    again = opened(database, {"2": Sink()}, clocks)
    put(again, database, "b")
    assert again.deliver_due() == 1
    assert states(database) == ["given_up", "sent"]


def test_a_database_that_cannot_be_written_stops_no_message(database, clocks):
    """A full disk must be reported too; the state is written once it can be."""
    sink = Sink()
    box = opened(database, {"1": sink}, clocks)
    box.stage("disk full", "body", "critical")
    kept = database.read_bytes()
    database.unlink()
    database.mkdir()  # makes the database unwritable
    box.release(saved=False)
    assert box.deliver_due() == 1
    database.rmdir()
    database.write_bytes(kept)
    put(box, database)
    assert states(database) == ["sent"]
    assert [title for title, _ in sink.taken] == ["disk full"]


def test_the_thread_delivers_while_nobody_waits(database, webhook, clocks):
    """Threads deliver through Apprise to a real server while the caller continues."""
    found = channels(webhook.url)
    box = opened(database, found, clocks)
    box.start()
    put(box, database, "[leadlog] critical: disk")
    assert webhook.arrived.wait(20)
    box.stop(20)
    assert webhook.titles == ["[leadlog] critical: disk"]
    assert states(database) == ["sent"]


def test_a_channel_that_takes_long_delays_no_other(database, clocks):
    """A slow channel delays no other, neither in separate threads nor in a synchronous delivery."""
    held, others = threading.Event(), threading.Event()
    slow, quick = Sink("slow"), Sink("quick")
    slow.during = lambda: held.wait(30)
    quick.during = others.set
    box = opened(database, {"a": slow, "b": quick}, clocks)
    put(box, database, "first")
    box.start()
    assert others.wait(30)
    assert not slow.taken
    held.set()
    while box.waiting():
        time.sleep(0.01)
    box.stop()

    both = threading.Barrier(2)  # each waits for the other, so they must be delivered concurrently
    sinks = {"a": Sink("a"), "b": Sink("b")}
    for sink in sinks.values():
        sink.during = lambda: both.wait(30)
    box = opened(database, sinks, clocks)
    put(box, database, "second")
    assert box.deliver_due() == 2
    assert [sink.taken for sink in sinks.values()] == [[("second", "body")]] * 2


def test_a_reason_is_that_of_its_own_channel(webhook):
    """Apprise's messages about another channel, which may contain its secrets, are not mixed in."""
    (channel,) = channels(webhook.url).values()
    webhook.refusing = True
    noise = threading.Event()

    def talk():
        while not noise.is_set():
            logging.getLogger("apprise").warning("other-secret")

    other = threading.Thread(target=talk)
    other.start()
    try:
        with pytest.raises(DeliveryError) as caught:
            channel.send("title", "body", "warning")
    finally:
        noise.set()
        other.join()
    assert "503" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_mail_arrives(mailbox):
    """A mail is delivered through Apprise to a real SMTP server."""
    (channel,) = channels(mailbox.url).values()
    channel.send("[leadlog] warning: disk", "12 % is free\nmake room", "warning")
    assert mailbox.titles == ["[leadlog] warning: disk"]
    assert "12 % is free" in mailbox.messages[0][1]


def test_a_refusal_says_why_without_secrets(webhook):
    """Neither the URL's path nor its password appears in the name, the reason or the repr."""
    webhook.refusing = True
    url = webhook.url.replace("127.0.0.1", "user:passw0rd-x@127.0.0.1")
    (channel,) = channels(url).values()
    with pytest.raises(DeliveryError, match="503") as caught:
        channel.send("t", "b", "critical")
    for text in (channel.name, repr(channel), str(caught.value)):
        assert "passw0rd" not in text
        assert "s3cr3t" not in text


def test_an_url_that_nobody_understands_is_an_error_without_it():
    """The message names only the scheme."""
    with pytest.raises(SettingsError, match=r"nosuch://\*\*\*") as caught:
        channels("nosuch://token-abcdef/x")
    assert "token" not in str(caught.value)


def test_no_url_no_channel():
    """White space gives no channel, and a repeated URL gives one."""
    assert channels("  ") == {}
    assert len(channels("json://127.0.0.1:1/a json://127.0.0.1:1/a")) == 1
