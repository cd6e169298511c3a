"""Runs tries that get secrets: reads the values before, and keeps them out of what is reported after."""

import asyncio

from msgspec import structs

from clusters.embedded.executors.interface import Executor, Lease
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.mask import Mask
from clusters.embedded.secrets.providers import SecretProvider
from clusters.embedded.secrets.values import SecretUnusable
from clusters.embedded.storage.state_folder import TaskFolders


async def execute_with_secrets(
    executor: Executor, launch: Launch, folders: TaskFolders, lease: Lease | None, provider: SecretProvider
) -> Outcome:
    """Runs a try in its executor, with the values of its secrets; returns an outcome without them.

    A try is lost where this cluster cannot read a secret: another cluster may have it.
    """
    if not launch.secret_specs:
        return await executor.execute(launch, folders, lease)
    try:
        secrets = await asyncio.to_thread(provider.read, launch.secret_specs)
    except SecretUnusable as error:
        return Outcome(succeeded=False, lost=True, reason=str(error))
    try:
        outcome = await executor.execute(structs.replace(launch, secrets=secrets), folders, lease)
    except Exception as error:
        # It will be logged, and nobody knows what its text says.
        raise RuntimeError(f"{type(error).__name__} in a task with secrets") from None
    # Large values in a large output take a while to look for.
    return await asyncio.to_thread(without_secrets, outcome, secrets.mask)


def without_secrets(outcome: Outcome, mask: Mask) -> Outcome:
    """Returns the outcome with secrets masked in its reason, or a failure if its output holds one."""
    if outcome.succeeded and mask.is_in(outcome.output):
        # It would be stored, and shown to all who may see the run.
        return Outcome(succeeded=False, final=True, reason="the output holds the value of a secret")
    return structs.replace(outcome, reason=mask.text(outcome.reason))
