"""The client by which the gateway queries Prometheus for the evidence about a release.

An unclear answer is no evidence.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Self

import httpx
import msgspec
from msgspec import Struct, structs

from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.interface import Counted, Queries
from gateway.rollback_settings import RollbackSettings

ANSWER_MAXIMUM_BYTES: Final = 65_536
FAILOVERS: Final = "sum(increase(waypost_failovers_total[{window}s])) or vector(0)"
"""The PromQL query for shards that left a region, another possible cause of any alert."""


class _Sample(Struct, frozen=True):
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
        asked = {**structs.asdict(queries), "failovers": FAILOVERS.format(window=window_seconds)}
        number, offset = dict[str, float](), 0.0
        # All at the moment of the first: beside what grows by the second, the bad may else be more than all.
        moment: float | None = None
        try:
            async with asyncio.timeout(self._settings.prometheus_seconds):
                for name, query in asked.items():
                    at, number[name] = await self._ask(name, query, moment)
                    if moment is None:
                        moment, offset = at, at - self._clock()
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
            clock_offset_seconds=offset,
        )

    async def _ask(self, name: str, query: str, moment: float | None) -> tuple[float, float]:
        """Makes one query that asks for a number; returns the time of the answer and the number.

        The number is that of the time `moment`; None: of now. Both times are by Prometheus' clock.
        """
        if self._client is None:
            raise _Unclear("Prometheus is not asked: it is not open")
        body, params = b"", {"query": query}
        if moment is not None:
            params["time"] = f"{moment:.3f}"
        async with self._client.stream("GET", "api/v1/query", params=params) as response:
            if response.status_code != httpx.codes.OK:
                raise _Unclear(f"Prometheus has answered {response.status_code}")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > ANSWER_MAXIMUM_BYTES:
                    raise _Unclear("Prometheus has answered more than one number")
        try:
            samples = _decode(body).data.result
            if len(samples) != 1:
                raise _Unclear(f"Prometheus has no data for {name}")
            at, text = samples[0].value
            return at, float(text)
        except (msgspec.MsgspecError, ValueError) as error:
            raise _Unclear(f"Prometheus has answered no number for {name}") from error
