"""A client of Prometheus that queries the evidence about a release. An unclear answer is no evidence."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, Self

import httpx
import msgspec
from msgspec import Struct

from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.latest_release import LatestRelease
from gateway.rollback_settings import RollbackSettings

ANSWER_MAXIMUM_BYTES: Final = 65_536
COUNTER: Final = "waypost_submission_decisions_total"
REFUSED: Final = 'outcome!="permitted"'
NOT_REFUSED_YET: Final = " or vector(0)"
"""The PromQL suffix that gives 0 for a counter without a series, as one that never counted."""


class _Sample(Struct, frozen=True):
    value: tuple[float, str]


class _Vector(Struct, frozen=True, rename="camel"):
    result_type: Literal["vector"]
    result: tuple[_Sample, ...]


class _Answer(Struct, frozen=True):
    status: Literal["success"]
    data: _Vector


class _Unclear(Exception):
    """Raised for an answer of Prometheus that is not one number. The text says what it was."""


_decode = msgspec.json.Decoder(_Answer).decode


def queries(
    release: LatestRelease, settings: RollbackSettings, *, now: float, after: bool
) -> Mapping[str, str]:
    """Returns the PromQL queries for the numbers of evidence, by name.

    `after` its rollback the baseline is what decides now, and the release need not be there any more.
    """
    own = f"revision={_quoted(release.revision)}"
    others = f"revision!={_quoted(release.revision)}"
    window = f"[{settings.window_seconds}s]"
    # Of what rules for all the baseline is what ruled before; in canary, what rules beside it.
    before = "" if after or release.canary else f" offset {max(0, int(now - release.released_at))}s"
    absent = NOT_REFUSED_YET if after else ""
    return {
        "submissions": f"sum(increase({COUNTER}{{{own}}}{window})){absent}",
        "refused": f"sum(increase({COUNTER}{{{own},{REFUSED}}}{window})){NOT_REFUSED_YET}",
        "baseline": f"sum(increase({COUNTER}{{{others}}}{window}{before}))",
        "baseline_refused": (
            f"sum(increase({COUNTER}{{{others},{REFUSED}}}{window}{before})){NOT_REFUSED_YET}"
        ),
        "failovers": f"sum(increase(waypost_failovers_total{window})){NOT_REFUSED_YET}",
    }


class Prometheus:
    """A client of the Prometheus in the settings. `async with` opens it; the server need not be up."""

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

    async def evidence(self, release: LatestRelease, *, after: bool = False) -> Evidence | NoEvidence:
        """Queries the evidence about a release; with `after`, for the time since its rollback."""
        asked = queries(release, self._settings, now=self._clock(), after=after)
        number, offset = dict[str, float](), 0.0
        try:
            async with asyncio.timeout(self._settings.prometheus_seconds):
                for name, query in asked.items():
                    at, number[name] = await self._ask(name, query)
                    offset = max(offset, at - self._clock(), key=abs)
        except TimeoutError:
            return NoEvidence(why="Prometheus has not answered in time")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return NoEvidence(why=f"Prometheus does not answer: {type(error).__name__}")
        except _Unclear as error:
            return NoEvidence(why=str(error))
        return Evidence(
            release=Shares(submissions=number["submissions"], refused=number["refused"]),
            baseline=Shares(submissions=number["baseline"], refused=number["baseline_refused"]),
            failovers=number["failovers"],
            clock_offset_seconds=offset,
        )

    async def _ask(self, name: str, query: str) -> tuple[float, float]:
        """Queries one number; returns the time of the answer, by Prometheus' clock, and the number."""
        if self._client is None:
            raise _Unclear("Prometheus is not asked: it is not open")
        body = b""
        async with self._client.stream("GET", "api/v1/query", params={"query": query}) as response:
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


def _quoted(text: str) -> str:
    # PromQL knows the escapes of JSON, beside others.
    return msgspec.json.encode(text).decode()
