"""Checks uploaded policy bundles in a child process that can be killed; also that process's program.

The library that parses Rego holds Python's global lock until it has parsed a bundle's rules, however long
that takes, and ends the whole process at rules that nest too deep.
"""

import asyncio
import signal
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from msgspec import Struct

from gateway.core.errors import Invalid, Unavailable
from gateway.policy.opa.bundle_archive import ArchiveError, Manifest
from gateway.policy.opa.bundle_signature import VerificationKey
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.source import BundleError, Diagnostic
from waypost.json_pointer import FieldError
from waypost.worker_pool import WorkerEnded, WorkerError, WorkerPool, WorkerTimeout
from waypost.worker_process import Answer, Progress, serve

BUDGET_SECONDS: Final = 25.0
"""The time limit of a check in seconds; the shipped rules take half a second of processor time.

It is by the clock and its process gives way to others: at a load of 27 on two cores ten seconds were too few,
and a gateway could not start. The commands wait 30 s for an answer.
"""


class GateGreeting(Struct, frozen=True, kw_only=True):
    """The start-up message of a process that checks bundles: the key and settings of its `BundleGate`."""

    public_key: bytes | None
    """The public key as PEM; None without a key."""
    key_id: str
    unsigned: bool
    opa: bool


class GateReply(Struct, frozen=True, kw_only=True):
    """The answer of a process that checks a bundle: the manifest of a good bundle, or its problems."""

    manifest: Manifest | None = None
    error: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


class GateProcess:
    """Checks uploaded policy bundles as `gate` does, one after the other, each in a new child process."""

    def __init__(self, gate: BundleGate, *, budget_seconds: float = BUDGET_SECONDS) -> None:
        self._greeting, self._budget_seconds = msgspec.msgpack.encode(greeting_of(gate)), budget_seconds
        self._one = asyncio.Lock()

    async def check(self, archive: bytes) -> Manifest:
        """Checks the policy bundle in `archive` in a child process; returns the bundle's manifest.

        Raises `Invalid` with every problem of the bundle, or if its rules take too long or end the process;
        `Unavailable` if the process does not start or is killed.
        """
        module = "gateway.policy.rollout.gate_process"
        try:
            async with (
                self._one,
                WorkerPool(
                    module, size=1, budget_seconds=self._budget_seconds, greeting=self._greeting
                ) as pool,
            ):
                answer = await pool.call(archive, caller="")
        except WorkerTimeout as error:
            raise Invalid(
                f"the bundle is not taken: its rules cannot be checked in {self._budget_seconds:g} s"
            ) from error
        except WorkerEnded as error:
            if error.signal == signal.SIGKILL:
                raise Unavailable("the process that checks bundles was killed") from error
            raise Invalid("the bundle is not taken: its rules are too large or too deep") from error
        except WorkerError as error:
            raise Unavailable("the process that checks bundles does not start") from error
        return manifest_of_reply(msgspec.msgpack.decode(answer, type=GateReply))


def greeting_of(gate: BundleGate) -> GateGreeting:
    """Builds the start-up message of a child process that checks bundles as `gate` does."""
    key = gate.key
    pem = None if key is None else key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return GateGreeting(
        public_key=pem,
        key_id=key.key_id if key else "",
        unsigned=gate.unsigned,
        opa=gate.opa,
    )


def reply_of(gate: BundleGate, archive: bytes) -> GateReply:
    """Checks the bundle `archive` with `gate`; returns its manifest or its problems, as a reply."""
    try:
        return GateReply(manifest=gate.check(archive).manifest)
    except ArchiveError as error:
        return GateReply(error=f"the bundle is not taken: {error}")
    except BundleError as error:
        return GateReply(diagnostics=tuple(error.diagnostics))


def manifest_of_reply(reply: GateReply) -> Manifest:
    """Returns the manifest in a child process's reply. Raises `Invalid` if the reply has problems instead."""
    if reply.manifest is not None:
        return reply.manifest
    raise Invalid(reply.error) if reply.error else invalid(reply.diagnostics)


def invalid(diagnostics: Iterable[Diagnostic]) -> Invalid:
    """Builds the error that a policy bundle cannot be used, with a field error for each diagnostic."""
    errors = [FieldError("", str(diagnostic)) for diagnostic in diagnostics]
    return Invalid("the rules cannot be used", errors=errors)


def prepare(greeting: bytes) -> Answer:
    """Returns the function that answers the requests to a child process, which checks bundles.

    `greeting`, the first message to the process, holds its settings.
    """
    how = msgspec.msgpack.decode(greeting, type=GateGreeting)
    key = None
    if how.public_key is not None:
        public = load_pem_public_key(how.public_key)
        assert isinstance(public, EllipticCurvePublicKey)
        key = VerificationKey(key=public, key_id=how.key_id)
    gate = BundleGate(key=key, unsigned=how.unsigned, opa=how.opa)

    def answer(archive: bytes, _: Progress) -> bytes:
        return msgspec.msgpack.encode(reply_of(gate, archive))

    return answer


if __name__ == "__main__":
    serve(prepare)
