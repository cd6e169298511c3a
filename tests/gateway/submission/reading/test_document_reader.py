"""Tests the reading of large documents, and those with conditions, in processes that can be killed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.core.errors import Invalid, Malformed, TooManyRequests, Unavailable
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from gateway.submission.reading.document_reader import DocumentReader, Reading, reader_greeting, reader_pool
from tests.gateway.documents.documents import EXECUTORS, JSON, document, task
from tests.gateway.submission.submissions import decision
from waypost.json_pointer import FieldError
from waypost.worker_pool import WorkerPool

pytestmark = pytest.mark.integration

SLOW = r'params.l.all(x, x.matches("^\\pL{60}$") || true)'
PARAMS = {"l": ["1"] * 1_900}
ENGINES = {"beijing": "embedded"}
LIMITS = DocumentLimits()


def pool_for(limits: DocumentLimits = LIMITS) -> WorkerPool:
    return reader_pool(reader_greeting(limits, EXECUTORS, ENGINES), size=2)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with pool_for() as running:
        yield running


@pytest.fixture
def reader(pool: WorkerPool) -> DocumentReader:
    return DocumentReader(LIMITS, pool)


async def read(reader: DocumentReader, value: Any, tenant: str = "a") -> Reading:
    return await reader.read(msgspec.json.encode(value), JSON, tenant=tenant)


async def errors(reader: DocumentReader, *whens: str, tenant: str = "a", **spec: Any) -> list[FieldError]:
    tasks = [task(f"t{index}", when=when) for index, when in enumerate(whens)]
    try:
        await read(reader, document(*tasks, **spec), tenant)
    except Invalid as error:
        return list(error.errors)
    return []


async def test_what_comes_back_is_an_outline_and_the_whole_as_json(reader: DocumentReader) -> None:
    """The gateway's process never parses a large document: that would keep everybody waiting."""
    tasks = [task(f"t{n}", needs=[f"t{n - 1}"] if n else [], priority=n % 8) for n in range(9)]
    tasks.append(task("last", type="delay", run={"seconds": 1}, resources={"cpu": 3}, priority=2))
    items = [{"a": [n]} for n in range(3)]
    sent = document(*tasks, params={"x": "y" * 9_000}, shards={"items": items}, priority=4)
    found = await read(reader, sent)

    whole = msgspec.json.decode(found.canonical, type=Workflow)
    assert [one.name for one in whole.spec.tasks] == [*(f"t{n}" for n in range(9)), "last"]
    assert (whole.metadata.tenant, whole.items) == ("a", tuple(items))
    outline = found.workflow
    assert (found.whole, found.task_count, outline.shard_count) == (False, 10, 3)
    assert outline.items == tuple(Raw(msgspec.json.encode(item)) for item in items)
    assert (outline.metadata, outline.spec.priority, outline.spec.params) == (whole.metadata, 4, {})
    assert [(one.type, one.priority, one.resources.cpu, one.run) for one in outline.spec.tasks] == [
        ("process", 7, 1.0, {}),
        ("delay", 2, 3.0, {}),
    ]


@pytest.mark.parametrize(("targets", "expected"), [((), ["a", "b"]), (("b",), ["b"])])
async def test_filled_labels_leave_the_tasks_as_the_targets_have_them(
    targets: tuple[str, ...], expected: list[str], reader: DocumentReader
) -> None:
    """Labels with placeholders and targets go through the same step; without targets all tasks stay."""
    sent = document(task("a"), task("b"), params={"day": "x" * 9}, targets=targets)
    sent["metadata"]["labels"] = {"day": "${params.day}"}
    whole = msgspec.json.decode((await read(reader, sent)).canonical, type=Workflow)

    assert [one.name for one in whole.spec.tasks] == expected
    assert whole.metadata.labels == {"day": "x" * 9}


async def test_what_policy_obliges_is_written_into_the_whole(reader: DocumentReader) -> None:
    """Who has only an outline cannot write the document."""
    found = await read(reader, document(task("a", priority=9), task("b", priority=1), priority=9))
    obligations = decision(max_priority=3, labels={"team": "data"}).obligations
    whole = msgspec.json.decode(await reader.oblige(found.canonical, obligations, tenant="a"), type=Workflow)

    assert (whole.spec.priority, [one.priority for one in whole.spec.tasks]) == (3, [3, 1])
    assert whole.metadata.labels == {"team": "data"}


async def test_errors_come_back_with_the_name_of_the_workflow(reader: DocumentReader) -> None:
    """The log says which document was refused."""
    fields: dict[str, str] = {}
    body = msgspec.json.encode(
        document(task("a", needs=["none"]), engine="argo", placement={"regions": ["berlin"]})
    )
    with pytest.raises(Invalid) as refused:
        await reader.read(body, JSON, tenant="a", log_fields=fields)
    assert {error.pointer for error in refused.value.errors} == {
        "/spec/tasks/0/needs/0",
        "/spec/placement/regions/0",
        "/spec/engine",
    }
    assert fields == {"name": "nightly"}
    with pytest.raises(Malformed, match="line 1, column 2"):
        await reader.read(b"{", JSON, tenant="a")


async def test_conditions_that_take_too_long_together_are_refused() -> None:
    """None of them is at fault by itself."""
    limits = DocumentLimits(conditions_seconds=1e-6)
    whens = [f"{index} < {index + 1}" for index in range(2_000)]
    async with pool_for(limits) as pool:
        assert await errors(DocumentReader(limits, pool), *whens) == [
            FieldError("/spec/tasks", "the conditions take more than 2e-06 s of processor time")
        ]


async def test_forms_of_items_are_tried_only_as_long_as_there_is_time(reader: DocumentReader) -> None:
    """A thousand items of different form times a thousand conditions are a million evaluations."""
    items = [{"a": 1, f"only{index}": index} for index in range(1_000)]
    whens = [f"shard.item.a != {index}" for index in range(1_000)]

    assert await errors(reader, *whens, shards={"items": items}) == []
    assert await errors(reader, "shard.item.only0 == 0", "true", shards={"items": items}) == [
        FieldError("/spec/tasks/0/when", "cannot be evaluated: there is no 'only0' in shard 1")
    ]


async def test_a_condition_that_ends_its_process_is_one_error_of_the_document(
    reader: DocumentReader,
) -> None:
    """The library holds the interpreter's lock: only the kernel can stop it, with all that was read."""
    found = await errors(reader, "true", SLOW, "params.none", "params.l.size() > 1 && " + SLOW, params=PARAMS)

    slow = "takes more than 0.1 s of processor time"
    assert found == [
        FieldError("/spec/tasks/1/when", slow),
        FieldError("/spec/tasks/2/when", "there is no params.none"),
        FieldError("/spec/tasks/3/when", slow),
    ]


async def test_one_tenant_does_not_delay_another(reader: DocumentReader, pool: WorkerPool) -> None:
    """One of two processes is always left to the others, also while the other is killed and started again."""
    await errors(reader, "true")
    while len(pool._idle) < 2:
        await asyncio.sleep(0)
    slow = [asyncio.create_task(errors(reader, SLOW, params=PARAMS, tenant="loud")) for _ in range(2)]
    for _ in range(5):
        assert await errors(reader, "1 > 0", tenant="quiet") == []
    assert not all(one.done() for one in slow)

    assert await asyncio.gather(*slow) == [
        [FieldError("/spec/tasks/0/when", "takes more than 0.1 s of processor time")]
    ] * len(slow)


async def test_a_tenant_whose_documents_wait_already_is_asked_to_come_back(reader: DocumentReader) -> None:
    """A queue that only grows would make all of its submissions wait too long."""
    waiting = [asyncio.create_task(errors(reader)) for _ in range(32)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyRequests, match="32 requests of a are waiting already"):
        await errors(reader)
    await asyncio.gather(*waiting)


async def test_without_a_process_nothing_is_accepted(
    reader: DocumentReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is short of processes is no fault of the document: 503, not 422."""
    monkeypatch.setattr("waypost.worker_pool.sys.executable", "/nonexistent")

    with pytest.raises(Unavailable, match="documents cannot be read now: a worker process does not start"):
        await errors(reader, "true")
