"""A full-screen terminal: the alternate screen, single keys, and restoration on exit.

Plain ANSI: the alternate screen, so the earlier content comes back; synchronised output, so the
terminal shows only whole frames. A frame is drawn over the previous one, line by line, without
clearing first, so nothing flickers on a terminal without synchronised output.
"""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self

__all__ = ["RESIZED", "Screen", "can_draw"]

RESIZED: Final = "resized"
"""Return value of `Screen.key` after the window was resized."""

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE: Final = "\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"
_BEGIN: Final = "\x1b[?2026h\x1b[H"
_END: Final = "\x1b[J\x1b[?2026l"
_LINE_END: Final = "\x1b[0m\x1b[K"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_ESCAPE_SECONDS: Final = 0.02
_LEAST: Final = (20, 4)


def can_draw() -> bool:
    """Return True if standard input and output are a terminal that can draw frames."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """Context manager that takes over the terminal.

    Inside the block, Ctrl-C raises KeyboardInterrupt, and SIGTERM and SIGHUP raise SystemExit;
    Ctrl-Z restores the terminal while the process is stopped. The terminal is restored however the
    block ends.

    Attributes:
        width: width of the terminal in columns.
        height: height of the terminal in lines.
    """

    def __init__(self) -> None:
        self.width, self.height = 80, 24
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._wake_read, self._wake_write = -1, -1
        self._resized = False

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._input)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        for number, handler in (
            (signal.SIGWINCH, self._on_resize),
            (signal.SIGTSTP, self._on_stop),
            (signal.SIGCONT, self._on_resize),
            *((number, self._on_end) for number in _ENDING),
        ):
            self._handlers[number] = signal.signal(number, handler)
        try:
            self._take()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _take(self) -> None:
        tty.setcbreak(self._input, termios.TCSADRAIN)
        self._measure()
        self._write(_ENTER)

    def _give_back(self) -> None:
        # A closed terminal cannot be written to, and need not be restored.
        with suppress(OSError, ValueError):
            self._write(_LEAVE)
        with suppress(termios.error, OSError):
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def _restore(self) -> None:
        # A second Ctrl-C must not interrupt the restoration halfway.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *_ENDING})
        try:
            self._give_back()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _write(self, text: str) -> None:
        # Bypass the stream: a signal handler may write while a frame is being written.
        rest = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while rest:
            rest = rest[os.write(self._output, rest) :]

    def _measure(self) -> None:
        try:
            size = os.get_terminal_size(self._output)
        except OSError:
            return
        # A terminal that does not know its size reports 0.
        self.width = max(size.columns, _LEAST[0]) if size.columns else 80
        self.height = max(size.lines, _LEAST[1]) if size.lines else 24

    # --------------------------------------------------------------------------------- signals

    def _on_resize(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        self._resized = True
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"r")

    def _on_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        """Stop as the default handler of Ctrl-Z does, then take the terminal over again."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_stop)
        self._take()
        self._on_resize(signal.SIGWINCH, None)

    def _on_end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        raise SystemExit(128 + number)

    # ------------------------------------------------------------------------- frames and keys

    def draw(self, lines: Sequence[str]) -> None:
        """Draw a frame; lines beyond the height are left out.

        Args:
            lines: lines no wider than the terminal, with colours but no other escape sequences.

        Raises:
            OSError: The terminal is gone.
        """
        shown = lines[: self.height]
        self._write(_BEGIN + "\r\n".join(f"{one}{_LINE_END}" for one in shown) + _END)

    def key(self, seconds: float) -> str | None:
        """Wait for a key press.

        Args:
            seconds: maximum time to wait.

        Returns:
            The key; `RESIZED` if the window was resized; None after a timeout, or for an escape
            sequence, such as that of an arrow key, which has no meaning here.

        Raises:
            EOFError: The terminal is gone, so no key can ever arrive.
        """
        if not self._resized:
            ready, _, _ = select.select([self._input, self._wake_read], [], [], seconds)
        else:
            ready = [self._wake_read]
        if self._resized or self._wake_read in ready:
            self._resized = False
            os.read(self._wake_read, 4096)
            self._measure()
            return RESIZED
        if not ready:
            return None
        try:
            typed = os.read(self._input, 1)
        except OSError as error:
            raise EOFError from error
        if not typed:
            raise EOFError
        if typed == b"\x1b":
            return self._after_escape()
        return typed.decode("latin-1")

    def _after_escape(self) -> str | None:
        """Read exactly the rest of an escape sequence; Escape alone is a key."""
        if not self._more():
            return "escape"
        if os.read(self._input, 1) not in {b"[", b"O"}:
            return None  # Alt and a key
        while self._more():
            last = os.read(self._input, 1)
            if not last or 0x40 <= last[0] <= 0x7E:
                break
        return None

    def _more(self) -> bool:
        return bool(select.select([self._input], [], [], _ESCAPE_SECONDS)[0])
