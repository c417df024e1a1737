"""The rest of a coroutine that was run by hand up to where it first waits.

PERF: most methods and hooks wait for nothing. What only matters while others may run is then left out.
Begin with `Resumed`.
"""

from collections.abc import Generator
from typing import Any

__all__ = ["Resumed"]


class Resumed:
    """Awaits a coroutine that has been started, as `await` would from its start.

    Args:
        coroutine: It has waited once.
        waits_for: What its `send(None)` returned.
    """

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Any, waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, waits_for = self._coroutine, self._waits_for
        try:
            while True:
                self._on_wait()
                try:
                    sent = yield waits_for
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as exc:  # noqa: BLE001  a cancellation, or an error of what was awaited
                    waits_for = coroutine.throw(exc)
                else:
                    waits_for = coroutine.send(sent)
        except StopIteration as stop:
            return stop.value

    def _on_wait(self) -> None:
        """Called each time before it waits."""
