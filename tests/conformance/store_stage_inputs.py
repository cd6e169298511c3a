"""Conformance tests of stores about the inputs of a run's later stages: outputs by shard, and failures."""

from msgspec import json, structs

from gateway.core.shard_states import Phase
from gateway.store.interface import Store
from tests.conformance.store_stages import end, staged
from tests.conformance.store_values import after, task
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD
from waypost.workflow.task_phase import TaskPhase


class StageInputsConformance:
    """The part of `StoreConformance` about the inputs of stages."""

    async def test_outputs_are_read_by_shard(self, store: Store) -> None:
        """Null where a task was skipped, has failed or left none; others of the run are not read."""
        await store.admit(staged(shards=3))
        rows = {
            0: (task("run-1", "count", output={"n": 1}), task("run-1", "other", output=9)),
            1: (
                task("run-1", "count", TaskPhase.SKIPPED, shard=1),
                task("run-1", "bad", TaskPhase.FAILED, shard=1),
            ),
            2: (task("run-1", "count", shard=2, output="ü"),),
        }
        for index, of_shard in rows.items():
            shard = await store.shard("run-1", index)
            assert shard is not None
            await store.record([structs.replace(after(shard, Phase.RUNNING), tasks=of_shard)], {})

        found = await store.collected("run-1", ["count", "bad"], shards=3, maximum_bytes=1000)

        assert found is not None
        lists = {name: json.decode(one.outputs) for name, one in found.items()}
        assert lists == {"count": [{"n": 1}, None, "ü"], "bad": [None, None, None]}
        assert {name: one.failed for name, one in found.items()} == {"count": 0, "bad": 1}
        size = sum(len(one.outputs) for one in found.values())
        assert await store.collected("run-1", ["count", "bad"], shards=3, maximum_bytes=size - 1) is None
        assert await store.collected("run-1", [], shards=3, maximum_bytes=0) == {}

    async def test_the_output_of_a_task_with_instances_is_the_list_of_theirs(self, store: Store) -> None:
        """In the order of the items, not of their names; a failed instance is no failed task."""
        await store.admit(staged(shards=1))
        instances = [task("run-1", f"m[{index}]", output=index) for index in range(11)]
        whole = structs.replace(task("run-1", "m"), instances=11)
        failed = task("run-1", "x[0]", TaskPhase.FAILED)
        shard = await store.shard("run-1", 0)
        assert shard is not None
        rows = (*instances, whole, failed)
        await store.record([structs.replace(after(shard, Phase.RUNNING), tasks=rows)], {})

        found = await store.collected("run-1", ["m"], shards=1, maximum_bytes=1000)

        assert found is not None
        assert json.decode(found["m"].outputs) == [list(range(11))]
        assert await store.collected("run-1", ["m"], shards=1, maximum_bytes=20) is None
        await end(store, Phase.FAILED, 0)
        ending = await store.ending("run-1", tolerated=[], limit=9)
        assert [one.task for one in ending.failed] == [None]
        assert sum((await store.task_counts("run-1")).values()) == 1

    async def test_failures_are_read_in_the_order_of_the_shards(self, store: Store) -> None:
        """A bounded number, without what was tolerated; a shard without a failed task counts as one."""
        await store.admit(staged(shards=5))
        failed = {1: "cab", 3: "", 4: "ad"}
        for index, names in failed.items():
            shard = await store.shard("run-1", index)
            assert shard is not None
            rows = [task("run-1", n, TaskPhase.FAILED, shard=index, reason=f"r{n}", output=1) for n in names]
            phase = Phase.QUARANTINED if index == 3 else Phase.FAILED
            write = after(structs.replace(shard, epoch=1, reason=f"of {index}"), phase)
            await store.record([structs.replace(write, tasks=(*rows, task("run-1", "z", shard=index)))], {})
        await end(store, Phase.SUCCEEDED, 0, 2)

        found = await store.ending("run-1", tolerated=["a"], limit=9)

        assert (found.status, found.reason) == ("Failed", "of 1")
        assert [(one.shard, one.task, one.reason) for one in found.failed] == [
            (1, "b", "rb"),
            (1, "c", "rc"),
            (3, None, "of 3"),
            (4, "d", "rd"),
        ]
        first = await store.ending("run-1", tolerated=["a"], limit=3)
        assert first.failed == found.failed[:3]

    async def test_collect_is_among_the_failures_and_finally_is_not(self, store: Store) -> None:
        """What comes last is not told about itself, also when it is tried again."""
        await store.admit(staged())
        await end(store, Phase.SUCCEEDED, 0, 1)
        assert (await store.ending("run-1", tolerated=[], limit=9)).status == "Succeeded"
        await end(store, Phase.FAILED, COLLECT_SHARD, reason="too large")
        await end(store, Phase.QUARANTINED, FINALLY_SHARD, reason="of finally")

        found = await store.ending("run-1", tolerated=[], limit=9)

        assert (found.status, found.reason) == ("Failed", "too large")
        assert [(one.shard, one.task, one.reason) for one in found.failed] == [("collect", None, "too large")]
