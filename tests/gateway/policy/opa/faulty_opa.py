"""A fake OPA server, whose answers a test can replace."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from gateway.policy.opa.address import OpaAddress

RESULT: dict[str, Any] = {
    "allow": True,
    "rules": ["r"],
    "reasons": [],
    "obligations": {"regions": ["beijing"]},
}
REFUSAL: dict[str, Any] = {
    "allow": False,
    "rules": ["image.banned"],
    "reasons": [{"rule": "image.banned", "message": "no"}],
    "obligations": {},
}
PROVENANCE: dict[str, Any] = {"version": "1.22.2", "bundles": {"bundle": {"revision": "rev1"}}}

Answer: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""The type of a function that writes the answer to one query; an exception ends the connection."""


def body_of(result: Any = RESULT, **more: Any) -> bytes:
    return msgspec.json.encode({"provenance": PROVENANCE, "result": result} | more)


def response(body: bytes, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sending(content: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return answer


def sending_last(content: bytes) -> Answer:
    """Returns an answer that sends `content` and then closes the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        writer.close()

    return answer


async def never(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


class FaultyOpa:
    """A fake OPA that gives `answer` to each query; it is healthy, unless `answer_health`.

    `asked` counts questions. A question whose path is /allowed, where redirects lead, is always allowed.
    """

    def __init__(self, address: OpaAddress) -> None:
        self.address = address
        self.answer: Answer = sending(response(body_of()))
        self.healthy = True
        self.numbers = False
        """Whether the fake's bundle has the rules for numbered queries; else they are undefined."""
        self.asked = 0
        self.connections = 0
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._serve_one(head.decode(), reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = head.split(" ")[1]
        length = next(
            (line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0"
        )
        body = await reader.readexactly(int(length.partition(":")[2]))
        self.paths.append(path)
        if path == "/health":
            if not self.healthy:
                await never(writer)
            writer.write(response(b"{}"))
        elif path == "/allowed" or "/none?" in path:
            writer.write(response(body_of()))
        elif "/batch/" in path and not self.numbers:
            writer.write(response(msgspec.json.encode({"provenance": PROVENANCE})))
        else:
            self.asked += 1
            self.bodies.append(body)
            await self.answer(writer)


@asynccontextmanager
async def faulty_opa(folder: Path, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyOpa]:
    """Runs a `FaultyOpa` on a socket in `folder`, or with `tls` on a port of localhost."""
    fake = FaultyOpa(OpaAddress(socket=str(folder / "fake.sock")))
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(fake.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    if tls is None:
        server = await asyncio.start_unix_server(accept, fake.address.socket, limit=2**20)
    else:
        server = await asyncio.start_server(accept, "localhost", 0, ssl=tls, limit=2**20)
        fake.address = OpaAddress(host="localhost", port=server.sockets[0].getsockname()[1], tls=True)
    async with server:
        try:
            yield fake
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
