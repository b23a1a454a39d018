"""`operation` makes a method one call: each run of it is one record.

The hooks attribute statements, times, changes and the outcome to it; the method adds the facts
that only it can know.
"""

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from leadlog.recording.capture.operation import Call, current_operation

P = ParamSpec("P")
R = TypeVar("R")


class Scopes(Protocol):
    """What opens calls: the handle of `leadlog.capture`."""

    def begin(self, operation_type: str, event_name: str, *, bulk: bool) -> Call | None:
        """A new call, or None where nothing is captured now."""
        ...


class Capturing(Protocol):
    """A class whose methods may be operations."""

    @property
    def _capture(self) -> Scopes | None: ...


S = TypeVar("S", bound=Capturing)


def operation(
    operation_type: str, *, event_name: str, bulk: bool = False
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Makes a method one operation: each call of it is one record.

    A call made inside another operation belongs to that one. A generator function is one
    operation from its first item to its end; only the time inside it counts.

    Args:
        operation_type: add_lead, get_lead, …
        event_name: dotted name of the record, such as `lead.add`.
        bulk: whether a call touches many leads.
    """

    def decorate(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        if inspect.isgeneratorfunction(method):

            @functools.wraps(method)
            def iterate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Any:
                items = cast(Generator[Any, None, None], method(self, *args, **kwargs))
                call = _open(self, operation_type, event_name, bulk)
                return items if call is None else _steps(items, call)

            return iterate

        @functools.wraps(method)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            call = _open(self, operation_type, event_name, bulk)
            if call is None:
                return method(self, *args, **kwargs)
            try:
                with call.span:
                    return method(self, *args, **kwargs)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                _close(call)

        return run

    return decorate


def _open(owner: Capturing, operation_type: str, event_name: str, bulk: bool) -> Call | None:
    scopes = owner._capture
    if scopes is None:
        return None
    outer = current_operation()
    if outer is not None and not outer.closed:
        return None
    return scopes.begin(operation_type, event_name, bulk=bulk)


def _close(call: Call) -> None:
    """Ends the call; where Ctrl-C comes in the middle of that, its record is written all the same.

    Raises:
        BaseException: whatever came in the middle.
    """
    try:
        call.close()
    except BaseException:
        call.close()
        raise


def _steps(items: Generator[Any, None, None], call: Call) -> Generator[Any, None, None]:
    """Iterates with the operation in force only while the generator itself runs."""
    try:
        while True:
            with call.span:
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    except GeneratorExit:
        with call.span:
            items.close()
        raise
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        _close(call)
