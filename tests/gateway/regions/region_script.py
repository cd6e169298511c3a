"""Regions that follow a script, and what a gateway makes of them, in virtual time.

A script says what a region does with a request that begins at some moment. The drive probes, listens to the stream, evaluates and places
work exactly as the settings say, with passes `TICK_SECONDS` apart, so every bound that is measured contains the controller's own delay.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gateway.core.instant import Instant
from gateway.regions.blackout_guard import cut_off, excused
from gateway.regions.health import RegionHealth, called, evaluated, probe_now, probed, unknown, view
from gateway.regions.placement import Placement, place, taken
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import Demand, RegionView
from gateway.settings import HealthSettings, Placing

TICK_SECONDS = 0.1
REOPEN_SECONDS = 0.5
CALL_TIMEOUT_SECONDS = 5.0
CALL_ITEMS = 200
WALL = 1_800_000_000.0


class Stream(Enum):
    BEATS = auto()
    SILENT = auto()
    ENDED = auto()


@dataclass(frozen=True, kw_only=True)
class Road:
    """What becomes of a request. `call_failure` is for calls that carry work; a probe may fare better."""

    seconds: float = 0.05
    failure: str | None = None
    call_failure: str | None = None
    stream: Stream = Stream.BEATS


ANSWERS = Road()
DEAD = Road(seconds=0.001, failure="Unreachable", call_failure="Unreachable", stream=Stream.ENDED)
SILENT = Road(seconds=float("inf"), stream=Stream.SILENT)
ACCEPTS_ONLY = Road(seconds=float("inf"))
"""The stream that is open goes on; nothing new is answered."""

Script = Callable[[float, random.Random], Road]


def always(road: Road) -> Script:
    return lambda _at, _rng: road


def during(begin: float, end: float, road: Road, otherwise: Road = ANSWERS) -> Script:
    return lambda at, _rng: road if begin <= at < end else otherwise


def often(failing: float, road: Road, *, since: float) -> Script:
    """`road` for that part of the requests, by chance."""
    return lambda at, rng: road if at >= since and rng.random() < failing else ANSWERS


@dataclass(kw_only=True)
class Region:
    """One scripted region, with what the gateway knows of it and what it has under way there."""

    script: Script
    health: RegionHealth
    probing: bool = False
    calling: bool = False
    waiting: int = 0
    running: int = 0
    heard_at: float = 0.0
    reopen_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    at: float
    region: str
    condition: RegionCondition


@dataclass(kw_only=True)
class Drive:
    """`work_per_second` demands are placed, each runs for `work_seconds`; what fails is counted and gone."""

    scripts: Mapping[str, Script]
    seed: int = 0
    rules: HealthSettings = field(default_factory=HealthSettings)
    placing: Placing = field(default_factory=Placing)
    work_per_second: float = 0.0
    work_seconds: float = 5.0
    history: list[Entry] = field(default_factory=list)
    placed: list[tuple[float, str]] = field(default_factory=list)
    cut: list[tuple[float, bool]] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.regions = {
            name: Region(script=script, health=unknown(name)) for name, script in self.scripts.items()
        }
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._evaluated_at = 0.0
        self._owed = 0.0

    def run(self, until: float) -> "Drive":
        while self.now < until:
            self._step()
        return self

    # What is asked of it afterwards

    def when(self, region: str, *conditions: RegionCondition, after: float = 0.0) -> float:
        """When the region first took one of these conditions at or after `after`; infinity if never."""
        return min(
            (
                e.at
                for e in self.history
                if e.region == region and e.condition in conditions and e.at >= after
            ),
            default=float("inf"),
        )

    def conditions(self, region: str, *, since: float = 0.0) -> list[RegionCondition]:
        return [entry.condition for entry in self.history if entry.region == region and entry.at >= since]

    def shares(self, begin: float, end: float) -> dict[str, float]:
        """Each region's part of the work placed in that time."""
        counts = Counter(name for at, name in self.placed if begin <= at < end)
        return {name: counts[name] / max(1, counts.total()) for name in self.regions}

    def views(self) -> Iterator[RegionView]:
        now = Instant(self.now, WALL + self.now)
        for region in self.regions.values():
            yield view(
                region.health,
                inflight=region.waiting + region.running,
                free_slots=1_000_000,
                queued=0,
                executors=frozenset(),
                cordoned=False,
                now=now,
                rules=self.rules,
            )

    # One pass

    def _step(self) -> None:
        self.now = round(self.now + TICK_SECONDS, 6)
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()
        for region in self.regions.values():
            self._listen(region)
            if self.now - self._evaluated_at >= 1.0:
                self._set(region, evaluated(region.health, self.now, self.rules))
        if self.now - self._evaluated_at >= 1.0:
            self._evaluated_at = self.now
        healths = [region.health for region in self.regions.values()]
        for region, health in zip(self.regions.values(), excused(healths, self.rules), strict=True):
            region.health = health
        frozen = cut_off(healths, self.now, self.rules)
        if not self.cut or self.cut[-1][1] != frozen:
            self.cut.append((self.now, frozen))
        if not frozen:
            self._place()
        for region in self.regions.values():
            self._speak(region)

    def _set(self, region: Region, health: RegionHealth) -> None:
        if health.condition is not region.health.condition:
            self.history.append(Entry(at=self.now, region=health.name, condition=health.condition))
        region.health = health

    def _after(self, at: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._order), action))

    def _listen(self, region: Region) -> None:
        match region.script(self.now, self.rng).stream:
            case Stream.BEATS:
                region.heard_at = self.now
            case Stream.ENDED if self.now >= region.reopen_at:
                region.reopen_at = self.now + REOPEN_SECONDS
                region.health = probe_now(region.health, self.now)
            case Stream.SILENT if self.now - region.heard_at > self.rules.silence_seconds:
                region.heard_at = self.now
                region.health = probe_now(region.health, self.now)
            case _:
                pass

    def _speak(self, region: Region) -> None:
        if not region.probing and region.health.next_probe_at <= self.now:
            self._probe(region)
        if region.waiting and not region.calling:
            self._call(region)

    def _outcome(self, road: Road, failure: str | None, timeout: float) -> tuple[float, str | None]:
        return (timeout, "Timeout") if road.seconds > timeout else (road.seconds, failure)

    def _probe(self, region: Region) -> None:
        road, began = region.script(self.now, self.rng), self.now
        seconds, failure = self._outcome(road, road.failure, self.rules.probe_timeout_seconds)
        region.probing = True

        def ended() -> None:
            region.probing = False
            at = began + seconds
            self._set(
                region,
                probed(
                    region.health,
                    began=began,
                    ended=at,
                    failure=failure,
                    rules=self.rules,
                    dice=self.rng.random,
                ),
            )

        self._after(began + seconds, ended)

    def _call(self, region: Region) -> None:
        road, items = region.script(self.now, self.rng), min(region.waiting, CALL_ITEMS)
        seconds, failure = self._outcome(road, road.call_failure or road.failure, CALL_TIMEOUT_SECONDS)
        at = self.now + seconds
        region.calling, region.waiting, region.running = True, region.waiting - items, region.running + items

        def left() -> None:
            region.running -= items

        def ended() -> None:
            region.calling = False
            health = called(
                region.health,
                ended=at,
                seconds=seconds,
                failure=failure,
                rules=self.rules,
                dice=self.rng.random,
                items=items,
            )
            self._set(region, health)
            if failure is None:
                self._after(at + self.work_seconds, left)
            else:
                left()

        self._after(at, ended)

    def _place(self) -> None:
        self._owed += self.work_per_second * TICK_SECONDS
        views = {region.name: region for region in self.views()}
        while self._owed >= 1.0:
            self._owed -= 1.0
            found = place(
                Demand(permitted=frozenset(views)),
                list(views.values()),
                choose=self.rng.choice,
                settings=self.placing,
            )
            if isinstance(found, Placement):
                views[found.region] = taken(views[found.region])
                self.regions[found.region].waiting += 1
                self.placed.append((self.now, found.region))


def three(**scripts: Script) -> dict[str, Script]:
    """Beijing, Shanghai and Shenzhen, all well unless a script says otherwise."""
    return {name: scripts.get(name, always(ANSWERS)) for name in ("beijing", "shanghai", "shenzhen")}


def slow(seconds: float) -> Road:
    return replace(ANSWERS, seconds=seconds)
