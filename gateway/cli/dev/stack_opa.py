"""Runs the OPA of a `waypost up` stack, which fetches the active policy bundle from the stack's gateway.

The first bundle that the gateway activates has the rules that the stack is started with, and is made here.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from gateway.api.internal.policy_bundle import PATH
from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.dev.stored_bundles import StoredBundles, read_stored_bundles
from gateway.cli.errors import CliError, Exit
from gateway.policy.bundle import OPA_ENGINE, SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.loading import check_bundle
from gateway.policy.opa.bundle_archive import ArchiveError, pack_bundle
from gateway.policy.opa.bundle_signature import (
    ALGORITHM,
    make_signing_key,
    public_half,
    read_signing_key,
    read_verification_key,
    sign,
    verify,
)
from gateway.policy.rollout.bundle_states import Release, Rollout
from gateway.policy.source import BundleError
from waypost.files.permissions import make_private_folder, write_private

RULES: Final = ("WAYPOST_POLICY__FOLDER", "WAYPOST_POLICY__DATA")
"""The settings that name the embedded engine's rules and data, from which a stack's first release is made."""
RELEASES: Final = ("WAYPOST_POLICY__BUNDLE", "WAYPOST_POLICY__BUNDLE_KEY", "WAYPOST_POLICY__BUNDLE_KEY_ID")
"""The settings that name the source of releases: a stack with an OPA sets its own."""
KEY_ID: Final = "waypost"
DATABASE: Final = "gateway.db"
"""The name of the file in a stack's folder that its gateway keeps everything in."""
LOOKS: Final = 100
LOOK_SECONDS: Final = 0.05
"""The pause in seconds between two checks whether the gateway asks this OPA."""


class StackOpa(OpaProcess):
    """The OPA process of a `waypost up` stack, and the policy bundle that the stack's gateway serves to it.

    The OPA's socket, the bundle archive and the key that signs it lie in a folder of the stack. `environment`
    may name the rules of the first bundle. Raises `CliError` for rules that are no bundle, if `environment`
    names a bundle archive, since the stack makes its own, and if the stack's database has an active bundle
    that OPA would not take, since this stack's key has not signed it.
    """

    def __init__(self, program: Path, state: Path, environment: Mapping[str, str]) -> None:
        self.folder = state / "opa"
        self.release, self.public_key = self.folder / "bundle.tar.gz", self.folder / "policy.pub"
        self._configuration = self.folder / "opa.json"
        super().__init__(
            *(program, None, self.folder / "opa.sock"),
            log=state / "logs" / "opa.log",
            config=self._configuration,
        )
        if given := [name for name in RELEASES if environment.get(name)]:
            raise CliError(
                f"a stack with an OPA has its own releases: without {' and '.join(given)}, please",
                lines=(f"Sign yours with the key {self.folder / 'policy.key'}.",),
                code=Exit.USAGE,
            )
        bundle = _read_first_bundle(environment)
        make_private_folder(self.folder)
        self._make_release(bundle, read_stored_bundles(state / DATABASE))

    @property
    def policy_settings(self) -> str:
        """The lines of the gateway's settings (TOML) that make it ask this OPA and serve it its bundles."""
        # Regions and tasks share this machine with OPA, which may have to wait for a processor.
        return (
            f'[policy]\nengine = "{self.engine}"\ndeadline_seconds = 1.0\n'
            f'bundle = "{self.release}"\nbundle_key = "{self.public_key}"\nbundle_key_id = "{KEY_ID}"\n'
        )

    def _make_release(self, bundle: Bundle, stored: StoredBundles) -> None:
        """Writes the bundle archive for the gateway: keeps the existing one if its rules are the same.

        A new archive gets the next sequence number, since the gateway refuses one that is not newer than all
        bundles of its database, also if all of them were rolled back. Raises `CliError` if the gateway would
        not activate the archive, or OPA not take the bundle that is active.
        """
        path = self.folder / "policy.key"
        if not path.exists():
            make_signing_key(path)
        key, sequence = read_signing_key(path, KEY_ID), 0
        write_private(self.public_key, public_half(key).encode())
        verification, rollout = read_verification_key(self.public_key, KEY_ID), stored.rollout
        if stored.active is not None:
            try:
                verify(stored.active, verification)
            except ArchiveError as error:
                raise _not_for_opa(rollout, path, str(error)) from error
        elif rollout.candidate is not None:
            raise _still_tried_out(rollout.candidate)
        # With an active bundle the one in this file need not decide.
        newest = rollout.newest if stored.active is None else -1
        with contextlib.suppress(OSError, ArchiveError):
            found = verify(self.release.read_bytes(), verification)
            same = (found.revision, found.engine) == (bundle.revision, bundle.engine)
            if same and found.sequence > newest:
                return
            sequence = found.sequence + 1
        archive = pack_bundle(bundle, sequence=max(sequence, newest + 1))
        write_private(self.release, sign(archive, key))

    async def start_beside(self, gateway: str) -> asyncio.subprocess.Process:
        """Starts the OPA beside the running gateway, whose internal port has the URL `gateway`.

        Raises `CliError` if the OPA does not get ready with the active bundle. Then waits until the gateway
        gets answers from it, but no longer than `LOOKS` checks take.
        """
        written = polling_configuration(gateway, self.public_key.read_text())
        write_private(self._configuration, json.dumps(written, indent=1).encode())
        process = await self.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(LOOKS):
                if await _policy_is_ready(client, gateway):
                    break
                await asyncio.sleep(LOOK_SECONDS)
        return process


def _not_for_opa(rollout: Rollout, key: Path, why: str) -> CliError:
    """Returns the error for an active bundle that OPA would not take, and what to type."""
    active = rollout.active
    number, following = "" if active is None else active.sequence, rollout.newest + 1
    return CliError(
        f"bundle {number} is active, and not signed with this stack's key: OPA would not take it ({why})",
        lines=(
            "Release its rules again, with the key, while the stack runs without --opa:",
            f"  waypost policy build RULES -f policy.tar.gz --sequence {following}",
            f"  waypost policy sign policy.tar.gz --key {key}",
            f"  waypost policy upload policy.tar.gz && waypost policy activate {following}",
            f"Or `waypost policy rollback {number}`, and so on until none is active: OPA then has those of"
            " the start. --fresh forgets everything.",
        ),
        code=Exit.USAGE,
    )


def _still_tried_out(candidate: Release) -> CliError:
    number = candidate.sequence
    return CliError(
        f"bundle {number} is in {candidate.state} and none is active: OPA would have no rules",
        lines=(f"Start the stack without --opa, and `waypost policy rollback {number}`, or activate it.",),
        code=Exit.USAGE,
    )


def polling_configuration(
    gateway: str, public_key: str, *, resource: str = PATH, partition: str = ""
) -> dict[str, object]:
    """Returns an OPA's configuration: it fetches bundles from `gateway`, and sends logs and status there.

    `resource` is the path of the bundle, `public_key` verifies it. `partition` is the last part of the path
    to which status is sent; empty: none.
    """
    return {
        "services": {"waypost": {"url": gateway}},
        "keys": {KEY_ID: {"algorithm": ALGORITHM, "key": public_key}},
        "bundles": {
            "policy": {
                "service": "waypost",
                "resource": resource,
                "signing": {"keyid": KEY_ID},
                "polling": {
                    "min_delay_seconds": 1,
                    "max_delay_seconds": 2,
                    "long_polling_timeout_seconds": 30,
                },
            }
        },
        "status": {"service": "waypost", **({"partition_name": partition} if partition else {})},
        "decision_logs": {
            "service": "waypost",
            "reporting": {"buffer_type": "event", "min_delay_seconds": 1, "max_delay_seconds": 2},
        },
    }


def _read_first_bundle(environment: Mapping[str, str]) -> Bundle:
    """Reads the policy bundle that the stack is started with. Raises `CliError` if it is unusable."""
    folder, data = (environment.get(name) for name in RULES)
    try:
        bundle = read_bundle(Path(folder) if folder else SHIPPED_POLICIES, Path(data) if data else None)
        if bundle.engine != OPA_ENGINE and (diagnostics := check_bundle(bundle)):
            raise BundleError(diagnostics)
    except BundleError as error:
        raise CliError(
            "the rules are no bundle", lines=tuple(str(error).splitlines()), code=Exit.USAGE
        ) from error
    return bundle


async def _policy_is_ready(client: httpx.AsyncClient, gateway: str) -> bool:
    """Returns whether the gateway's readiness check of policy passes: the gateway then gets answers from OPA.

    The OPA is started after the gateway, so the check fails at first.
    """
    try:
        answer = await client.get(f"{gateway}/readyz?verbose")
    except httpx.HTTPError:
        return False
    return "[+] policy:" in answer.text
