"""The client by which the gateway queries Prometheus for the evidence about a release.

An unclear answer is no evidence.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, Self

import httpx
import msgspec
from msgspec import Struct, structs

from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.interface import Counted, Queries
from gateway.rollback_settings import RollbackSettings

ANSWER_MAXIMUM_BYTES: Final = 65_536
NUMBER_LABEL: Final = "number"
"""The label of each sample in an answer that names the query it answers."""
OTHER_CAUSES: Final = {
    "failovers": "sum(increase(waypost_failovers_total[{twice}s])) or vector(0)",
    "regions_back": (
        'count(max_over_time(waypost_region_condition{{condition="Unreachable"}}[{window}s]) > 0'
        ' unless waypost_region_condition{{condition="Unreachable"}} == 1) or vector(0)'
    ),
}
"""The PromQL queries for other possible causes of any alert, by the field of `Evidence` that they are for."""

VERSION_LABEL: Final = "version"
"""The label by which a query for deployed versions names each."""


def other_causes(window_seconds: int) -> dict[str, str]:
    """Returns the PromQL queries for other possible causes of an alert than the release, by name.

    Failovers count from twice the window on: what was moved before the window is still started again,
    waits and fails within it.
    """
    return {
        name: query.format(window=window_seconds, twice=2 * window_seconds)
        for name, query in OTHER_CAUSES.items()
    }


def in_one(queries: Mapping[str, str]) -> str:
    """Returns one PromQL query for several, each sample of whose answer has a label with the query's name.

    Two queries, even for one moment, may see different scrapes: Prometheus stores a scrape only when it has
    ended, at the time at which it began. The bad could be more than all.
    """
    return "\nor ".join(
        f'label_replace({query}, "{NUMBER_LABEL}", "{name}", "", "")' for name, query in queries.items()
    )


class _Sample(Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(Struct, frozen=True, rename="camel"):
    result_type: Literal["vector"]
    result: tuple[_Sample, ...]


class _Answer(Struct, frozen=True):
    status: Literal["success"]
    data: _Vector


class _Unclear(Exception):
    """Raised for an answer of Prometheus that is not one number. The text says what it is instead."""


_decode = msgspec.json.Decoder(_Answer).decode


class Prometheus:
    """An HTTP client of the Prometheus in the settings. `async with` opens it, even if Prometheus is down."""

    def __init__(
        self,
        settings: RollbackSettings,
        *,
        clock: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings, self._clock, self._transport = settings, clock, transport
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return "<Prometheus>"

    async def __aenter__(self) -> Self:
        # No redirects, no proxies of the environment, nothing compressed: it is the configured one that
        # answers, and what it sends is bounded.
        self._client = httpx.AsyncClient(
            base_url=self._settings.prometheus_url or "",
            timeout=self._settings.prometheus_seconds,
            headers={"accept-encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            transport=self._transport,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def evidence(
        self, queries: Queries, counted: Counted, *, window_seconds: int
    ) -> Evidence | NoEvidence:
        """Queries Prometheus for the counts of a release and its baseline, all at one moment.

        Returns `NoEvidence`, with the reason, if Prometheus does not answer each query in time by one number.
        """
        asked = {**structs.asdict(queries), **other_causes(window_seconds)}
        try:
            async with asyncio.timeout(self._settings.prometheus_seconds):
                at, number = await self._numbers(asked)
        except TimeoutError:
            return NoEvidence(why="Prometheus has not answered in time")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return NoEvidence(why=f"Prometheus does not answer: {type(error).__name__}")
        except _Unclear as error:
            return NoEvidence(why=str(error))
        return Evidence(
            counted=counted,
            release=Shares(total=number["release"], bad=number["release_bad"]),
            baseline=Shares(total=number["baseline"], bad=number["baseline_bad"]),
            failovers=number["failovers"],
            regions_back=number["regions_back"],
            clock_offset_seconds=at - self._clock(),
        )

    async def versions(self, query: str) -> dict[str, float] | NoEvidence:
        """Queries Prometheus for the number of each `version`, a label; returns the numbers by version.

        Returns `NoEvidence`, with the reason, if it does not answer in time by such numbers.
        """
        try:
            async with asyncio.timeout(self._settings.prometheus_seconds):
                samples = await self._ask(query)
        except TimeoutError:
            return NoEvidence(why="Prometheus has not answered in time")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return NoEvidence(why=f"Prometheus does not answer: {type(error).__name__}")
        except _Unclear as error:
            return NoEvidence(why=str(error))
        try:
            return {sample.metric.get(VERSION_LABEL, ""): float(sample.value[1]) for sample in samples}
        except ValueError:
            return NoEvidence(why="Prometheus has answered no numbers")

    async def _numbers(self, queries: Mapping[str, str]) -> tuple[float, dict[str, float]]:
        """Makes queries that ask for one number each; returns the time of the answer, and them by name.

        The time is by Prometheus' clock.
        """
        samples = await self._ask(in_one(queries))
        found = {sample.metric.get(NUMBER_LABEL, ""): sample.value for sample in samples}
        for name in queries:
            if name not in found:
                raise _Unclear(f"Prometheus has no data for {name}")
        try:
            numbers = {name: float(text) for name, (_, text) in found.items()}
        except ValueError as error:
            raise _Unclear("Prometheus has answered no numbers") from error
        return found[next(iter(queries))][0], numbers

    async def _ask(self, query: str) -> tuple[_Sample, ...]:
        if self._client is None:
            raise _Unclear("Prometheus is not asked: it is not open")
        body, params = b"", {"query": query}
        async with self._client.stream("GET", "api/v1/query", params=params) as response:
            if response.status_code != httpx.codes.OK:
                raise _Unclear(f"Prometheus has answered {response.status_code}")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > ANSWER_MAXIMUM_BYTES:
                    raise _Unclear("Prometheus has answered more than one number")
        try:
            return _decode(body).data.result
        except msgspec.MsgspecError as error:
            raise _Unclear("Prometheus has answered no numbers") from error
