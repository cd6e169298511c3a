"""Limits the number of a server's connections: selects the one to close to make room for a new one.

Otherwise anybody, even without a token, could take up all connections that the server may have open.
"""

from collections.abc import Sequence
from typing import Final, Protocol

REFUSED_MAXIMUM: Final = 64
"""The most connections above the limit that may wait for their refusal; each needs a descriptor."""


class Connection(Protocol):
    """The protocol (interface) of an open connection that can be closed at once."""

    def cut_off(self) -> None:
        """Closes the connection at once, even in the middle of a request."""
        ...


class ConnectionRoom:
    """The open connections of a server, grouped by what each is doing, from oldest to newest.

    `arriving`: no request has come yet, perhaps not even a TLS handshake, or its caller is not known yet.
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
        """Returns whether the number of open connections has reached the maximum."""
        return len(self.open) - len(self.refused) >= self.maximum

    def make_room(self) -> Connection | None:
        """Removes and returns the connection to close in favor of a new one; None if all are busy."""
        return self._take_first((self.arriving, self.idle, self.stalled))

    def make_room_to_refuse(self) -> Connection | None:
        """Removes and returns the connection to close so that a new one can be answered with a refusal.

        Returns None where none need be closed.
        """
        return self._take_first((self.refused,)) if len(self.refused) >= REFUSED_MAXIMUM else None

    def set_unproven(self, connection: Connection, unproven: bool) -> None:
        """Records whether the caller of the connection's request is still unauthenticated."""
        if unproven and connection in self.open:
            self.arriving[connection] = None
        else:
            self.arriving.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Removes a closed connection from the set of open ones."""
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
