"""Puts the artifacts of a try around its execution: the source is fetched before, the target stored after."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import structs

from clusters.embedded.artifacts.messages import Credentials, Transfer, TransferFailed
from clusters.embedded.artifacts.settings import ArtifactSettings, StorageSettings
from clusters.embedded.artifacts.transfers import Transfers
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.providers import SecretProvider
from clusters.embedded.secrets.values import SecretUnusable
from clusters.protocol import OUTPUT_BYTES
from waypost.workflow.artifacts import RECORD, LocatedArtifact, artifact_faults, is_artifact, read_artifact

RECORD_BYTES: Final = 8_192
"""More bytes than the record of a source and a target has, as JSON."""
Execute: TypeAlias = Callable[[], Awaitable[Outcome]]
Count: TypeAlias = Callable[[str, str, float, int], None]
"""Counts an artifact: direction, outcome, seconds, bytes."""


class Artifacts:
    """Fetches and stores the artifacts of a cluster's tries, from and to the storages of its settings."""

    def __init__(self, settings: ArtifactSettings, secrets: SecretProvider, count: Count) -> None:
        self._settings, self._secrets, self._count = settings, secrets, count
        self._transfers = Transfers(places=settings.transfers, seconds=settings.seconds)

    def __repr__(self) -> str:
        return f"Artifacts({sorted(self._settings.storages)}, {self._transfers!r})"

    async def around(self, launch: Launch, workspace: Path, execute: Execute) -> Outcome:
        """Runs a try by `execute`, with its artifacts; returns its outcome, whose output records them.

        Without artifacts it is `execute` alone. A source that cannot be fetched keeps the try from
        beginning; a target is stored only where the try has succeeded.
        """
        source, target = launch.input["source"], launch.input["target"]
        if not (is_artifact(source) or is_artifact(target)):
            return await execute()
        records: dict[str, Any] = {}
        try:
            wanted = {
                name: _checked(data, name)
                for name, data in (("source", source), ("target", target))
                if is_artifact(data)
            }
            # Before anything is moved or run: a target that may not be stored makes the rest vain.
            storages = {name: self._storage(located, name) for name, located in wanted.items()}
            if "source" in wanted:
                records["source"] = await self._move(
                    "fetch", wanted["source"], storages["source"], launch, workspace
                )
            outcome = await execute()
            if not outcome.succeeded:
                return outcome
            output = _room_for_record(outcome.output)
            if "target" in wanted:
                records["target"] = await self._move(
                    "store", wanted["target"], storages["target"], launch, workspace
                )
        except TransferFailed as failed:
            return Outcome(succeeded=False, reason=str(failed), lost=failed.lost, final=failed.final)
        return structs.replace(outcome, output={**output, RECORD: records})

    def _storage(self, located: LocatedArtifact, name: str) -> StorageSettings:
        """Returns the storage of an artifact; raises `TransferFailed` where this cluster has none for it."""
        storage = self._settings.storages.get(located.artifact.storage)
        shown = f"{name}: this region has no {located.kind} storage {located.artifact.storage}"
        if storage is None or storage.kind != located.kind:
            raise TransferFailed(shown, lost=True)
        if name == "target" and not storage.write:
            raise TransferFailed(f"{shown} that may be written to", lost=True)
        return storage

    async def _move(
        self,
        direction: Literal["fetch", "store"],
        located: LocatedArtifact,
        storage: StorageSettings,
        launch: Launch,
        workspace: Path,
    ) -> dict[str, Any]:
        """Moves an artifact; returns what is recorded of it. Raises `TransferFailed`."""
        artifact, address = located.artifact, storage.address(located.artifact.path)
        began, outcome, size = time.monotonic(), "Killed", 0
        try:
            order = Transfer(
                direction=direction,
                storage=storage,
                credentials=await self._credentials(storage),
                path=artifact.path,
                workspace=str(workspace),
                file=artifact.file,
                sha256=artifact.sha256,
                maximum_bytes=self._settings.mib << 20,
            )
            reply = await self._transfers.move(order, key=launch.fairness_key)
            outcome, size = "Succeeded", reply.bytes
        except TransferFailed as failed:
            outcome = "Lost" if failed.lost else "Failed"
            moved = "fetched" if direction == "fetch" else "stored"
            raise TransferFailed(
                f"{address} was not {moved}: {failed}", lost=failed.lost, final=failed.final
            ) from failed
        finally:
            self._count(direction, outcome, time.monotonic() - began, size)
        return {"address": address, "sha256": reply.sha256, "bytes": reply.bytes}

    async def _credentials(self, storage: StorageSettings) -> Credentials | None:
        if storage.access_key is None or storage.secret_key is None:
            return None
        names = (storage.access_key, storage.secret_key)
        try:
            values = await asyncio.to_thread(lambda: [self._secrets.value(name) for name in names])
            # Editors and `echo` end a file with a line feed that nobody means.
            access_key, secret_key = (value.decode().strip() for value in values)
        except SecretUnusable as error:
            raise TransferFailed(str(error), lost=True) from error
        except UnicodeDecodeError:
            raise TransferFailed("its storage's key is no text", lost=True) from None
        return Credentials(access_key=access_key, secret_key=secret_key)


def _checked(data: Mapping[str, Any], name: str) -> LocatedArtifact:
    """Reads an artifact whose placeholders are filled in; raises `TransferFailed` where it is none."""
    fault = next(artifact_faults(data, of_target=name == "target", filled_in=True), None)
    if fault is not None:
        where, sentence = fault
        raise TransferFailed(f"{'.'.join((name, *where))} {sentence}", final=True)
    return read_artifact(data)


def _room_for_record(output: Any) -> dict[str, Any]:
    """Returns the output as an object, to which the record of artifacts is added; raises `TransferFailed`."""
    if output is None:
        return {}
    if not isinstance(output, dict):
        raise TransferFailed("the output is no object, to which its artifacts could be added")
    if RECORD in output:
        raise TransferFailed(f"the output has a field {RECORD}, in which its artifacts would be recorded")
    if len(msgspec.json.encode(output)) + RECORD_BYTES > OUTPUT_BYTES:
        most = (OUTPUT_BYTES - RECORD_BYTES) >> 10
        raise TransferFailed(f"the output of a task with artifacts has more than {most} KiB")
    return output
