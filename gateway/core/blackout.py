"""The blackout guard: is it the regions that are lost, or we?"""

from collections.abc import Sequence

from gateway.core.health import RegionHealth
from gateway.settings import Health


def cut_off(healths: Sequence[RegionHealth], _now: float, rules: Health) -> bool:
    lost = sorted(health.lost_at for health in healths if health.lost_at is not None)
    return bool(healths) and len(lost) > rules.blackout_ratio * len(healths)
