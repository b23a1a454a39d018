"""The drain: the one thread of a process that writes lines from its rings to files.

It polls every few milliseconds, since waking it for each line would cost the caller more than the
line itself; a ring that is half full wakes it early.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from leadlog.core.forks import renew_after_fork
from leadlog.core.native import Lock, RLock, sleep
from leadlog.core.threads import Background, is_current, start_thread
from leadlog.recording.sinks.board import Board
from leadlog.recording.sinks.channel import Channel
from leadlog.recording.sinks.contract import Finish, FinisherOf
from leadlog.recording.sinks.health import SinkHealth
from leadlog.recording.sinks.mirror import Mirror
from leadlog.recording.sinks.outlets import Outlets
from leadlog.recording.sinks.recover import recover_rings
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.rings import Rings
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.sidecar import ANY_KEY, seated_key
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.strays import sweep

__all__ = ["Drain"]

_LONGEST_IDLE_SECONDS = 0.06
"""Upper bound of the idle pause: a reader sees a line within 100 ms, even after a long silence."""

_SYNC_SECONDS = 1.0
_HEALTH_SECONDS = 0.05
_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.01
_SIDECAR_SECONDS = 0.2
_STUCK_SECONDS = 5.0
_SWEEP_FIRST_SECONDS = 60.0
_SWEEP_SECONDS = 3600.0
_LEFT_SECONDS = 600.0
_GRACE_SECONDS = 0.2
"""How long `stop` waits beyond its timeout for the thread to release everything."""


class Drain:
    """Writer of the lines in one sink's rings to files.

    Args:
        rings: the rings; the sink may add to them at any time.
        files: opens the files.
        slot: the slot that the files are named after.
        health: receives the counts after each pass.
        clock: returns microseconds since 1970.
        poll_seconds: interval of its passes while lines arrive.
        recover_seconds: interval of its search for rings of dead processes.
        finish: turns facts into lines; None if every frame is a line.
        finisher_of: returns the function that finishes a dead process's frames.
        outlets: the additional sinks, which receive the lines written to files.
        board: stores the counts of these sinks.
        key: check value of the key that a sidecar needs to finish these rings' frames, `ANY_KEY` if
            it needs none; None if no sidecar may empty them.
    """

    __slots__ = ("__dict__", "__weakref__", "_turn")  # see leadlog.core.native

    def __init__(
        self,
        rings: Rings,
        files: Files,
        *,
        slot: SlotHolder,
        health: SinkHealth,
        clock: Callable[[], int],
        poll_seconds: float,
        recover_seconds: float,
        finish: Finish | None = None,
        finisher_of: FinisherOf | None = None,
        outlets: Outlets | None = None,
        board: Board | None = None,
        key: str | None = None,
    ) -> None:
        self._finish = finish
        self._outlets = outlets or Outlets()
        self._offer = self._outlets.offer if self._outlets else None
        self._board = board or Board(files.spool, files.descriptors)
        self._finisher_of = finisher_of
        self._rings = rings
        self._files = files
        self._slot = slot
        self._health = health
        self._clock = clock
        self._poll = poll_seconds
        self._idle = max(poll_seconds, min(3 * poll_seconds, _LONGEST_IDLE_SECONDS))
        self._recover_seconds = recover_seconds
        self._recover_at = 0.0
        self._sync_at = 0.0
        self._health_at = 0.0
        self._channels: dict[Ring, Channel] = {}
        self._key = key
        self._lends = False
        self._sidecar_at = 0.0
        self._moved_at = 0.0
        self._returned: set[Ring] = set()
        self._mirrors: dict[str, Mirror] = {}
        self._folders_made = False
        self._sweep_at: float | None = None
        self._told: set[str] = set()
        self._urgent = False
        self._deadline: float | None = None
        self._done = False
        self._thread: Background | None = None
        self.belong: Callable[[], None] = lambda: None
        # A bare lock as alarm clock: unlike an Event's, its release may be interrupted by a signal
        # handler that releases the same lock.
        self._alarm = Lock()
        self._alarm.acquire()
        self._turn = RLock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave everything to the parent, in a forked child."""
        spool = self._files.spool
        folders = {spool.path, spool.spare, self._files.directory / ".slots"}
        self._files.descriptors.abandon(folders)
        self._rings.abandon()
        self._done = True

    def start(self) -> bool:
        """Start the thread if it is not running.

        Returns:
            False if the interpreter no longer starts threads; the caller must then call `look`.
        """
        if self._thread is None and not self._done:
            self._thread = start_thread(self._run, "leadlog-drain")
            self._outlets.start()  # while threads can still be started
            return self._thread is not None
        return True

    def wake(self) -> None:
        """Wake the thread for a pass now; callable from any thread or signal handler."""
        try:
            self._alarm.release()
        except RuntimeError:
            return  # it has been woken already

    def _run(self) -> None:
        pause = self._poll
        while not self._done:
            self._alarm.acquire(timeout=pause)
            try:
                busy = self.look()
            except Exception as error:  # noqa: BLE001 - the thread must outlive everything
                self._health.trouble(repr(error))
                busy = False
            pause = self._poll if busy or self._deadline else min(pause + self._poll, self._idle)

    def look(self) -> bool:
        """Make one pass over all rings.

        Returns:
            Whether there was anything to write.
        """
        with self._turn:
            now = time.monotonic()
            if now >= self._recover_at:
                self._recover_at = now + self._recover_seconds
                self._keep_house()
            # A pass that began before `stop` must not release anything: it has not tried again.
            deadline = self._deadline
            urgent, self._urgent = self._urgent, False
            sync = self._files.durable and (urgent or now >= self._sync_at)
            if sync:
                self._sync_at = now + _SYNC_SECONDS
            busy = self._lend_or_take_back(now)
            today = self._clock()
            for category in list(self._rings.current):
                for ring in self._rings.of(category):
                    if not ring.finished:
                        ring.seen(today)
                for ring in self._rings.of(category):
                    if not ring.finished:
                        busy |= self._empty(category, ring, urgent=urgent, sync=sync)
                    if not (ring.finished or self._rings.is_current(category, ring)):
                        break  # newer lines wait
            if deadline is not None:
                self._let_go(deadline)
        if now >= self._health_at or self._done:
            self._health_at = now + _HEALTH_SECONDS
            self._look_at_health()
        return busy

    def _empty(self, category: str, ring: Ring, *, urgent: bool, sync: bool) -> bool:
        """Write the lines of one ring to files, or read the sidecar's progress."""
        channel = self._channel(category, ring)
        if channel is None:
            ring.settle()
            busy = False
        else:
            if urgent:
                channel.retry_now()
            busy = channel.drain()
            if sync and channel.unsynced:
                channel.sync()
        mirror = self._mirrors.get(category) if ring.storage.reason else None
        if mirror is not None:
            mirror.refresh()
        if not self._rings.is_current(category, ring) and ring.idle:
            path = ring.storage.path
            if channel is not None:
                channel.close()
            if ring.finish(leave=False):
                if path is not None:
                    self._files.spool.retire(path, quietly=True)
                self._forget(ring)
                self._rings.drop(category, ring)
                busy = True
        return busy

    def _look_at_health(self) -> None:
        for category in list(self._rings.current):
            oldest, *_ = rings = self._rings.of(category)
            channel = self._channels.get(oldest)
            error = None if channel is None else channel.error
            self._health.look(category, self._rings.counts(category), error, rings[-1].reason)
        if self._outlets:
            counts = self._outlets.counts()
            for name, one in counts.items():
                self._health.look_at_sink(name, one)
            self._board.show(counts)

    def _lend_or_take_back(self, now: float) -> bool:
        """Lend the rings to a running sidecar, or continue where it stopped.

        Returns:
            Whether the sidecar wrote lines since the last pass.
        """
        if self._key is None:
            return False
        if self._lends or now >= self._sidecar_at:
            self._sidecar_at = now + _SIDECAR_SECONDS
            seated = seated_key(self._files.directory, self._files.host, self._files.descriptors)
            self._lends = seated is not None and self._key in (ANY_KEY, seated)
        moved = waits = False
        for _, ring in self._rings.all():
            if ring.finished or ring.storage.path is None:
                continue
            if self._lends and not ring.storage.lent:
                if not ring.storage.lendable:
                    continue
                channel = self._channels.pop(ring, None)
                if channel is not None:
                    channel.close()
                self._returned.discard(ring)
                ring.storage.lend()
            elif ring.storage.lent:
                moved |= ring.refresh()
                waits |= not ring.idle
                if not self._lends and ring.storage.take_back():
                    ring.refresh()
                    self._returned.add(ring)
        if self._lends and not self._channels:
            self._slot.release()
        if moved or not waits:
            self._moved_at = now
        elif now > self._moved_at + _STUCK_SECONDS:
            self._health.trouble(
                "the sidecar (`leadlog drain`) is stalled; events wait in memory until it "
                "continues or ends"
            )
        return moved

    def _forget(self, ring: Ring) -> None:
        self._channels.pop(ring, None)
        self._returned.discard(ring)

    def _channel(self, category: str, ring: Ring) -> Channel | None:
        """Return the channel that writes a ring's lines to files; None while a sidecar does."""
        channel = self._channels.get(ring)
        if channel is None and not ring.storage.lent:
            channel = Channel(
                category,
                ring,
                self._files,
                self._clock,
                self._finish,
                offer=self._offer,
                inherited=ring in self._returned,
            )
            self._channels[ring] = channel
        return channel

    def account(self, category: str, ring: Ring) -> None:
        """Publish the counts of a ring in the heap, where other processes can read them.

        Called before its first line, since a process may end at any moment without the drain.
        """
        mirror = Mirror(category, ring, self._files.spool, self._files.descriptors)
        mirror.refresh()
        self._mirrors[category] = mirror

    def _keep_house(self) -> None:
        """Do the periodic maintenance, due at the start and every few seconds."""
        if not self._folders_made:
            try:
                self._files.make_folders()
                self._folders_made = True
            except OSError as error:
                self._health.unusable(error)
        with suppress(OSError):  # reported when the lines are written
            self._files.make_mark()
        self.belong()
        own = frozenset(ring.storage.path for _, ring in self._rings.all() if ring.storage.path)
        gone = {path for path in own if not path.exists()}
        self._files.spool.tidy()
        for problem in recover_rings(self._files, own, self._finisher_of, self._offer).errors:
            if problem not in self._told:
                self._told.add(problem)
                self._health.trouble(f"a dead process's ring cannot be recovered now: {problem}")
        self._sweep()
        for category, ring in list(self._rings.current.items()):
            lost = ring.storage.reason or ring.storage.path in gone
            if (lost or self._rings.outgrown(category)) and self._rings.renew(category):
                mirror = self._mirrors.pop(category, None)
                if mirror is not None:
                    mirror.remove()

    def _sweep(self) -> None:
        """Recover, now and then, what other processes of this user left in shared memory."""
        now = time.monotonic()
        if self._sweep_at is None:
            self._sweep_at = now + _SWEEP_FIRST_SECONDS
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        spool = self._files.spool
        swept = sweep(
            self._finisher_of, spool.memory, but=spool.directory, left_seconds=_LEFT_SECONDS
        )
        for one in swept.removed:
            self._health.trouble(
                f"{one.waiting} events of {one.directory}, now deleted, were removed from memory"
            )

    def flush(self, timeout: float) -> bool:
        """Wait until the lines in the rings now are in files, and synced if configured.

        Args:
            timeout: maximum number of seconds to wait.
        """
        deadline = time.monotonic() + timeout
        goals = [(ring, ring.end) for _, ring in self._rings.all()]
        self._urgent = True
        pause = _WAIT_SECONDS
        while True:
            goals = [goal for goal in goals if not self._reached(*goal)]
            if not goals:
                return True
            if is_current(self._thread) or time.monotonic() >= deadline:
                return False
            if self.start():
                self.wake()
                time.sleep(pause)  # patched for green threads, which lets others run
                pause = min(1.5 * pause, _LONGEST_WAIT_SECONDS)
            else:
                self.look()

    def _reached(self, ring: Ring, goal: int) -> bool:
        if ring.finished:
            return True
        if ring.filed < goal:
            return False
        channel = self._channels.get(ring)
        return not self._files.durable or channel is None or channel.synced >= goal

    def stop(self, timeout: float) -> None:
        """Write the remaining lines of the sealed rings, and release everything.

        Lines that cannot be written in time stay in the rings for recovery.

        Args:
            timeout: maximum number of seconds to wait.
        """
        self._urgent = True
        self._deadline = time.monotonic() + timeout
        if not self._rings.current:
            self._done = True
        if self._thread is None or not self._thread.is_alive():
            while not self._done:
                self.look()
                sleep(_WAIT_SECONDS)
        self.wake()
        if self._thread is not None and not is_current(self._thread):
            self._thread.join(timeout + _GRACE_SECONDS)

    def _let_go(self, deadline: float) -> None:
        """Release each ring that is empty, or whose lines are safe where they are."""
        late = time.monotonic() >= deadline
        for category, ring in self._rings.all():
            if ring.finished:
                continue
            channel = self._channel(category, ring)
            path = ring.storage.path
            failed = channel is not None and channel.error is not None
            leave = late or (path is not None and failed and ring.end == ring.tail)
            if not (leave or ring.idle):
                continue
            if channel is not None:
                channel.close()
            if ring.finish(leave=leave):
                if path is not None and ring.empty:
                    self._files.spool.retire(path, quietly=True)
                mirror = self._mirrors.pop(category, None)
                if mirror is not None:
                    mirror.finish()
        if all(ring.finished for _, ring in self._rings.all()):
            self._slot.release()
            self._done = True
