"""Finds the errors in a parsed workflow that its types cannot express, each with a JSON pointer."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.documents.artifacts.checks import artifact_errors
from gateway.documents.condition_checks import condition_text_errors
from gateway.documents.graph_checks import (
    graph_errors,
    is_in_topological_order,
    semaphore_errors,
    target_errors,
    trigger_errors,
)
from gateway.documents.labels.checks import label_errors
from gateway.documents.outputs.for_each import SampleItems, for_each_errors
from gateway.documents.outputs.references import awaits_output
from gateway.documents.outputs.schemas import output_schema_errors
from gateway.documents.placeholder_checks import PlaceholderChecks, distinct_shards
from gateway.documents.schema_errors import field_error, schema_errors
from gateway.documents.secrets.checks import secret_errors
from gateway.documents.workflow import ANY_ENGINE, Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import MAXIMUM_ERRORS, FieldError
from waypost.suggestions import closest
from waypost.workflow.placeholders import FILLED_CHARACTERS, PlaceholderError, render
from waypost.workflow.run_types import DeclaredExecutors
from waypost.workflow.stages import COLLECT_SHARD, Stage
from waypost.workflow.task import SideEffects

RENDERED_CHARACTERS: Final = 400_000
"""The maximum number of characters that are rendered for shards beyond the first, if items differ in form.

Rendering that many takes about 10 ms, while a submission waits.
"""

TASK_CHARACTERS: Final = 200
"""The number of characters that a rendered task counts for at least."""

SUGGESTED_REGIONS: Final = 20
"""The maximum number of unknown region names for which a similar known name is suggested."""

NO_SCHEDULES: Final = "schedules are not supported yet: submit the workflow when it is to run"
"""The error of a workflow with a schedule."""


def check(
    workflow: Workflow,
    canonical: bytes,
    limits: DocumentLimits,
    executors: DeclaredExecutors,
    engines: Mapping[str, str] = {},
) -> list[FieldError]:
    """Returns the semantic errors in `workflow`, up to `MAXIMUM_ERRORS`, each with a JSON pointer.

    `canonical` is the workflow as JSON: a search in it for `${` and the like shows quickly which checks have
    nothing to do. `engines` has the engine of each region by the region's name; if it is empty (unknown), the
    workflow may name any region and engine. A workflow beyond a size limit gets only that error.
    """
    return list(islice(_errors(workflow, canonical, limits, executors, engines), MAXIMUM_ERRORS))


def is_valid(
    workflow: Workflow,
    canonical: bytes,
    limits: DocumentLimits,
    executors: DeclaredExecutors,
    engines: Mapping[str, str],
) -> bool:
    """Returns whether the workflow has no semantic errors; stops at the first error, to be quick."""
    return next(_errors(workflow, canonical, limits, executors, engines), None) is None


def _errors(
    workflow: Workflow,
    canonical: bytes,
    limits: DocumentLimits,
    executors: DeclaredExecutors,
    engines: Mapping[str, str],
) -> Iterator[FieldError]:
    """Yields the semantic errors in the workflow, one after the other."""
    # What follows may take long for a workflow beyond the limits: it is not checked further.
    if too_large := list(_size_errors(workflow, limits)):
        yield from too_large
        return
    yield from label_errors(workflow)
    yield from _shard_errors(workflow)
    yield from _placement_errors(workflow, engines)
    yield from _engine_errors(workflow, engines)
    if workflow.spec.schedule is not None:
        yield FieldError("/spec/schedule", NO_SCHEDULES)
    # Nearly every document lists its tasks in order: one pass then proves that names and needs are right.
    if workflow.spec.has_stages or not is_in_topological_order(workflow.spec.tasks):
        yield from graph_errors(workflow.spec)
    yield from semaphore_errors(workflow.spec)
    if b'"runs":' in canonical or b'"whenSkipped":' in canonical:
        yield from trigger_errors(workflow.spec)
    yield from target_errors(workflow.spec)
    yield from _type_errors(workflow, executors)
    if b'"outputs":' in canonical:
        yield from output_schema_errors(workflow.spec.located_tasks)
    if workflow.spec.secrets or canonical.count(b'"secrets":') > 1:  # one is the workflow's own
        yield from secret_errors(workflow, executors)
    if b'"storage":' in canonical:
        yield from artifact_errors(workflow)
    if b'"forEach":' in canonical or b'"maxParallel":' in canonical:
        yield from for_each_errors(workflow.spec, distinct_shards(workflow))
    if workflow.shard_count:  # without a shard there is nothing to fill placeholders from
        # A single byte is found ten times as fast as several.
        templated = b"$" in canonical and b"${" in canonical
        yield from _run_errors(workflow, limits, executors, templated=templated)
        yield from condition_text_errors(workflow)


def is_too_large(workflow: Workflow, limits: DocumentLimits) -> bool:
    """Returns whether the workflow exceeds a size limit, in which case nothing else is checked."""
    return any(True for _ in _size_errors(workflow, limits))


def _size_errors(workflow: Workflow, limits: DocumentLimits) -> Iterator[FieldError]:
    tasks = workflow.spec.all_tasks
    if len(tasks) > limits.maximum_tasks:
        yield FieldError("/spec/tasks", f"there are {len(tasks)} tasks; {limits.maximum_tasks} are allowed")
    edges = sum([len(task.needs) for task in tasks])
    if edges > limits.maximum_edges:
        yield FieldError("/spec/tasks", f"there are {edges} needs; {limits.maximum_edges} are allowed")
    conditions = sum([len(task.when) for task in tasks if task.when is not None])
    if conditions > limits.maximum_condition_characters:
        yield FieldError(
            "/spec/tasks",
            f"the conditions have {conditions} characters; {limits.maximum_condition_characters} are allowed",
        )
    maximum_shards = min(limits.maximum_shards, COLLECT_SHARD)
    if workflow.shard_count > maximum_shards:
        yield FieldError(
            "/spec/shards", f"there are {workflow.shard_count} shards; {maximum_shards} are allowed"
        )


def _shard_errors(workflow: Workflow) -> Iterator[FieldError]:
    shards = workflow.spec.shards
    if shards.count is not None and shards.items is not None:
        yield FieldError("/spec/shards", "has count and items: one of them says how many shards there are")
    if shards.items is not None and not shards.items:
        yield FieldError("/spec/shards/items", "is empty: there would be no shard")


def _placement_errors(workflow: Workflow, engines: Mapping[str, str]) -> Iterator[FieldError]:
    """Yields an error for each region in `placement` that does not exist."""
    wishes = workflow.spec.placement
    if not (wishes.regions or wishes.avoid):
        return
    known, hints = sorted(engines), dict[str, str]()
    for field, names in (("regions", wishes.regions), ("avoid", wishes.avoid)):
        for index, name in enumerate(names):
            if known and name not in engines:
                if name not in hints:
                    alike = closest(name, known) if len(hints) < SUGGESTED_REGIONS else None
                    hints[name] = f"did you mean {alike}?" if alike else f"there are {', '.join(known)}"
                yield FieldError(
                    f"/spec/placement/{field}/{index}", f"there is no region {name[:80]}; {hints[name]}"
                )


def _engine_errors(workflow: Workflow, engines: Mapping[str, str]) -> Iterator[FieldError]:
    """Yields an error if the workflow's engine is that of no region, or of none that it may be placed in."""
    engine, wished = workflow.spec.engine, workflow.spec.placement.regions
    if engine == ANY_ENGINE or not engines:
        return
    known = sorted({ANY_ENGINE, *engines.values()})
    if engine not in known:
        alike = closest(engine, known)
        hint = f"did you mean {alike}?" if alike else f"there are {', '.join(known)}"
        yield FieldError("/spec/engine", f"no region has the engine {engine}; {hint}")
    # A region that does not exist has an error of its own.
    elif wished and all(engines.get(name, engine) != engine for name in wished):
        yield FieldError("/spec/placement/regions", f"none of them has the engine {engine} of spec.engine")


def _type_errors(workflow: Workflow, executors: DeclaredExecutors) -> Iterator[FieldError]:
    """Yields an error for each task whose type no cluster runs, or whose executor is not exclusive.

    The second is an error only in a workflow that asks for the side effects `exclusive`.
    """
    exclusive = workflow.spec.side_effects is SideEffects.EXCLUSIVE
    types = {task.type for task in workflow.spec.all_tasks}
    if types <= executors.run_types.keys() and not (exclusive and types - executors.exclusive):
        return
    for at, task in workflow.spec.located_tasks:
        if task.type not in executors.run_types:
            known = ", ".join(sorted(executors.run_types))
            yield FieldError(f"{at}/type", f"{task.type[:80]} is not a known executor; there are {known}")
        elif exclusive and task.type not in executors.exclusive:
            asked = "which sideEffects: exclusive asks for"
            yield FieldError(f"{at}/type", f"{task.type} cannot end a task before its lease does, {asked}")


def _run_errors(
    workflow: Workflow, limits: DocumentLimits, executors: DeclaredExecutors, *, templated: bool
) -> Iterator[FieldError]:
    """Yields the errors in each task's `run` and placeholders; checks `run` with the placeholders filled in.

    `templated`: the document may have placeholders; without any, each `run` is checked as it stands.
    """
    # Without placeholders every shard has the same `run`: it is checked as it stands, by msgspec at first.
    if not templated:
        if _all_fit(workflow, executors):
            return
        for at, task in workflow.spec.located_tasks:
            if (run_type := executors.run_types.get(task.type)) is not None:
                yield from _schema_errors_of_run(task.run, run_type, f"{at}/run")
        return
    broken, added = set[str](), 0
    for stage in Stage if workflow.spec.has_stages else (Stage.MAIN,):
        placeholders = PlaceholderChecks(workflow, stage)
        for at, task in workflow.spec.located_tasks_of(stage):
            for error in placeholders.errors(task, at):
                broken.add(at)
                yield error
        added += placeholders.added
    # Filling in what follows would use the memory that this limit protects.
    if added > limits.maximum_bytes:
        yield FieldError(
            "/spec/tasks", f"placeholders add {added} characters; {limits.maximum_bytes} are allowed"
        )
        return
    yield from _rendered_run_errors(workflow, executors, broken=broken)


def _rendered_run_errors(
    workflow: Workflow, executors: DeclaredExecutors, *, broken: set[str]
) -> Iterator[FieldError]:
    """Yields the errors in each task's `run` with the placeholders filled in for a sample of the shards.

    The sample is the first shard of each form of item. Tasks in `broken` have placeholder errors and are left
    out. `RENDERED_CHARACTERS` bounds the work.
    """
    main_shards, left = distinct_shards(workflow), RENDERED_CHARACTERS
    items = SampleItems(workflow.spec.params)
    for at, task in workflow.spec.located_tasks:
        run_type = executors.run_types.get(task.type)
        if run_type is None or at in broken:
            continue
        # A task of another stage has one shard, without an item.
        shards = main_shards if at.startswith("/spec/tasks/") else main_shards[:1]
        # A task that does not use the item is the same in all shards, so the first shard is enough.
        varied, characters = False, TASK_CHARACTERS
        if len(shards) > 1:
            encoded = msgspec.json.encode(task.run)
            varied, characters = b"${shard.item" in encoded, max(len(encoded), TASK_CHARACTERS)
        reported: set[str] = set()
        for shard in shards[: max(left // characters, 1)] if varied else shards[:1]:
            known = {"params": workflow.spec.params, "shard": shard, "status": "Quarantined"}
            for sample in items.of(task, shard):
                try:
                    run = render(task.run, known | sample.values, last=True, maximum=FILLED_CHARACTERS)
                except PlaceholderError as too_long:
                    yield FieldError(f"{at}/run", str(too_long))
                    break
                for error in _schema_errors_of_run(run, run_type, f"{at}/run"):
                    if error.pointer in reported or awaits_output(run, error.pointer[len(at) + 4 :]):
                        continue
                    reported.add(error.pointer)
                    where = f", in shard {shard['index']}" if varied else ""
                    yield FieldError(error.pointer, f"{error.detail}{where}")
        left -= len(shards) * characters * varied


def _all_fit(workflow: Workflow, executors: DeclaredExecutors) -> bool:
    run_types, convert = executors.run_types, msgspec.convert
    try:
        for task in workflow.spec.all_tasks:
            if (run_type := run_types.get(task.type)) is not None:
                convert(task.run, run_type)
    except msgspec.ValidationError:
        return False
    return True


def _schema_errors_of_run(run: Any, run_type: type[Struct], at: str) -> Iterable[FieldError]:
    try:
        msgspec.convert(run, run_type)
    except msgspec.ValidationError as error:
        return schema_errors(run, run_type, at) or [field_error(error, at)]
    return ()
