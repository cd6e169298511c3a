"""Measures the instructions that metrics, log lines and traces take of a submission, each apart.

A gateway's API without HTTP, with its store and its policy in one process, gets submissions, 16 at once,
under valgrind's callgrind, which counts instructions: the machine's load changes little. Each variant of the
gateway (metrics that count nothing, no log lines, spans of all traces or of a share) is measured in turn,
several times in one run; printed are medians, and by what each differs from the gateway as it is by default.

Needs valgrind, and the keys, policy data and document of `../shared/floor`, as `bench/submissions.py` does.
Usage: python -m bench.observation_cost [--submissions 160] [--rounds 3]
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs
from starlette.types import ASGIApp, Message

from bench.submissions import ROOT, SHARED, span_receiver
from gateway import app
from gateway.app import compose
from gateway.policy.embedded import inline_evaluation
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.settings import GatewaySettings, Issuer, PolicySettings, Secret, TracingSettings
from observability import logs
from observability.metrics import Metrics

AT_ONCE: Final = 16
WARM_UP: Final = 48
SLOW_SECONDS: Final = 60.0
"""The time limit of whatever has one: under valgrind everything takes fifty times as long."""
SUMMARY: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class Variant(Struct, frozen=True, kw_only=True):
    """A gateway that differs in one respect from one with the default settings."""

    metrics: Callable[[], Metrics] = Metrics
    level: str = "INFO"
    share: float | None = None
    """The share of the traces of which spans are exported; None: spans are off."""


class CountsNothing(Metrics):
    """Metrics of which nothing on a submission's path is counted."""

    def count_request(self, *_: Any) -> None: ...

    def observe_step(self, *_: Any) -> None: ...

    def count_decision(self, *_: Any) -> None: ...


VARIANTS: Final = {
    "as by default": Variant(),
    "without metrics": Variant(metrics=CountsNothing),
    "without log lines": Variant(level="ERROR"),
    "spans of every trace": Variant(share=1.0),
    "spans of one in ten": Variant(share=0.1),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", nargs=2, metavar=("FOLDER", "URL"), help="the part that valgrind runs")
    args = parser.parse_args()
    if args.inside is not None:
        folder, spans = args.inside
        asyncio.run(measure(Path(folder), spans, args.submissions, args.rounds))
        return 0
    floor = SHARED / "floor"
    if not (floor / "load.py").exists() or shutil.which("valgrind") is None:
        print(f"skipped: needs {floor.name}/load.py in the shared folder, and valgrind")
        return 0
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder, span_receiver() as spans:
        subprocess.run([sys.executable, floor / "load.py", "make", folder], check=True)
        dump = f"--callgrind-out-file={folder}/callgrind"
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", dump, sys.executable]
        options = ["--submissions", str(args.submissions), "--rounds", str(args.rounds)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
        whole = [*command, "-m", "bench.observation_cost", *options, "--inside", folder, spans]
        return subprocess.run(whole, check=False, cwd=ROOT, env=environment).returncode


async def measure(folder: Path, spans: str, submissions: int, rounds: int) -> None:
    """Measures each variant in each round, and prints the table."""
    # Decisions stay in this process, however long they take here.
    (EmbeddedPolicyEngine.__init__.__kwdefaults__ or {})["inline_seconds"] = SLOW_SECONDS
    inline_evaluation.TURN_SECONDS = SLOW_SECONDS  # type: ignore[misc]
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(rounds):
        for name, variant in VARIANTS.items():
            store = folder / f"{number}-{name.replace(' ', '-')}.db"
            async with served(variant, folder, store, spans) as api:
                await submit(api, folder, WARM_UP, f"warm-{number}")
                await begin_counting()
                await submit(api, folder, submissions, f"run-{number}")
                # The exporter's thread has what it was given.
                await asyncio.sleep(1.5 if variant.share else 0.0)
                found[name].append(await counted(folder) / submissions)
            print(f"{name}: {found[name][-1] / 1000:.0f} k", flush=True)
    usual = statistics.median(found["as by default"])
    for name, counts in found.items():
        middle = statistics.median(counts)
        spread = (max(counts) - min(counts)) / middle
        share = middle / usual - 1
        print(f"{name:24} {middle / 1000:7.0f} k  {share:+7.1%}  (spread {spread:.1%})", flush=True)


@asynccontextmanager
async def served(variant: Variant, folder: Path, store: Path, spans: str) -> AsyncIterator[ASGIApp]:
    """Builds the gateway of a variant; yields its API."""
    settings = GatewaySettings(
        store=Secret(f"sqlite:{store}"),
        policy=PolicySettings(
            data=str(folder / "data.json"), deadline_seconds=SLOW_SECONDS, large_deadline_seconds=SLOW_SECONDS
        ),
        issuers=(Issuer(url="https://issuer.test", keys=str(folder / "jwks.json")),),
    )
    if variant.share is not None:
        tracing = TracingSettings(endpoint=spans, share=variant.share)
        settings = structs.replace(settings, tracing=tracing)
    logs.configure(level=variant.level, style="json", fields={"process": "gateway"})
    setattr(app, "Metrics", variant.metrics)  # noqa: B010 - a double in place of a class
    async with compose(settings) as gateway:
        yield gateway.api


async def submit(api: ASGIApp, folder: Path, count: int, name: str) -> None:
    """Submits the document `count` times, `AT_ONCE` at a time; raises `RuntimeError` for a refusal."""
    body, token = (folder / "body.json").read_bytes(), (folder / "token.txt").read_text()
    waiting = iter(range(count))

    async def submit_some() -> None:
        for number in waiting:
            await _call(api, body, token, f"{name}-{number}")

    await asyncio.gather(*(submit_some() for _ in range(AT_ONCE)))


async def _call(api: ASGIApp, body: bytes, token: str, key: str) -> None:
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"idempotency-key", key.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/runs",
        "raw_path": b"/v1/runs",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "root_path": "",
        "state": {},
    }
    statuses = list[int]()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await api(scope, receive, send)
    if statuses != [202]:
        raise RuntimeError(f"the submission was answered {statuses}")


async def begin_counting() -> None:
    for option in (["-z"], ["-i", "on"]):
        await _run(["callgrind_control", *option, str(os.getpid())])


async def counted(folder: Path) -> int:
    """Ends the counting; returns how many instructions there have been since it began."""
    await _run(["callgrind_control", "-i", "off", str(os.getpid())])
    before = dumps(folder)
    await _run(["callgrind_control", "-d", str(os.getpid())])
    (dumped,) = dumps(folder) - before
    counts = SUMMARY.findall(dumped.read_text(errors="replace"))
    dumped.unlink()
    return int(counts[-1])


def dumps(folder: Path) -> set[Path]:
    return {*folder.glob("callgrind*")}


async def _run(command: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{command} has failed")


if __name__ == "__main__":
    sys.exit(main())
