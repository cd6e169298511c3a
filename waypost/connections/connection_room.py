"""Limits the connections of one server: decides which one is closed to make room for a new one.

Without it, idle connections of anybody, without a token, would take all that the server may have open.
"""

from collections.abc import Sequence
from typing import Final, Protocol

REFUSED_MAXIMUM: Final = 64
"""Connections above the bound that wait for their refusal; there is a descriptor for each."""


class Connection(Protocol):
    """The protocol of an open connection, which can be cut off."""

    def cut_off(self) -> None:
        """Closes the connection at once, whatever is under way on it."""
        ...


class ConnectionRoom:
    """The open connections of one server by what they do, each kind from the longest to the latest.

    `arriving`: no request yet, perhaps not even a TLS handshake, or one whose caller is not known yet.
    `idle`: between two requests. `stalled`: the client does not take what is written. `refused`: to be
    answered that there are too many. All others are busy with a request, and none of those is closed.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.open: set[Connection] = set()
        self.arriving: dict[Connection, None] = {}
        self.idle: dict[Connection, None] = {}
        self.stalled: dict[Connection, None] = {}
        self.refused: dict[Connection, None] = {}

    def __repr__(self) -> str:
        kinds = f"{len(self.arriving)} arriving, {len(self.idle)} idle, {len(self.stalled)} stalled"
        return f"<ConnectionRoom {len(self.open)} of {self.maximum}: {kinds}, {len(self.refused)} refused>"

    @property
    def full(self) -> bool:
        """Whether the number of open connections has reached the maximum."""
        return len(self.open) - len(self.refused) >= self.maximum

    def make_room(self) -> Connection | None:
        """The connection to close for a new one; None where every one is busy. It is no longer counted."""
        return self._take_first((self.arriving, self.idle, self.stalled))

    def make_room_to_refuse(self) -> Connection | None:
        """The connection to close so that a new one can be refused; None where there is room."""
        return self._take_first((self.refused,)) if len(self.refused) >= REFUSED_MAXIMUM else None

    def set_unproven(self, connection: Connection, unproven: bool) -> None:
        """Records whether the connection's request is from a caller who is not authenticated yet."""
        if unproven and connection in self.open:
            self.arriving[connection] = None
        else:
            self.arriving.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Removes a closed connection from the counts."""
        self.open.discard(connection)
        for kind in (self.arriving, self.idle, self.stalled, self.refused):
            kind.pop(connection, None)

    def _take_first(self, kinds: Sequence[dict[Connection, None]]) -> Connection | None:
        for kind in kinds:
            if kind:
                first = next(iter(kind))
                self.leave(first)
                return first
        return None
