"""Tests that a host whose name is looked up slowly does not keep the names of others from being looked up."""

import asyncio
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from waypost.egress.allow_list import Egress
from waypost.egress.checked_connections import CheckedBackend, EgressRefused


async def test_a_slow_lookup_holds_one_thread_however_many_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred messages to a host with a dead server of names would hold every thread."""
    go_on, looked_up = threading.Event(), Counter[str]()

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        looked_up[host] += 1
        if host == "slow.test":
            go_on.wait(30)
            raise OSError("no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr("waypost.egress.checked_connections.socket.getaddrinfo", look_up)
    with ThreadPoolExecutor(2) as threads:
        backend = CheckedBackend(Egress(["*:*"], setting="egress"), threads)
        waiting = [asyncio.create_task(backend.connect_tcp("slow.test", 443, 60.0)) for _ in range(100)]
        waiting[0].cancel()
        with pytest.raises(EgressRefused):
            await backend.connect_tcp("quick.test", 443, 60.0)
        go_on.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert looked_up == {"slow.test": 1, "quick.test": 1}
        assert {type(one).__name__ for one in found} == {"CancelledError", "ConnectError"}
        with pytest.raises(EgressRefused):
            await backend.connect_tcp("quick.test", 443, 60.0)
        assert looked_up["quick.test"] == 2  # an answer is not kept: it is checked, and used, once
