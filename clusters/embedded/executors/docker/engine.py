"""Calls a container engine (Docker Engine, or podman's service) by the Docker Engine API over its socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPException
from typing import Any, Final, Self

import httpx

from clusters.embedded.executors.docker.watchdog import call

CALL_SECONDS: Final = 30.0
"""The seconds after which a call without an answer is given up; starting a container is the longest."""
SILENT_SECONDS: Final = 120.0
"""The seconds without progress after which the download of an image is given up."""
ANSWER_BYTES: Final = 8 * 1_048_576
MACHINE_FAULTS: Final = (
    "no space left",
    "too many open files",
    "cannot allocate memory",
    "input/output error",
)
"""The texts, in an engine's answer, of faults of this machine: another one may be able to run the task."""


class EngineError(Exception):
    """Raised where a call to the engine fails. The text says why, for people.

    `status` is that of its answer; 0 where none came, which is no fault of the task.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status

    @property
    def lost(self) -> bool:
        """Returns whether another cluster may be able to do what failed here."""
        return self.status == 0 or any(text in str(self).lower() for text in MACHINE_FAULTS)


class Engine:
    """A client of one container engine at a Unix socket, within `async with`.

    Paths name no version of the API: engines of many ages take what is asked here, and none takes all
    versions. Every method raises `EngineError`.
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self.call_seconds = CALL_SECONDS

    def __repr__(self) -> str:
        return f"Engine({self._socket})"

    async def __aenter__(self) -> Self:
        # Each container holds two connections as long as it runs: its output, and its end.
        transport = httpx.AsyncHTTPTransport(
            uds=self._socket, limits=httpx.Limits(max_connections=None, max_keepalive_connections=4)
        )
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://engine", timeout=CALL_SECONDS, trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def create(self, name: str, description: dict[str, Any]) -> None:
        """Creates a container; the error's status is 404 where its image is not there."""
        await self._call("POST", "/containers/create", params={"name": name}, json=description)

    async def start(self, name: str) -> None:
        """Starts a container that was created. Raises `EngineError`."""
        await self._call("POST", f"/containers/{name}/start")

    async def wait(self, name: str) -> None:
        """Waits, however long, until a container has ended."""
        await self._call(
            "POST", f"/containers/{name}/wait", timeout=httpx.Timeout(self.call_seconds, read=None)
        )

    async def state(self, name: str) -> dict[str, Any]:
        """Returns the state of a container: among others `Status`, `ExitCode` and `OOMKilled`."""
        state = (await self._call("GET", f"/containers/{name}/json")).get("State")
        return state if isinstance(state, dict) else {}

    async def stop(self, name: str, grace_seconds: int) -> None:
        """Ends a container: SIGTERM, then SIGKILL after `grace_seconds`; returns when it has ended."""
        limit = httpx.Timeout(self.call_seconds, read=self.call_seconds + grace_seconds)
        await self._call("POST", f"/containers/{name}/stop", params={"t": grace_seconds}, timeout=limit)

    async def remove(self, name: str) -> None:
        """Kills a container, if it runs, and removes it; nothing happens if there is none of that name."""
        try:
            await self._call("DELETE", f"/containers/{name}", params={"force": "true", "v": "true"})
        except EngineError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    async def labelled(self, label: str) -> list[str]:
        """Returns the names of all containers, running or not, with `label` (`NAME=value`)."""
        filters = json.dumps({"label": [label]})
        found = await self._call("GET", "/containers/json", params={"all": "true", "filters": filters})
        return [container["Names"][0].removeprefix("/") for container in found]

    @asynccontextmanager
    async def attached(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Attaches to a container that is to be started; yields what it prints, as the engine frames it."""
        path, parts = f"/containers/{name}/attach", {"stream": "true", "stdout": "true", "stderr": "true"}
        limit = httpx.Timeout(self.call_seconds, read=None)
        request = self._client.build_request("POST", path, params=parts, timeout=limit)
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._unanswered(error) from error
        try:
            if response.status_code != httpx.codes.OK:
                raise _refusal(response.status_code, await response.aread())
            yield response.aiter_raw()
        finally:
            await response.aclose()

    async def pull(self, image: str) -> None:
        """Downloads an image from its registry."""
        name, _, digest = image.rpartition("@")
        # A tag beside the digest says nothing more, and some engines do not take both.
        host, slash, rest = name.rpartition("/")
        parts = {"fromImage": host + slash + rest.partition(":")[0], "tag": digest}
        limit = httpx.Timeout(self.call_seconds, read=SILENT_SECONDS)
        request = self._client.build_request("POST", "/images/create", params=parts, timeout=limit)
        try:
            response = await self._client.send(request, stream=True)
            last, read = b"", 0
            async for line in response.aiter_lines():
                last, read = line.encode() or last, read + len(line)
                if read > ANSWER_BYTES:
                    raise EngineError(f"the engine tells too much of the image {image}", 500)
            await response.aclose()
        except httpx.HTTPError as error:
            raise self._unanswered(error) from error
        # A failure in the middle stands in the last line, under a status that says success.
        if response.status_code != httpx.codes.OK or b'"error"' in last:
            raise _refusal(response.status_code, last)

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = await self._client.request(method, path, **({"timeout": self.call_seconds} | request))
        except httpx.HTTPError as error:
            raise self._unanswered(error) from error
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise _refusal(response.status_code, response.content)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise EngineError(f"the engine answers {path} with what is no JSON", 500) from error

    def _unanswered(self, error: httpx.HTTPError) -> EngineError:
        why = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "does not answer"
        return EngineError(f"the container engine at {self._socket} {why}: {error or type(error).__name__}")


def ping(socket: str, *, seconds: float = 3.0) -> str:
    """Asks the engine at a socket whether it is there; returns why it is not, or an empty text. Blocks."""
    try:
        # Not by httpx: httpcore 1.0.9 leaks the socket of a synchronous connection that fails.
        answer = call(socket, "GET", "/_ping", seconds=seconds)
    except (OSError, HTTPException) as error:
        return f"no container engine answers at {socket}: {error or type(error).__name__}"
    return "" if answer else f"what listens at {socket} is no container engine"


def _refusal(status: int, body: bytes) -> EngineError:
    """Builds the error of an answer that refuses: its `message`, or the `error` of a download."""
    try:
        said = json.loads(body)
        text = said.get("message") or said.get("error") or ""
    except (ValueError, AttributeError):
        text = body[:500].decode(errors="replace")
    return EngineError(" ".join(str(text).split())[:1_000] or f"the engine answers {status}", status)
