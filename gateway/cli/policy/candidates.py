"""Opens a policy engine on a candidate bundle, which no gateway uses yet, in this process or by an OPA."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loguru import logger

from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.dev.opa_program import find_opa
from gateway.cli.errors import CliError, Exit
from gateway.cli.policy import opa_program
from gateway.policy.bundle import OPA_ENGINE, read_bundle
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.batches import MODULE_NAME
from gateway.policy.opa.bundle_archive import ArchiveError, pack_bundle, unpack
from gateway.policy.opa.factory import opa_engine
from gateway.policy.source import BundleError
from gateway.settings import PolicySettings
from waypost.files.permissions import write_private

DEADLINE_SECONDS: Final = 10.0
"""The time limit in seconds of one policy query, longer than a gateway's, as no submission waits for it."""
INLINE_BYTES: Final = 1_048_576
INLINE_SECONDS: Final = 0.25
"""The time in seconds up to which one policy query is evaluated in this process, not in another."""
AT_ONCE: Final = 64
"""The number of policy queries that are sent to an OPA at once; the embedded engine takes one at a time."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A policy engine on a bundle that no gateway uses yet, and how many queries it takes at once."""

    engine: PolicyEngine
    at_once: int = 1


@contextmanager
def bundle_folder(path: Path) -> Iterator[Path]:
    """Opens a context with the policy bundle at `path` as a folder; an archive is unpacked into one.

    Raises `CliError` for a file that is no archive of a bundle.
    """
    if path.is_dir():
        yield path
        return
    try:
        files = unpack(path.read_bytes())
    except ArchiveError as error:
        raise CliError(f"{path}: {error}", code=Exit.USAGE) from error
    with tempfile.TemporaryDirectory(prefix="waypost-") as folder:
        for name, content in files.items():
            if name == MODULE_NAME:
                continue  # ours, and put into each archive: it is no part of the rules
            file = Path(folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Path(folder)


@asynccontextmanager
async def open_candidate(path: Path, data: Path | None, *, by_opa: bool) -> AsyncIterator[Candidate]:
    """Opens a context with a policy engine on the bundle at `path`; the JSON file `data` replaces its data.

    The engine is an OPA if `by_opa`, or if the bundle requires one. Raises `BundleError` for an unusable
    bundle, `CliError` if `path` is no bundle or OPA cannot be started.
    """
    with bundle_folder(path) as folder:
        if not by_opa and read_bundle(folder, data).engine != OPA_ENGINE:
            async with EmbeddedPolicyEngine(
                folder,
                data,
                inline_bytes=INLINE_BYTES,
                inline_seconds=INLINE_SECONDS,
                budget_seconds=DEADLINE_SECONDS,
            ) as engine:
                yield Candidate(engine=engine)
        else:
            async with _opa(folder, data) as candidate:
                yield candidate


@asynccontextmanager
async def _opa(folder: Path, data: Path | None) -> AsyncIterator[Candidate]:
    program = find_opa()
    if program is None:
        raise CliError("no opa here: `make opa` gets one", code=Exit.USAGE)
    bundle = read_bundle(folder, data)
    if found := opa_program.check_rules(program, folder, deciding=False):
        raise BundleError(found)
    with tempfile.TemporaryDirectory(prefix="waypost-") as name:
        place = Path(name)
        write_private(place / "bundle.tar.gz", pack_bundle(bundle))
        # Its log lines are a gateway's; what OPA does not answer is a flip here.
        logger.disable(opa_engine.__module__.rpartition(".")[0])
        async with (
            OpaProcess(program, place / "bundle.tar.gz", place / "opa.sock", log=place / "opa.log") as opa,
            opa_engine(
                PolicySettings(
                    engine=opa.engine,
                    deadline_seconds=DEADLINE_SECONDS,
                    large_deadline_seconds=DEADLINE_SECONDS,
                )
            ) as engine,
        ):
            try:
                yield Candidate(engine=engine, at_once=AT_ONCE)
            finally:
                logger.enable(opa_engine.__module__.rpartition(".")[0])
