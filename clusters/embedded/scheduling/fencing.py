"""Fencing: refuses late and superseded requests to create an attempt."""

from collections.abc import Container, Mapping

from clusters.protocol import ERA_BITS, AttemptId, ShardSpec


class Fencing:
    """Refuses requests to create an attempt that are past their fence (a deadline) or outranked.

    A request is outranked if a newer epoch of its shard, or a newer era of the gateway's store, is known.

    `boot` names this boot of the cluster. `highest`: the newest epoch that was created or tombstoned on this
    cluster, by (run, shard).
    """

    def __init__(self, *, boot: str, highest: Mapping[tuple[str, int], int]) -> None:
        self._boot = boot
        self._highest = dict(highest)
        self._era = max(self._highest.values(), default=0) >> ERA_BITS

    def __repr__(self) -> str:
        return f"Fencing(boot {self._boot}, era {self._era}, epochs of {len(self._highest)} shards)"

    def observe(self, identity: AttemptId) -> None:
        """Records an attempt as created or tombstoned; older epochs of its shard are refused from then on."""
        shard = (identity.run, identity.shard)
        self._highest[shard] = max(self._highest.get(shard, 0), identity.epoch)
        self._era = max(self._era, identity.epoch >> ERA_BITS)

    def forget_except(self, shards: Container[tuple[str, int]]) -> None:
        """Drops the newest known epochs of all shards except `shards`.

        A create request for another shard that is still on its way is past its fence, and so refused anyway.
        """
        self._highest = {shard: epoch for shard, epoch in self._highest.items() if shard in shards}

    def refusal(self, spec: ShardSpec, now: float) -> str:
        """Returns the reason to refuse a create request at uptime `now`, as one word, or an empty text.

        `OtherBoot`: its fence is an uptime of another boot of the cluster. `Late`: its fence has
        passed. `OldEra`, `OldEpoch`: a newer era of the gateway's store, or a newer epoch of its
        shard, is known.
        """
        identity = spec.attempt
        # The fence is an uptime of one boot: another boot's clock says nothing about it.
        if spec.fence.boot != self._boot:
            return "OtherBoot"
        if now > spec.fence.not_after:
            return "Late"
        # Sent for a store that has been restored since: epochs of the new era outrank all of the old one.
        if identity.epoch >> ERA_BITS < self._era:
            return "OldEra"
        if identity.epoch < self._highest.get((identity.run, identity.shard), 0):
            return "OldEpoch"
        return ""
