"""Benchmark of policy: submissions a second and microseconds a decision, by the embedded engine and by OPA.

Submissions are those of `bench/submissions.py`, beside the engineering floor, with the gateway on one core
and OPA on the other (needs `wrk` and `../shared/floor`). Decisions are asked one after the other: about
documents of 1 to 1,000 tasks by the shipped rules, and about one of 10 tasks by 1 to 1,000 house rules beside
them. Then come the longest stall of the event loop while rules take 400 ms, and what a bundle in shadow costs
the decisions beside it, in pairs of processor time.

Usage: python -m bench.policy [--short] [--decisions-only | --submissions-only]
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from bench.event_loop_stalls import longest_stall
from bench.submissions import ROOT, SETTINGS, SHARED
from gateway.cli.dev.opa_process import ENVIRONMENT, OpaProcess
from gateway.cli.dev.opa_program import find_opa
from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.bundle_archive import pack_bundle
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.policy.rollout.bundle_engines import IN_THE_PROCESS
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.shadow import Shadow
from gateway.settings import PolicySettings
from observability import logs
from waypost.serving import run

TASKS = (1, 10, 100, 1_000)
RULES = (1, 10, 100, 1_000)
USUAL_TASKS = 10
BUDGET_SECONDS = 0.8
"""The approximate seconds for which each decision is measured; a twentieth of it in a short run."""
EVALUATION_SECONDS = 0.4
"""The approximate seconds of the evaluation during which stalls are measured."""
SHADOW_PAIRS, SHADOW_DECISIONS = 10, 2_000
PRINCIPAL = Principal(subject="ada", issuer="https://i.test", tenant="demo", scopes=("workflows:submit",))


def question(tasks: int) -> Question:
    run = {"command": ["python3", "-m", "steps.compress", "--level", "6"], "env": {"STAGE": "nightly"}}
    items = [
        {"name": f"task-{index:04}", "type": "process", "run": run, "needs": [f"task-{index - 1:04}"][:index]}
        for index in range(tasks)
    ]
    document = {"metadata": {"name": "bench", "tenant": "demo"}, "spec": {"tasks": items, "priority": 5}}
    return Question(
        action=Action.RUNS_SUBMIT,
        principal=PRINCIPAL,
        at=1_764_000_000.5,
        workflow=msgspec.json.encode(document),
    )


class Costs:
    """Measures policy decisions; prints each duration in microseconds and as a multiple of the first."""

    def __init__(self, budget_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        self._first = 0.0

    async def measure(self, name: str, engine: PolicyEngine, asked: Question) -> None:
        """Measures a policy decision repeatedly; prints p50, p99 and the processor time of this process."""
        times = list[float]()
        for _ in range(20):
            decision = await engine.decide(asked)
        assert decision.allow, decision
        cpu, began = time.process_time(), time.perf_counter()
        while len(times) < 10 or time.perf_counter() - began < self._budget_seconds:
            start = time.perf_counter()
            await engine.decide(asked)
            times.append(time.perf_counter() - start)
        used = (time.process_time() - cpu) / len(times)
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        self._first = self._first or p50
        found = f"p50 {p50 * 1e6:7.0f}  p99 {p99 * 1e6:7.0f}  own CPU {used * 1e6:6.0f} us"
        print(f"{name:28} {found}  p50 {p50 / self._first:6.2f} times the first", flush=True)


def with_house_rules(folder: Path, rules: str) -> Path:
    """Copies the shipped policies to a new folder and adds house rules there; returns the folder."""
    policies = Path(tempfile.mkdtemp(dir=folder)) / "policies"
    shutil.copytree(SHIPPED_POLICIES, policies)
    (policies / "house" / "bench.rego").write_text(f"package waypost.house\n\n{rules}")
    return policies


def many_rules(count: int) -> str:
    rule = 'submit contains "priority: too high for us" if input.workflow.spec.priority > {}\n'
    return "".join(rule.format(10 + number) for number in range(count))


SLOW_RULE = """submit contains "three tasks are equal" if {
	some first in input.workflow.spec.tasks
	some second in input.workflow.spec.tasks
	some third in input.workflow.spec.tasks
	first.name != second.name
	first.needs == third.run
}
"""


async def engines(
    exits: AsyncExitStack, opa: Path | None, policies: Path, folder: Path
) -> Mapping[str, PolicyEngine]:
    """Starts each kind of policy engine with the given policies, and returns the engines by name."""
    made: dict[str, PolicyEngine] = {"embedded": EmbeddedPolicyEngine(policies, budget_seconds=10)}
    if opa is not None:
        archive = Path(tempfile.mkdtemp(dir=folder)) / "bundle.tar.gz"
        archive.write_bytes(pack_bundle(read_bundle(policies, None)))
        for name, address in addresses(folder).items():
            process = OpaProcess(opa, archive, address, log=folder / f"{name}.log")
            await exits.enter_async_context(process)
            made[name] = OpaPolicyEngine(
                parse_address(process.engine), deadline_seconds=10, large_deadline_seconds=10
            )
    for engine in made.values():
        await exits.enter_async_context(engine)
    return made


async def measure_decisions(opa: Path | None, folder: Path, *, short: bool) -> None:
    costs = Costs(BUDGET_SECONDS / 20 if short else BUDGET_SECONDS)
    async with AsyncExitStack() as exits:
        for name, engine in (await engines(exits, opa, SHIPPED_POLICIES, folder)).items():
            for tasks in TASKS:
                await costs.measure(f"{name:10} {tasks:5} tasks", engine, question(tasks))
    for rules in RULES:
        async with AsyncExitStack() as exits:
            policies = with_house_rules(folder, many_rules(rules))
            for name, engine in (await engines(exits, opa, policies, folder)).items():
                await costs.measure(f"{name:10} {rules:5} house rules", engine, question(USUAL_TASKS))
    async with AsyncExitStack() as exits:
        policies = with_house_rules(folder, SLOW_RULE)
        for name, engine in (await engines(exits, opa, policies, folder)).items():
            await measure_stall(name, engine)
    await measure_shadow(pairs=2 if short else SHADOW_PAIRS)


async def measure_stall(name: str, engine: PolicyEngine) -> None:
    """Measures the longest time for which a slow policy decision blocks the event loop."""
    tasks, seconds = 10, 0.0
    await engine.decide(question(tasks))  # which starts the process that the others find
    while seconds < EVALUATION_SECONDS:
        tasks = tasks * 5 // 4
        began = time.perf_counter()
        await engine.decide(question(tasks))
        seconds = time.perf_counter() - began
    stall = await longest_stall(engine.decide(question(tasks)))
    print(f"{f'{name:10} {tasks:5} tasks, {seconds * 1e3:.0f} ms:':28} {stall}", flush=True)


async def measure_shadow(*, pairs: int) -> None:
    """Measures the processor time of decisions with and without a bundle in shadow, alternately."""
    base, candidate = EmbeddedPolicyEngine(), EmbeddedPolicyEngine(inline_bytes=IN_THE_PROCESS)
    asked, per_second = question(USUAL_TASKS), PolicySettings().shadow_per_second
    times, compared = list[tuple[float, float]](), 0

    async def cpu_seconds(engine: PolicyEngine) -> float:
        began = time.process_time()
        for _ in range(SHADOW_DECISIONS):
            await engine.decide(asked)
        return (time.process_time() - began) / SHADOW_DECISIONS

    async with ChosenEngine(base, [candidate]) as engine:
        await candidate.decide(asked)  # which starts its process
        for _ in range(pairs):
            alone = await cpu_seconds(engine)
            shadow = Shadow(
                candidate, per_second=per_second, on_flip=lambda *_: None, on_skipped=lambda: None
            )
            engine.put_in_shadow(shadow)
            times.append((alone, await cpu_seconds(engine)))
            engine.end_trial()
            compared += shadow.counts.compared
    alone, shadowed = (statistics.median(side) * 1e6 for side in zip(*times, strict=True))
    low, ratio, high = statistics.quantiles([second / first for first, second in times], n=4)
    print(
        f"{compared} compared in shadow, at most {per_second:.0f}/s: own CPU {alone:.0f} us a decision alone,"
        f" {shadowed:.0f} with it; in pairs {ratio:.2f} times ({low:.2f} to {high:.2f})",
        flush=True,
    )


def addresses(folder: Path) -> Mapping[str, Path | str]:
    return {"opa+http": "127.0.0.1:8723", "opa+unix": folder / "opa.sock"}


def measure_submissions(opa: Path | None, folder: Path, load: Sequence[str]) -> int:
    """Measures the submissions a second of a gateway with each policy engine, beside a lower bound.

    Each gateway has a store of its own. The bound is the floor of `bench/submissions.py`.
    """
    floor = SHARED / "floor"
    if not (floor / "compare.py").exists() or shutil.which("wrk") is None:
        print(f"submissions are skipped: they need {floor.name}/compare.py in the shared folder, and wrk")
        return 0
    subprocess.run([sys.executable, floor / "load.py", "make", folder], check=True)
    targets = [target(folder, "embedded", 8731, engine=f'data = "{folder}/data.json"')]
    if opa is not None:
        archive = folder / "floor.tar.gz"
        archive.write_bytes(pack_bundle(read_bundle(SHIPPED_POLICIES, folder / "data.json")))
        for port, (name, address) in zip((8732, 8733), addresses(folder).items(), strict=True):
            process = OpaProcess(opa, archive, address, log=folder / f"{name}.log")
            before = f"env -i GOGC={ENVIRONMENT['GOGC']} taskset -c 1 {shlex.join(process.command())} & "
            targets.append(target(folder, name, port, engine=f'engine = "{process.engine}"', before=before))
    words = [f"--target={text}" for text in targets]
    found = subprocess.run(
        [sys.executable, floor / "compare.py", folder, *words, *load], check=False, cwd=ROOT
    )
    return found.returncode


def target(folder: Path, name: str, port: int, *, engine: str, before: str = "") -> str:
    """Writes the settings of a gateway to be measured; returns its name, port and command line.

    `before` is shell text that runs before the gateway, in the same process group.
    """
    state = folder / name
    state.mkdir()
    for shared in ("jwks.json",):
        shutil.copy(folder / shared, state / shared)
    settings = SETTINGS.format(out=state, port=port, metrics_port=port + 10)
    policy = next(line for line in settings.splitlines() if line.startswith("policy ="))
    (state / "gateway.toml").write_text(settings.replace(policy, f"policy = {{ {engine} }}"))
    command = f"{before}exec {sys.executable} -m gateway gateway --config {state / 'gateway.toml'}"
    return f"{name}={port}:sh -c {shlex.quote(command)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a round of a second: does it work at all?")
    parser.add_argument("--decisions-only", action="store_true")
    parser.add_argument("--submissions-only", action="store_true")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    args = parser.parse_args()
    rounds, seconds = args.rounds or (1 if args.short else 3), args.seconds or (1 if args.short else 4)
    load = ["--rounds", rounds, "--seconds", seconds, "--connections", *args.connections]
    logs.configure(level="WARNING")
    opa = find_opa()
    if opa is None:
        print("without OPA: there is none here (`make opa`)")
    os.environ.pop("WAYPOST_POLICY__ENGINE", None)
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", dir=ROOT) as name:
        folder = Path(name)
        if not args.submissions_only:
            run(measure_decisions(opa, folder, short=args.short), loop="uvloop")
        return 0 if args.decisions_only else measure_submissions(opa, folder, list(map(str, load)))


if __name__ == "__main__":
    sys.exit(main())
