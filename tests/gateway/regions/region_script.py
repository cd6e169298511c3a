"""Runs a gateway's health checks and placement against scripted regions, in virtual time.

A script says how a region treats a request that begins at some moment. `ScriptedGateway` probes, reads the
event stream, evaluates and places work exactly as the settings say, with passes `TICK_SECONDS` apart, so
every bound that is measured contains the controller's own delay.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from clusters.protocol import ClusterStatus
from gateway.core.instant import Instant
from gateway.regions.blackout_guard import after_blackout_check, is_cut_off
from gateway.regions.health import RegionHealth, unknown_health
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe, after_stream_end
from gateway.regions.health_over_time import after_tick
from gateway.regions.placement import Placement, after_placement, place
from gateway.regions.placement_demand import Demand
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView, region_view
from gateway.settings import HealthSettings, PlacingSettings

TICK_SECONDS = 0.1
REOPEN_SECONDS = 0.5
CALL_TIMEOUT_SECONDS = 5.0
CALL_ITEMS = 200
WALL = 1_800_000_000.0


class Stream(Enum):
    """The states of a region's event stream."""

    BEATS = auto()
    SILENT = auto()
    ENDED = auto()


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """How a scripted region treats a request: its delay, failure and stream.

    `call_failure` is for calls that carry work; a probe may fare better.
    """

    seconds: float = 0.05
    failure: str | None = None
    call_failure: str | None = None
    stream: Stream = Stream.BEATS


ANSWERS = Behavior()
DEAD = Behavior(seconds=0.001, failure="Unreachable", call_failure="Unreachable", stream=Stream.ENDED)
SILENT = Behavior(seconds=float("inf"), stream=Stream.SILENT)
ACCEPTS_ONLY = Behavior(seconds=float("inf"))
"""The behavior of a region that answers nothing new while its open stream goes on."""

Script = Callable[[float, random.Random], Behavior]
"""A function of time and random numbers that returns how the region treats a request."""


def always(behavior: Behavior) -> Script:
    return lambda _at, _rng: behavior


def during(begin: float, end: float, behavior: Behavior, otherwise: Behavior = ANSWERS) -> Script:
    return lambda at, _rng: behavior if begin <= at < end else otherwise


def partly(share: float, behavior: Behavior, *, since: float) -> Script:
    """Returns a script that applies `behavior` to a random share of the requests."""
    return lambda at, rng: behavior if at >= since and rng.random() < share else ANSWERS


def slow(seconds: float) -> Behavior:
    return replace(ANSWERS, seconds=seconds)


def three(**scripts: Script) -> dict[str, Script]:
    """Returns the scripts of Beijing, Shanghai and Shenzhen, which are healthy unless a script is given."""
    return {name: scripts.get(name, always(ANSWERS)) for name in ("beijing", "shanghai", "shenzhen")}


@dataclass(kw_only=True)
class Region:
    """A scripted region, with the gateway's knowledge of it and its work under way."""

    script: Script
    health: RegionHealth
    status: ClusterStatus
    probing: bool = False
    calling: bool = False
    waiting: int = 0
    running: int = 0
    beat_at: float = 0.0
    reopen_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recorded change of a region's condition."""

    at: float
    region: str
    condition: RegionCondition


@dataclass(kw_only=True)
class ScriptedGateway:
    """A gateway that watches scripted regions, and places `work_per_second` attempts of `work_seconds`.

    Attempts that fail are counted as placed, and not placed again.
    """

    scripts: Mapping[str, Script]
    seed: int = 0
    settings: HealthSettings = field(default_factory=HealthSettings)
    placing: PlacingSettings = field(default_factory=PlacingSettings)
    work_per_second: float = 0.0
    work_seconds: float = 5.0
    history: list[Entry] = field(default_factory=list)
    placed: list[tuple[float, str]] = field(default_factory=list)
    cut_off: list[tuple[float, bool]] = field(default_factory=list)
    """The changes of the blackout guard's answer, as (time, cut off)."""
    now: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.regions = {
            name: Region(script=script, health=unknown_health(name), status=status(name))
            for name, script in self.scripts.items()
        }
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._evaluated_at = 0.0
        self._work_due = 0.0

    def run(self, until: float) -> "ScriptedGateway":
        while self.now < until:
            self._step()
        return self

    # Asked after a run

    def when(self, region: str, *conditions: RegionCondition, after: float = 0.0) -> float:
        """Returns when the region first took one of these conditions from `after` on; infinity if never."""
        times = (e.at for e in self.history if e.region == region and e.condition in conditions)
        return min((at for at in times if at >= after), default=float("inf"))

    def conditions(self, region: str, *, since: float = 0.0) -> list[RegionCondition]:
        return [entry.condition for entry in self.history if entry.region == region and entry.at >= since]

    def shares(self, begin: float, end: float) -> dict[str, float]:
        """Returns each region's share of the work placed between `begin` and `end`."""
        counts = Counter(name for at, name in self.placed if begin <= at < end)
        return {name: counts[name] / max(1, counts.total()) for name in self.regions}

    def views(self) -> Iterator[RegionView]:
        now = Instant(self.now, WALL + self.now)
        for region in self.regions.values():
            inflight = region.waiting + region.running
            yield region_view(
                region.health, status=region.status, inflight=inflight, now=now, settings=self.settings
            )

    # One pass

    def _step(self) -> None:
        self.now = round(self.now + TICK_SECONDS, 6)
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()
        for region in self.regions.values():
            self._read_stream(region)
            if self.now - self._evaluated_at >= 1.0:
                self._set(region, after_tick(region.health, self.now, self.settings))
        if self.now - self._evaluated_at >= 1.0:
            self._evaluated_at = self.now
        healths = [region.health for region in self.regions.values()]
        checked = after_blackout_check(healths, self.settings)
        for region, health in zip(self.regions.values(), checked, strict=True):
            region.health = health
        cut_off = is_cut_off(healths, self.now, self.settings)
        if not self.cut_off or self.cut_off[-1][1] != cut_off:
            self.cut_off.append((self.now, cut_off))
        if not cut_off:
            self._place()
        for region in self.regions.values():
            self._start_requests(region)

    def _set(self, region: Region, health: RegionHealth) -> None:
        if health.condition is not region.health.condition:
            self.history.append(Entry(at=self.now, region=health.name, condition=health.condition))
        region.health = health

    def _at(self, at: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._sequence), action))

    def _read_stream(self, region: Region) -> None:
        match region.script(self.now, self.rng).stream:
            case Stream.BEATS:
                region.beat_at = self.now
            case Stream.ENDED if self.now >= region.reopen_at:
                region.reopen_at = self.now + REOPEN_SECONDS
                region.health = after_stream_end(region.health, self.now)
            case Stream.SILENT if self.now - region.beat_at > self.settings.silence_seconds:
                region.beat_at = self.now
                region.health = after_stream_end(region.health, self.now)
            case _:
                pass

    def _start_requests(self, region: Region) -> None:
        if not region.probing and region.health.next_probe_at <= self.now:
            self._probe(region)
        if region.waiting and not region.calling:
            self._call(region)

    def _probe(self, region: Region) -> None:
        behavior, began = region.script(self.now, self.rng), self.now
        seconds, failure = outcome(behavior, behavior.failure, self.settings.probe_timeout_seconds)
        region.probing = True

        def ended() -> None:
            region.probing = False
            health = after_probe(
                region.health,
                began=began,
                ended=began + seconds,
                failure=failure,
                settings=self.settings,
                dice=self.rng.random,
            )
            self._set(region, health)

        self._at(began + seconds, ended)

    def _call(self, region: Region) -> None:
        behavior, items = region.script(self.now, self.rng), min(region.waiting, CALL_ITEMS)
        seconds, failure = outcome(behavior, behavior.call_failure or behavior.failure, CALL_TIMEOUT_SECONDS)
        at = self.now + seconds
        region.calling, region.waiting, region.running = True, region.waiting - items, region.running + items

        def work_ended() -> None:
            region.running -= items

        def ended() -> None:
            region.calling = False
            health = after_call(
                region.health,
                ended=at,
                seconds=seconds,
                failure=failure,
                settings=self.settings,
                dice=self.rng.random,
                items=items,
            )
            self._set(region, health)
            if failure is None:
                self._at(at + self.work_seconds, work_ended)
            else:
                work_ended()

        self._at(at, ended)

    def _place(self) -> None:
        self._work_due += self.work_per_second * TICK_SECONDS
        views = {region.name: region for region in self.views()}
        demand = Demand(permitted=frozenset(views))
        while self._work_due >= 1.0:
            self._work_due -= 1.0
            found = place(demand, list(views.values()), choose=self.rng.choice, settings=self.placing)
            if isinstance(found, Placement):
                views[found.region] = after_placement(views[found.region])
                self.regions[found.region].waiting += 1
                self.placed.append((self.now, found.region))


def status(region: str) -> ClusterStatus:
    """Returns the status of a cluster that is never full."""
    return ClusterStatus(
        region=region, incarnation="journal", boot="boot", uptime=1.0, slots=1_000_000, held=0, seq=0
    )


def outcome(behavior: Behavior, failure: str | None, timeout_seconds: float) -> tuple[float, str | None]:
    """Returns the seconds that a request takes, and its failure."""
    if behavior.seconds > timeout_seconds:
        return timeout_seconds, "Timeout"
    return behavior.seconds, failure
