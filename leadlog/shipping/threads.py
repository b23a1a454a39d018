"""Shipping from threads of another process, as `leadlog monitor --ship` does."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from leadlog.core.errors import SettingsError
from leadlog.core.settings import Settings
from leadlog.shipping.destination import Destination
from leadlog.shipping.shipper import Shipper

if TYPE_CHECKING:
    from leadlog.shipping.objects import ObjectShipper

__all__ = ["ShippingThreads", "shipper_for"]

_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0


def shipper_for(
    directory: Path,
    destination: Destination,
    settings: Settings,
    *,
    notice: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> "Shipper | ObjectShipper":
    """Return the shipper for a destination, with the settings' key of pseudonyms.

    Args:
        directory: The log directory.
        destination: The destination.
        settings: Settings of the process.
        notice: Called with one line of text for the operator.
        stop: Ends a run when set.

    Raises:
        SettingsError: A token or the key is missing.
        MissingExtraError: pyarrow is not installed, which an object store needs.
    """
    if destination.personal_data == "pseudonymised" and not settings.pseudonym_key:
        raise SettingsError(
            f"ship.{destination.name}: pseudonyms need a key; set LEADLOG_PSEUDONYM_KEY"
        )
    if destination.type != "s3":
        return Shipper(
            directory, destination, pseudonym_key=settings.pseudonym_key, notice=notice, stop=stop
        )
    from leadlog.shipping.objects import ObjectShipper
    from leadlog_processors.privacy import Policy, Privacy

    policy = cast("Policy", destination.personal_data)
    key = settings.pseudonym_key.encode() or None
    privacy = None if policy == "plain" else Privacy(policy, key)
    return ObjectShipper(directory, destination, privacy=privacy, notice=notice, stop=stop)


class ShippingThreads:
    """Ships to destinations, each from a daemon thread; a context manager.

    A failure of one affects neither the others nor the process: the error is reported, and the
    destination is started again after a wait.

    Args:
        directory: The log directory.
        destinations: The destinations.
        settings: Settings of the process.
        notice: Called with one line of text for the operator.

    Raises:
        SettingsError: A token or the key of pseudonyms is missing.
        MissingExtraError: pyarrow is not installed, which an object store needs.
    """

    def __init__(
        self,
        directory: Path,
        destinations: Sequence[Destination],
        settings: Settings,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stop = threading.Event()

        def heard(text: str) -> None:
            with suppress(OSError, ValueError):  # standard error may be closed
                notice(text)

        self._notice = heard
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(one.name, self._shipper(directory, one, settings)),
                name=f"leadlog-ship-{one.name}",
                daemon=True,
            )
            for one in destinations
        ]

    def _shipper(
        self, directory: Path, destination: Destination, settings: Settings
    ) -> "Shipper | ObjectShipper":
        return shipper_for(
            directory,
            destination,
            settings,
            notice=lambda text: self._notice(f"{destination.name}: {text}"),
            stop=self._stop,
        )

    def _work(self, name: str, shipper: "Shipper | ObjectShipper") -> None:
        wait = _FIRST_WAIT_SECONDS
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                failure = shipper.run().error or "shipping ended"
            except Exception as error:  # noqa: BLE001 - the process must continue
                failure = str(error)
            if self._stop.is_set():
                break
            if time.monotonic() - began > _LONGEST_WAIT_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            self._notice(f"{name}: {failure}; trying again in {wait:g} s")
            self._stop.wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
        shipper.close()

    def start(self) -> None:
        """Start shipping."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop shipping, and wait for requests in flight.

        Args:
            timeout: Longest wait in seconds; a receiver that hangs cannot delay longer.
        """
        self._stop.set()
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(end - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
