"""Notifies callers in this process when a run changes, through `asyncio.Event`s."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Subscriptions:
    """The subscribers of this process to changes of runs, each an `asyncio.Event` that a commit sets.

    A run without subscribers takes no memory.
    """

    def __init__(self) -> None:
        self._events: dict[str | None, set[asyncio.Event]] = {}

    @contextmanager
    def subscribe(self, run_id: str | None) -> Iterator[asyncio.Event]:
        """Returns a context with an event that is set whenever the run (None: any run) changes."""
        event = asyncio.Event()
        events = self._events.setdefault(run_id, set())
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events:
                self._events.pop(run_id, None)

    def notify(self, run_id: str) -> None:
        """Sets the events of all subscribers to this run, and of those to any run."""
        for name in (run_id, None):
            for event in self._events.get(name, ()):
                event.set()
