"""A real Prometheus on virtual time: it stores samples and evaluates queries at times that a test sets.

Real are the engine of PromQL, its store, and the shipped rules; scrapes, evaluations and what Alertmanager
does with an alert are modelled, at the shipped intervals.
"""

import re
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from observability.metrics import Metrics
from tests.integration.prometheus_server import prometheus
from tests.observability.alert_server import free_address
from tests.observability.prometheus_files import PROMETHEUS, recorded_names, rules

SNAPPY: Final = {"content-encoding": "snappy", "content-type": "application/x-protobuf"}
UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


def seconds(duration: str) -> float:
    return float(duration[:-1]) * UNITS[duration[-1]]


class VirtualPrometheus(httpx.AsyncBaseTransport):
    """The server, as a transport that evaluates each query at the virtual time that `clock` tells."""

    def __init__(self, client: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        self._jobs = [one for one in configuration["scrape_configs"] if one["job_name"] != "waypost-clusters"]
        self.evaluation_seconds = seconds(configuration["global"]["evaluation_interval"])
        self._active: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        """Since when each alert's expression has held, by its name and labels."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        asked.setdefault("time", str(self._clock()))
        answer = await self._client.get(request.url.path, params=asked)
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.content))

    async def scrape(self, metrics: Metrics) -> None:
        """Writes the metrics of a gateway, of those jobs whose interval has passed."""
        due = [job for job in self._jobs if self._clock() % seconds(job["scrape_interval"]) == 0]
        found: list[Sample] = [
            ({"__name__": one.name, "job": job["job_name"], "instance": "g", **one.labels}, one.value)
            for family in metrics.registry.collect()
            for one in family.samples
            for job in due
            if _takes(job, one.name)
        ]
        if found:
            await self._write(found)

    async def evaluate(self, alert: str) -> list[dict[str, Any]]:
        """Evaluates an alert and what it needs; returns what fires, as Alertmanager's webhook has it."""
        firing, held = [], set()
        for rule in _needed(alert):
            vector = await self._query(rule["expr"])
            if "record" in rule:
                await self._write(
                    [({**labels, "__name__": rule["record"]}, value) for labels, value in vector]
                )
                continue
            for labels, _ in vector:
                own = {name: text for name, text in labels.items() if name != "__name__"}
                named = {**own, **rule["labels"], "alertname": rule["alert"]}
                key = rule["alert"], tuple(sorted(named.items()))
                held.add(key)
                since = self._active.setdefault(key, self._clock())
                if self._clock() - since >= seconds(rule.get("for", "0s")):
                    sent = {"labels": named, "startsAt": f"{since}", "fingerprint": str(key)}
                    firing.append(sent | {"status": "firing"})
        self._active = {key: since for key, since in self._active.items() if key in held}
        return firing

    async def _query(self, expression: str) -> list[Sample]:
        asked = {"query": expression, "time": str(self._clock())}
        answer = (await self._client.get("/api/v1/query", params=asked)).raise_for_status()
        return [(one["metric"], float(one["value"][1])) for one in answer.json()["data"]["result"]]

    async def _write(self, samples: Sequence[Sample]) -> None:
        if samples:
            body = _snappy(b"".join(_series(labels, value, self._clock()) for labels, value in samples))
            answer = await self._client.post("/api/v1/write", content=body, headers=SNAPPY)
            assert answer.is_success, answer.text


def _needed(alert: str) -> list[dict[str, Any]]:
    """Returns a shipped alert, after the recording rules that it uses."""
    (found,) = [rule for rule in rules() if rule.get("alert") == alert]
    return [*(rule for rule in rules() if rule.get("record") in recorded_names(found["expr"])), found]


def _takes(job: Mapping[str, Any], name: str) -> bool:
    return all(
        bool(re.fullmatch(one["regex"], name)) is (one["action"] == "keep")
        for one in job.get("metric_relabel_configs", ())
    )


# Remote write is protobuf in snappy: the few bytes of either that are needed here.


def _series(labels: Labels, value: float, at: float) -> bytes:
    words = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, labels[name].encode())) for name in sorted(labels)
    )
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(round(at * 1_000))
    return _field(1, words + _field(2, sample))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    return bytes(_sevens(number))


def _sevens(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def _snappy(content: bytes) -> bytes:
    """Returns the content as one literal: nothing is compressed."""
    return _varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content


@asynccontextmanager
async def virtual_prometheus(folder: Path, clock: Callable[[], float]) -> AsyncIterator[VirtualPrometheus]:
    """Runs it, without anything to scrape; skips the test where no Prometheus is installed."""
    configuration, address = folder / "nothing.yml", free_address()
    configuration.write_text("global: {}\n")
    async with (
        prometheus("latency", address, configuration, folder),
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        yield VirtualPrometheus(client, clock)
