"""Conformance tests of stores about policy bundles and their rollout."""

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.policy.rollout.bundle_states import Release, Rollout
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, Open
from tests.gateway.core.history_entries import history_entry

ENTRY = history_entry(HistoryKind.POLICY_UPLOADED, at=NOW, actor="ada")


def rollout(generation: int, *sequences: int) -> Rollout:
    return Rollout(
        generation=generation,
        releases=tuple(
            Release(
                sequence=sequence,
                revision=f"r{sequence}",
                digest="d",
                uploaded_by="ada",
                uploaded_at=NOW,
                changed_by="ada",
                changed_at=NOW,
            )
            for sequence in sequences
        ),
    )


class RolloutConformance:
    """The part of `StoreConformance` about policy bundles and their rollout."""

    async def test_bundles_are_kept_with_where_they_stand(self, open_store: Open) -> None:
        """Across restarts, with who did it; archives go with their bundles."""
        async with open_store() as store:
            assert await store.rollout() == Rollout()
            assert await store.bundle_archive(7) is None
            assert await store.write_rollout(rollout(1, 7), entry=ENTRY, archive=b"seven")
            assert await store.write_rollout(rollout(2, 7, 8), entry=ENTRY, archive=b"eight")
        async with open_store() as store:
            assert await store.rollout() == rollout(2, 7, 8)
            assert [await store.bundle_archive(sequence) for sequence in (7, 8)] == [b"seven", b"eight"]
            assert await store.write_rollout(rollout(3, 8), entry=ENTRY)
            assert [await store.bundle_archive(sequence) for sequence in (7, 8)] == [None, b"eight"]
            assert [entry.kind for entry in await store.history("")] == [ENTRY.kind] * 3

    async def test_only_the_next_generation_is_written(self, store: Store) -> None:
        """Of two changes of one state one is refused, and leaves nothing."""
        assert await store.write_rollout(rollout(1, 7), entry=ENTRY, archive=b"seven")
        for generation in (1, 3, 0):
            other = structs.replace(rollout(generation, 7, 8))
            assert not await store.write_rollout(other, entry=ENTRY, archive=b"eight")
        assert await store.rollout() == rollout(1, 7)
        assert await store.bundle_archive(8) is None
        assert len(await store.history("")) == 1
