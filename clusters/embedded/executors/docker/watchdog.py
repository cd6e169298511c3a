"""A program: removes the containers of a cluster's process once that process has ended.

Started as `watchdog.py SOCKET LABEL`. Its standard input is a pipe that only the cluster holds: the end of it
is the end of the cluster, however that came. Uses the standard library alone, and starts within milliseconds.
"""

import http.client
import json
import socket
import sys
import time
from urllib.parse import quote

TRY_SECONDS = 300.0
"""The seconds for which an engine that does not answer is asked again."""
LATE_SECONDS = 3.0
"""The seconds after which a container that the cluster had asked for may still appear."""
CALL_SECONDS = 30.0


class EngineConnection(http.client.HTTPConnection):
    """A connection to a container engine at a Unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("engine", timeout=seconds)
        self._path, self._seconds = path, seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


def call(path: str, method: str, target: str, *, seconds: float = CALL_SECONDS) -> bytes:
    """Calls the engine; returns the body of its answer, empty if it refuses.

    Raises `OSError` or `HTTPException`.
    """
    connection = EngineConnection(path, seconds)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return body if answer.status < 300 else b""


def remove_all(path: str, label: str) -> int:
    """Removes the containers with `label`; returns how many there were."""
    filters = quote(json.dumps({"label": [label]}))
    found = json.loads(call(path, "GET", f"/containers/json?all=true&filters={filters}") or b"[]")
    for container in found:
        call(path, "DELETE", f"/containers/{container['Id']}?force=true&v=true")
    return len(found)


def main() -> None:
    """Waits until the cluster's process has ended, then removes its containers for up to `TRY_SECONDS`."""
    path, label = sys.argv[1:]
    while sys.stdin.buffer.read(1024):
        pass
    began, quiet_since = time.monotonic(), None
    while time.monotonic() < began + TRY_SECONDS:
        try:
            left = remove_all(path, label)
        except (OSError, ValueError, http.client.HTTPException):
            left = 1
        now = time.monotonic()
        quiet_since = None if left else (quiet_since or now)
        if quiet_since is not None and now >= quiet_since + LATE_SECONDS:
            return
        time.sleep(0.2)


if __name__ == "__main__":
    main()
