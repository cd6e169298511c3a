"""`waypost simulate`: periodic jobs, Poisson arrivals or recorded workflows on a simulated cluster."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number
from msgspec import structs

from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.simulation.loads import (
    Arrival,
    Job,
    Service,
    asking,
    periodic,
    poisson,
    random_jobs,
    recorded,
)
from clusters.embedded.simulation.measures import Measures
from clusters.embedded.simulation.periodic_theory import due_moments, theory_of, worst_response
from clusters.embedded.simulation.queueing_theory import mean_wait
from clusters.embedded.simulation.virtual_cluster import VirtualCluster
from gateway.cli.arguments import Format, Output
from gateway.cli.documents import JSON, document_error, read_bytes, read_value
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command
from gateway.cli.simulation.report import Simulated, print_results
from gateway.core.errors import GatewayError
from gateway.documents.wfformat import from_wfformat
from waypost.workflow.task import TaskSpec

WORKERS_MAXIMUM: Final = 10_000
RUNS_MAXIMUM: Final = 10_000_000
"""The most runs that are simulated."""
MOMENTS_MAXIMUM: Final = 1_000_000
"""The most moments at which theory compares the work that is due with the time that there is."""
SHOWN_RESPONSES: Final = 2_000

app = App(name="simulate", help="Run a cluster's scheduler under a virtual clock, beside theory.")

Policies = Annotated[
    tuple[QueuePolicy, ...],
    Parameter(name="--policy", negative="", help="The queue's policy. May be repeated, to compare."),
]
Workers = Annotated[
    tuple[Annotated[int, Parameter(validator=Number(gte=1, lte=WORKERS_MAXIMUM))], ...],
    Parameter(name="--workers", negative="", help="Processors, 1 to 10,000. May be repeated."),
]
Aging = Annotated[
    float, Parameter(name="--aging-seconds", validator=Number(gte=0), help="As --queue-aging-seconds.")
]
Seed = Annotated[int, Parameter(help="The same seed gives the same load.")]
Runs = Annotated[int, Parameter(validator=Number(gte=1, lte=RUNS_MAXIMUM), help="How many arrive.")]
Pieces = Annotated[
    int,
    Parameter(
        validator=Number(gte=1, lte=1_000),
        help="Tasks, one after the other, that a run is cut into: between them others are served.",
    ),
]
MemoryMib = Annotated[
    int | None,
    Parameter(name="--memory-mib", validator=Number(gte=1), help="The cluster's. Default: any amount."),
]
TaskMemoryMib = Annotated[
    int | None,
    Parameter(name="--task-memory-mib", validator=Number(gte=1), help="What each task asks for."),
]
Plot = Annotated[bool, Parameter(negative="", help="Plot the response times as text.")]


@app.command
@command
def jobs(
    *jobs: Annotated[str, Parameter(help="Periodic jobs, as SECONDS/PERIOD: 1/4 runs 1 s every 4 s.")],
    random_jobs: Annotated[
        int | None,
        Parameter(validator=Number(gte=1, lte=1_000), help="Draw so many."),
    ] = None,
    utilization: Annotated[
        float, Parameter(validator=Number(gt=0, lte=100), help="Of the drawn jobs, in all.")
    ] = 0.7,
    seconds: Annotated[float, Parameter(validator=Number(gt=0), help="Of virtual time.")] = 1_000.0,
    policy: Policies = (QueuePolicy.RATE_MONOTONIC, QueuePolicy.EDF),
    workers: Workers = (1,),
    pieces: Pieces = 1,
    aging_seconds: Aging = 60.0,
    seed: Seed = 1,
    plot: Plot = False,
    output: Output = Format.TABLE,
) -> None:
    """Periodic jobs, each due before its next: deadline misses, beside the theory of one worker."""
    chosen = [_job(text) for text in jobs]
    if bool(chosen) == (random_jobs is not None):
        raise CliError("name jobs, as 1/4 2/6, or draw some with --random-jobs", code=Exit.USAGE)
    if random_jobs is not None:
        chosen = _drawn(random_jobs, utilization, seed)
    _check_size(chosen, seconds)

    def theory(one: QueuePolicy, count: int, found: Measures) -> dict[str, Any]:
        if count > 1:
            return {}
        values: dict[str, Any] = structs.asdict(theory_of(chosen, one, pieces=pieces))
        if one is QueuePolicy.RATE_MONOTONIC:
            # Of jobs that are alike the first stands for all.
            values["worst responses (measured, bound)"] = ", ".join(
                f"{job} {found.worst.get(str(job), 0.0):.4g} {worst_response(chosen, at, pieces=pieces):.4g}"
                for at, job in enumerate(chosen[:10])
            )
        return values

    load = partial(periodic, chosen, seconds=seconds, pieces=pieces)
    found = _simulate("periodic jobs", load, policy, workers, aging_seconds, theory)
    print_results(list(found), output, plot=plot)


@app.command
@command
def arrivals(
    *,
    load: Annotated[
        float, Parameter(validator=Number(gt=0, lte=2), help="Work that comes, as part of what can be done.")
    ] = 0.8,
    service: Annotated[Service, Parameter(help="The distribution of run times.")] = Service.EXPONENTIAL,
    mean: Annotated[float, Parameter(validator=Number(gt=0), help="The mean run time, in seconds.")] = 1.0,
    runs: Runs = 20_000,
    policy: Policies = (QueuePolicy.FIFO,),
    workers: Workers = (1,),
    memory_mib: MemoryMib = None,
    task_memory_mib: TaskMemoryMib = None,
    aging_seconds: Aging = 60.0,
    seed: Seed = 1,
    plot: Plot = False,
    output: Output = Format.TABLE,
) -> None:
    """Random arrivals (Poisson) of runs of one task: waiting times, beside queueing theory."""
    at_once = _tasks_in_memory(memory_mib, task_memory_mib)

    def theory(_: QueuePolicy, count: int, __: Measures) -> dict[str, Any]:
        # Where memory permits fewer tasks at once, it is as if there were so many workers.
        found = mean_wait(workers=min(count, at_once), rate=load * count / mean, mean=mean, service=service)
        return {} if found is None else {f"mean wait by {found[1]}": found[0]}

    results = [
        one
        for count in workers
        for one in _simulate(
            f"{service} arrivals, load {load:g}",
            partial(
                poisson,
                rate=load * count / mean,
                service=service,
                mean=mean,
                runs=runs,
                seed=seed,
                memory_mib=task_memory_mib,
            ),
            policy,
            (count,),
            aging_seconds,
            theory,
            memory_mib=memory_mib,
        )
    ]
    print_results(results, output, plot=plot)


@app.command
@command
def workflows(
    *files: Annotated[Path, Parameter(help="Recorded workflows, WfFormat 1.5.")],
    rate: Annotated[float, Parameter(validator=Number(gt=0), help="Arrivals a second, at random.")] = 0.01,
    scale: Annotated[float, Parameter(help="What a recorded second of run time becomes.")] = 1.0,
    runs: Runs = 100,
    policy: Policies = (QueuePolicy.PRIORITY,),
    workers: Workers = (16,),
    memory_mib: MemoryMib = None,
    task_memory_mib: TaskMemoryMib = None,
    aging_seconds: Aging = 60.0,
    seed: Seed = 1,
    plot: Plot = False,
    output: Output = Format.TABLE,
) -> None:
    """Recorded workflows that arrive at random: response times of whole DAGs."""
    if not files:
        raise CliError("name a recorded workflow, a file in WfFormat 1.5", code=Exit.USAGE)
    _tasks_in_memory(memory_mib, task_memory_mib)
    tasks = [(file.name, asking(_recorded_tasks(str(file), scale), task_memory_mib)) for file in files]
    found = _simulate(
        f"{len(files)} recorded workflows",
        partial(recorded, tasks, rate=rate, runs=runs, seed=seed),
        policy,
        workers,
        aging_seconds,
        lambda *_: {},
        memory_mib=memory_mib,
    )
    print_results(list(found), output, plot=plot)


def _simulate(
    name: str,
    load: Callable[[], Iterable[Arrival]],
    policies: Iterable[QueuePolicy],
    workers: Iterable[int],
    aging_seconds: float,
    theory: Callable[[QueuePolicy, int, Measures], dict[str, Any]],
    *,
    memory_mib: int | None = None,
) -> Iterator[Simulated]:
    """Runs the load under each policy, on each number of workers."""
    workers = tuple(workers)
    for policy in policies:
        for count in workers:
            settings = QueueSettings(policy=policy, aging_seconds=aging_seconds, tasks=100_000_000)
            measures = VirtualCluster(count, settings, memory_mib=memory_mib).run(load())
            step = max(1, len(measures.responses) // SHOWN_RESPONSES)
            yield Simulated(
                load=name,
                policy=policy,
                workers=count,
                result=measures.summary(),
                theory=theory(policy, count, measures),
                responses=measures.responses[::step],
            )


def _tasks_in_memory(memory_mib: int | None, task_memory_mib: int | None) -> int:
    """Returns how many tasks the memory permits at once; raises `CliError` if it permits none."""
    if memory_mib is None or task_memory_mib is None:
        return WORKERS_MAXIMUM
    if task_memory_mib > memory_mib:
        raise CliError(
            f"--task-memory-mib {task_memory_mib}: the cluster has {memory_mib} (--memory-mib)",
            code=Exit.USAGE,
        )
    return memory_mib // task_memory_mib


def _drawn(count: int, utilization: float, seed: int) -> list[Job]:
    return random_jobs(count, utilization, random.Random(seed))  # noqa: S311


def _check_size(jobs: Sequence[Job], seconds: float) -> None:
    """Raises `CliError` if the jobs come too often to simulate them, or for the tests of theory."""
    if (count := sum(seconds / job.period for job in jobs)) > RUNS_MAXIMUM:
        shortest = min(job.period for job in jobs)
        raise CliError(
            f"about {count:,.0f} runs come in {seconds:g} s, where {RUNS_MAXIMUM:,} can be simulated:"
            f" write fewer --seconds, or longer periods than {shortest:g} s",
            code=Exit.USAGE,
        )
    if (moments := due_moments(jobs)) > MOMENTS_MAXIMUM:
        raise CliError(
            f"the periods are too far apart: theory would look at about {moments:,.0f} moments,"
            f" where {MOMENTS_MAXIMUM:,} can be",
            code=Exit.USAGE,
        )


def _job(text: str) -> Job:
    seconds, _, period = text.partition("/")
    try:
        job = Job(seconds=float(seconds), period=float(period))
    except ValueError:
        job = Job(seconds=0.0, period=0.0)
    if not (0 < job.seconds < 1e6 and 0.001 <= job.period < 1e6):
        raise CliError(f"{text} is no job: write SECONDS/PERIOD, as 1/4 for 1 s every 4 s", code=Exit.USAGE)
    return job


def _recorded_tasks(file: str, scale: float) -> tuple[TaskSpec, ...]:
    try:
        return from_wfformat(read_value(file, read_bytes(file), JSON), scale=scale).workflow.spec.tasks
    except GatewayError as error:
        raise document_error(f"{file}: {error.detail}", error.errors) from error
