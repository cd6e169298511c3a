"""The blackout guard: is it the regions that are lost, or we?

More than half of the regions lost within a few seconds of each other, or any region together with an independent canary, means that
the gateway takes itself to be cut off: new work waits, and no shard is moved. Nothing is remembered beside the regions' own health,
so the answer holds for as long as they stay lost.
"""

from collections.abc import Sequence

from msgspec import structs

from gateway.regions.health import RegionHealth
from gateway.settings import HealthSettings


def cut_off(
    healths: Sequence[RegionHealth], now: float, rules: HealthSettings, *, canary: RegionHealth | None = None
) -> bool:
    """Does the gateway take itself to be cut off? `canary` is the health of an address that no region depends on.

    It ends when nothing is lost any more. Where some region stays lost, it ends once half of the regions have been back for as long as
    an answering one may need to come back: its shards must not be moved because its probes were slower than the others'.
    """
    if _lost_with_us(healths, rules, canary):
        return True
    if not any(health.lost_at is not None and health.excused for health in healths):
        return False
    settle_seconds = rules.successes_up * (rules.probe_timeout_seconds + rules.probe_retry_seconds)
    settled = [
        health for health in healths if health.lost_at is None and now - health.returned_at >= settle_seconds
    ]
    return len(settled) < (1.0 - rules.blackout_ratio) * len(healths)


def excused(
    healths: Sequence[RegionHealth], rules: HealthSettings, *, canary: RegionHealth | None = None
) -> tuple[RegionHealth, ...]:
    """The same regions in the same order; those lost in a blackout are excused. To be taken over at each pass.

    They were never ill: they come back without slow start, are asked at the quick pace until then, and it does not count as trouble.
    One that was restarted meanwhile was (`health.restarted`).
    """
    names = _lost_with_us(healths, rules, canary)
    return tuple(
        structs.replace(h, excused=True) if h.name in names and not h.restarted else h for h in healths
    )


def _lost_with_us(
    healths: Sequence[RegionHealth], rules: HealthSettings, canary: RegionHealth | None
) -> frozenset[str]:
    """Regions that are lost, and were lost together with more than half of all or with the canary."""
    lost = {health.name: health.lost_at for health in healths if health.lost_at is not None}
    names: set[str] = set()
    for since in lost.values():
        together = {name for name, at in lost.items() if since <= at <= since + rules.blackout_seconds}
        if len(together) > rules.blackout_ratio * len(healths):
            names |= together
    if canary is not None and canary.lost_at is not None:
        names |= {name for name, at in lost.items() if abs(at - canary.lost_at) <= rules.blackout_seconds}
    return frozenset(names)
