"""Shipping to one destination: read, send, and advance the position once all is acknowledged."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import attrs

from leadlog.core.clock import now_us
from leadlog.core.errors import ShippingError
from leadlog.reading.events import Event, OddEvent, decode
from leadlog.reading.shipments import Erased, Refused, Shipments, shipping_lock
from leadlog.shipping.contract import (
    AGAIN,
    BatchRefusedError,
    DestinationError,
    DroppedError,
    Item,
    Sender,
    UnreachableError,
)
from leadlog.shipping.destination import Destination, token_of
from leadlog.shipping.source import Batch, Source, event_id_of
from leadlog_processors.privacy import Policy, Privacy

__all__ = ["ShipReport", "Shipper", "remember", "sender_of"]

_POLL_SECONDS: Final = 0.2
_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 30.0
_STANDBY_SECONDS: Final = 2.0


@attrs.define
class ShipReport:
    """The outcome of a run.

    Attributes:
        name: Name of the destination.
        sent: Number of records that it accepted.
        refused: Number of records that it refused for good; kept for `leadlog ship replay`.
        error: Why the run ended before everything was sent; None if it did not.
    """

    name: str
    sent: int = 0
    refused: int = 0
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all attributes as plain data."""
        return attrs.asdict(self)


class _StoppedError(Exception):
    """Raised to end a run that was asked to stop."""


def sender_of(destination: Destination) -> Sender:
    """Return the sender for a destination's protocol.

    Raises:
        SettingsError: Its token is not set.
    """
    token = token_of(destination)
    if destination.type == "splunk":
        from leadlog.shipping.splunk import SplunkSender

        return SplunkSender(destination, token)
    if destination.type == "otlp":
        from leadlog.shipping.otlp import OtlpSender

        return OtlpSender(destination, token)
    from leadlog.shipping.elasticsearch import BulkSender

    return BulkSender(destination, token)


class Shipper:
    """Ships a log directory to one destination.

    `once` sends everything that is pending; `run` continues until it is stopped. Only one process
    ships to a destination; a second one stands by.

    Args:
        directory: The log directory.
        destination: The destination.
        pseudonym_key: Key of the pseudonyms, if the destination's policy uses them.
        notice: Called with one line of text for the operator.
        clock: Returns microseconds since 1970.
        stop: Ends a run when set.
        sender: Implements the protocol; made from the destination by default.

    Raises:
        SettingsError: The token is not set, or pseudonyms are configured without a key.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        *,
        pseudonym_key: str = "",
        notice: Callable[[str], None] = lambda _: None,
        clock: Callable[[], int] = now_us,
        stop: threading.Event | None = None,
        sender: Sender | None = None,
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._notice = notice
        self._clock = clock
        self._stop = threading.Event() if stop is None else stop
        self._sender = sender_of(destination) if sender is None else sender
        policy, key = destination.personal_data, pseudonym_key.encode() or None
        # The policy was validated with the destination.
        self._privacy = None if policy == "plain" else Privacy(cast(Policy, policy), key)
        self._dropped: list[tuple[str, int | None, int | None, int | None]] = []
        self._odd: dict[str, str] = {}
        self._told = ""
        self._waited = 0
        self._reached_at = time.monotonic()
        self._give_up: float | None = None
        self.report = ShipReport(destination.name)

    # --------------------------------------------------------------------------------------- runs

    def once(self, give_up_seconds: float = 30.0) -> ShipReport:
        """Send everything that is pending.

        Args:
            give_up_seconds: How long a destination that accepts nothing is retried.

        Raises:
            ShippingError: Another process ships to this destination.
            LogDirectoryError: The position cannot be stored.
            ReadError: The stored progress is damaged.
        """
        self._give_up = give_up_seconds
        with shipping_lock(self._directory, self._destination.name) as other:
            if other is not None:
                raise ShippingError(
                    f"process {other} ships to {self._destination.name} already; "
                    "`leadlog ship status` shows how far it is"
                )
            self._ship(forever=False)
        return self.report

    def run(self) -> ShipReport:
        """Ship until stopped, retrying whatever the destination answers.

        Raises:
            LogDirectoryError: The position cannot be stored.
            ReadError: The stored progress is damaged.
        """
        told = False
        while not self._stop.is_set():
            with shipping_lock(self._directory, self._destination.name) as other:
                if other is None:
                    self._ship(forever=True)
                    return self.report
            if not told:
                self._notice(
                    f"process {other} ships to {self._destination.name} already; standing by"
                )
                told = True
            self._stop.wait(_STANDBY_SECONDS)
        return self.report

    def replay(self, give_up_seconds: float = 30.0) -> ShipReport:
        """Send the refused records again.

        Args:
            give_up_seconds: How long a destination that accepts nothing is retried.

        Raises:
            LeadlogError: As for `once`.
        """
        self._give_up = give_up_seconds
        with shipping_lock(self._directory, self._destination.name) as other:
            if other is not None:
                raise ShippingError(
                    f"process {other} ships to {self._destination.name}; stop it and try again"
                )
            with Shipments(self._directory, self._destination.name) as shipments:
                self._guarded(shipments, lambda: self._replay(shipments))
        return self.report

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def _ship(self, *, forever: bool) -> None:
        with Shipments(self._directory, self._destination.name) as shipments:
            remember(shipments, self._destination, self._notice, can_erase=self._sender.can_erase)
            source = Source(
                self._directory,
                shipments,
                self._destination,
                self._item,
                clock=self._clock,
                notice=self._notice,
            )
            try:
                self._guarded(shipments, lambda: self._cycles(shipments, source, forever=forever))
            finally:
                source.close()

    def _guarded(self, shipments: Shipments, work: Callable[[], None]) -> None:
        """Call `work`; report and store the error that ends it early."""
        try:
            work()
        except _StoppedError:
            return
        except ShippingError as error:
            self.report.error = str(error)
            shipments.put(error=str(error), error_us=self._clock())

    def _cycles(self, shipments: Shipments, source: Source, *, forever: bool) -> None:
        self._tried(shipments, self._sender.prepare)
        while not self._stop.is_set():
            began = time.monotonic()
            self._follow_erasures(shipments)
            batch = source.read()
            if batch.progress:
                self._send(shipments, source, batch)
                rate = self._destination.backfill_per_second
                if rate and batch.backlog:
                    self._stop.wait(max(batch.backlog / rate - (time.monotonic() - began), 0.0))
            elif not forever:
                return
            else:
                self._stop.wait(_POLL_SECONDS)
        raise _StoppedError

    def _tried(self, shipments: Shipments, call: Callable[[], None]) -> None:
        """Call until the destination accepts."""
        while True:
            try:
                call()
            except BatchRefusedError as error:
                # No record is at fault, so there is nothing to leave out of another attempt.
                refusal = DestinationError(f"{self._destination.url}: {error}")
                self._wait(shipments, refusal)
            except (UnreachableError, DestinationError) as error:
                self._wait(shipments, error)
            else:
                self._reached(shipments)
                return

    # -------------------------------------------------------------------------------------- batch

    def _send(self, shipments: Shipments, source: Source, batch: Batch) -> None:
        # The file may have been open while an erasure removed lines from it.
        erased = shipments.erased_among([item.event_id for item in batch.items])
        items = self._without(erased, batch.items) if erased else batch.items
        refused = self._delivered(shipments, items)
        dropped, self._dropped = self._dropped, []
        lost = sum(count for *_, count in dropped if count)
        sent = len(items) - len(refused) - lost
        shipments.commit(
            batch.progress, refused=refused, sent=sent, at_us=self._clock(), dropped=dropped
        )
        source.committed(batch)
        self.report.sent += sent
        self.report.refused += len(refused) + lost

    def _without(self, erased: dict[str, bytes | None], items: Sequence[Item]) -> list[Item]:
        """Return the records without the erased ones, with the changes of erasures applied."""
        found = []
        for item in items:
            line = erased.get(item.event_id, item.raw)
            if line == item.raw:
                found.append(item)
            elif line is not None and (data := decode(line)) is not None:
                event = Event(data, line, self._directory, 0)
                found.append(self._item(item.category, event, event_id=item.event_id))
        return found

    def _item(
        self, category: str, event: Event, *, event_id: str | None = None, anew: bool = False
    ) -> Item:
        """Return a record to send.

        Args:
            category: Folder of the record.
            event: The record.
            event_id: Its id before an erasure changed the line; by default the line's.
            anew: Encode it without its bytes in the log.
        """
        data, raw, event_id = event.data, event.raw, event_id or event_id_of(event)
        line = None if anew or type(data) is OddEvent else raw
        try:
            if self._privacy is not None:
                data, line = dict(self._privacy(None, "info", data)), None
            body = self._sender.encode(event_id, category, data, line)
        except Exception as error:  # noqa: BLE001 - one odd record must not hold up all others
            body = b""
            self._odd[event_id] = f"cannot be encoded: {type(error).__name__}: {error}"
        return Item(event_id, category, raw, body)

    def _delivered(self, shipments: Shipments, items: Sequence[Item]) -> list[Refused]:
        """Send until each record is accepted or refused; return the refused ones."""
        refused: list[Refused] = []
        if self._odd:
            refused = [_refused(one, self._odd[one.event_id]) for one in items if not one.body]
            items = [one for one in items if one.body]
            self._odd.clear()
        groups: list[Sequence[Item]] = [items] if items else []
        while groups:
            group = groups.pop()
            try:
                verdicts = self._sender.send(group)
            except BatchRefusedError as error:
                self._reached(shipments)  # a refusal is an answer
                groups += self._parted(group, error, refused)
                continue
            except DroppedError as error:
                # Sending the batch again would duplicate all other records.
                self._reached(shipments)
                self._dropped.append((str(error), None, None, error.count))
                self._notice(f"{error}; it does not say which of {len(group)}")
                continue
            except (UnreachableError, DestinationError) as error:
                groups.append(group)
                self._wait(shipments, error)
                continue
            self._reached(shipments)
            later = []
            for item, verdict in zip(group, verdicts, strict=True):
                if verdict is AGAIN:
                    later.append(item)
                elif verdict is not None:
                    refused.append(_refused(item, str(verdict)))
            if later:
                groups.append(later)
                name = self._destination.name
                if len(later) == len(group):
                    busy = f"{name} has no capacity for {len(later)} records now"
                    self._wait(shipments, UnreachableError(busy))
                else:
                    self._pause(_FIRST_WAIT_SECONDS)
        return refused

    def _parted(
        self, group: Sequence[Item], error: BatchRefusedError, refused: list[Refused]
    ) -> list[Sequence[Item]]:
        """Return smaller groups of a group that was refused as a whole."""
        if len(group) == 1:
            refused.append(_refused(group[0], str(error)))
            return []
        at = error.position
        if at is not None and 0 <= at < len(group):
            refused.append(_refused(group[at], str(error)))
            return [part for part in (group[at + 1 :], group[:at]) if part]
        middle = len(group) // 2
        return [group[middle:], group[:middle]]

    # ------------------------------------------------------------------------------------ erasure

    def _follow_erasures(self, shipments: Shipments) -> None:
        if not self._sender.can_erase:
            return
        while events := shipments.erasures():
            items = [item for one in events if (item := self._changed(one)) is not None]
            self._tried(shipments, partial(self._sender.erase, events, items))
            shipments.erasures_done(events)

    def _changed(self, one: Erased) -> Item | None:
        data = None if one.line is None else decode(one.line)
        if data is None or one.line is None:
            return None
        event = Event(data, one.line, self._directory, 0)
        item = self._item(one.category, event, event_id=one.event_id)
        self._odd.clear()
        return item if item.body else None

    # ------------------------------------------------------------------------------------- replay

    def _replay(self, shipments: Shipments) -> None:
        self._tried(shipments, self._sender.prepare)
        last = 0
        while found := shipments.refused(last, self._destination.batch_records):
            last = found[-1].number
            by_id = {one.event_id: one for one in found}
            items = []
            for one in found:
                data = decode(one.line)
                if data is not None:
                    event = Event(data, one.line, self._directory, 0)
                    # Its own bytes may be why it was refused, such as the same key twice.
                    item = self._item(one.category, event, event_id=one.event_id, anew=True)
                    items.append(item)
            still = {one.event_id: one for one in self._delivered(shipments, items)}
            shipments.replayed(
                [one for one in found if one.event_id not in still],
                [by_id[one]._replace(reason=still[one].reason) for one in still],
                self._clock(),
            )
            self.report.sent += len(found) - len(still)
            self.report.refused += len(still)

    # -------------------------------------------------------------------------------------- waits

    def _reached(self, shipments: Shipments) -> None:
        self._reached_at = time.monotonic()
        self._waited = 0
        if self._told:
            self._notice(f"{self._destination.name} takes records again")
            self._told = ""
            shipments.put(error=None)

    def _wait(self, shipments: Shipments, error: UnreachableError | DestinationError) -> None:
        """Wait before the next attempt, longer each time.

        Raises:
            _StoppedError: The run was stopped.
            ShippingError: The time for retries is over.
        """
        text = str(error)
        if text != self._told:
            self._told = text
            shipments.put(error=text, error_us=self._clock())
            self._notice(f"{text}; trying again")
        if self._give_up is not None:
            fatal = isinstance(error, DestinationError)
            if fatal or time.monotonic() - self._reached_at >= self._give_up:
                raise ShippingError(text)
        asked = error.retry_after if isinstance(error, UnreachableError) else None
        longest = min(_FIRST_WAIT_SECONDS * 2**self._waited, _LONGEST_WAIT_SECONDS)
        self._waited += 1
        wait = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, so that many do not retry at once
        if asked is not None:
            wait = min(max(asked, wait), 10 * _LONGEST_WAIT_SECONDS)
        if self._give_up is not None:
            wait = min(wait, max(self._reached_at + self._give_up - time.monotonic(), 0.01))
        self._pause(wait)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError


def remember(
    shipments: Shipments,
    destination: Destination,
    notice: Callable[[str], None],
    *,
    can_erase: bool,
) -> None:
    """Store the facts about a destination that other commands need; report a changed target.

    Args:
        shipments: Store of the facts.
        destination: The destination.
        notice: Called with one line of text for the operator.
        can_erase: Whether the destination can delete events.
    """
    before = shipments.get("target")
    target = f"{destination.type} {destination.url} {destination.index}".strip()
    if before is not None and before != target:
        notice(
            f"{destination.name} was {before} and is {target} now; shipping continues from its "
            f"position. To ship all of the log, run `leadlog ship forget {destination.name}` first"
        )
    shipments.put(
        target=target,
        type=destination.type,
        categories=" ".join(destination.categories),
        since=destination.since,
        can_erase=int(can_erase),
        sealed_only=int(destination.type == "s3"),
    )


def _refused(item: Item, reason: str) -> Refused:
    return Refused(0, item.event_id, item.category, reason[:1000], item.raw)
