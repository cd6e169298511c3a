"""The blackout guard: decides whether regions are lost, or the gateway itself is cut off from its network.

If more than half of the regions are lost within seconds of each other, or any region together with an
independent canary, that is a blackout: the gateway takes itself to be cut off from then until enough regions
are back. While it is cut off, no shard is moved that may run; new work goes to the regions that answer, if
any. Netflix Eureka's self-preservation mode and the zone eviction limits of Kubernetes' node controller do
the same. (Envoy's panic threshold answers the same case the other way: it goes on using all hosts.) Nothing
is remembered beside the regions' health, so the answer holds for as long as the regions stay lost.
"""

from collections.abc import Sequence

from msgspec import structs

from gateway.regions.health import RegionHealth
from gateway.settings import HealthSettings


def is_cut_off(
    healths: Sequence[RegionHealth],
    now: float,
    settings: HealthSettings,
    *,
    canary: RegionHealth | None = None,
) -> bool:
    """Returns whether the gateway must take itself to be cut off, since it lost most regions at once.

    `canary` is the health of an address that is probed like a region and depends on none; None without one.
    """
    if _lost_in_blackout(healths, settings, canary):
        return True
    if not any(health.lost_at is not None and health.lost_in_blackout for health in healths):
        return False
    # The blackout is over for enough regions, but one is still lost from it. Its probes may only be slower
    # than the others': its shards are not moved before half of the regions have been back for as long as an
    # answering region may need to come back.
    return_seconds = settings.successes_up * (settings.probe_timeout_seconds + settings.probe_retry_seconds)
    back = [
        health for health in healths if health.lost_at is None and now - health.returned_at >= return_seconds
    ]
    return len(back) < (1.0 - settings.blackout_ratio) * len(healths)


def after_blackout_check(
    healths: Sequence[RegionHealth], settings: HealthSettings, *, canary: RegionHealth | None = None
) -> tuple[RegionHealth, ...]:
    """Returns the regions' healths with `lost_in_blackout` set for regions that a blackout lost.

    To be called at each pass of the controller. `canary` is the health of an address that is probed like a
    region and depends on none. A marked region was well all the time: while it is lost it is probed at the
    quick pace, and it returns without slow start and without an incident. A region that was restarted while
    it was lost was down itself, so it is not marked.
    """
    names = _lost_in_blackout(healths, settings, canary)
    return tuple(
        structs.replace(health, lost_in_blackout=True)
        if health.name in names and not health.restarted_while_lost
        else health
        for health in healths
    )


def enough_answer(answering: int, regions: int) -> bool:
    """Returns whether at least half of the regions answer, so that the gateway's own network works."""
    return 2 * answering >= regions


def _lost_in_blackout(
    healths: Sequence[RegionHealth], settings: HealthSettings, canary: RegionHealth | None
) -> frozenset[str]:
    """Returns the names of the regions that were lost together with most others or the canary address."""
    lost = {health.name: health.lost_at for health in healths if health.lost_at is not None}
    names: set[str] = set()
    for since in lost.values():
        together = {name for name, at in lost.items() if since <= at <= since + settings.blackout_seconds}
        if len(together) > settings.blackout_ratio * len(healths):
            names |= together
    if canary is not None and canary.lost_at is not None:
        names |= {name for name, at in lost.items() if abs(at - canary.lost_at) <= settings.blackout_seconds}
    return frozenset(names)
