"""Tests secrets of real tasks: the task gets them, and nobody finds them anywhere else."""

import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.executors.process.memory_limit import limited_command
from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptEnded, AttemptEndKind, Batch, LeaseAsked, Renewal
from tests.clusters.embedded.secrets.conftest import CANARY, KEY_CANARY
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, start
from waypost.workflow.secrets import SecretSpec
from waypost.workflow.task import Resources, SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase

pytestmark = pytest.mark.integration

SECRETS = (
    SecretSpec(name="DB", source="db/password"),
    SecretSpec(name="KEY", source="key", form="file"),
)
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""A sandbox shows what is in /usr."""
SHAPES = [CANARY, base64.b64encode(CANARY.encode()).decode()[:-4], CANARY.encode().hex(), "robin-robin"]


def python(name: str, program: str, **more: Any) -> TaskSpec:
    return process(name, PYTHON, "-c", program, **more)


async def log_of(node: ClusterNode, task: str) -> str:
    return "".join([chunk.text async for chunk in node.logs(SHARD, task, offset=0, follow=False)])


def files_with_canaries(folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            found += [path for shape in SHAPES if shape.encode() in text]
    return found


HASHES = """
import hashlib, os, stat
path = os.path.join(os.environ["WAYPOST_SECRETS"], "KEY")
found = os.stat(path)
print(hashlib.sha256(os.environ["DB"].encode()).hexdigest())
print(hashlib.sha256(open(path, "rb").read()).hexdigest(), oct(found.st_mode & 0o777))
"""


@pytest.mark.parametrize("side_effects", SideEffects)
@pytest.mark.parametrize("memory", [None, 256])
async def test_a_task_gets_its_secrets_as_variables_and_files(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects, memory: int | None
) -> None:
    """Whatever starts its command: the cluster, a guard or a limiter. Afterwards nothing of them is left."""
    task = python("a", HASHES, resources=Resources(memory_mib=memory))
    await start(node, task, secrets=SECRETS, side_effects=side_effects)
    async for event in node.watch(0, ""):
        if isinstance(event, LeaseAsked):
            await node.apply(Batch(renewals=(Renewal(attempt=SHARD, ask=event.ask),)))
        elif isinstance(event, AttemptEnded):
            assert event.end is AttemptEndKind.SUCCEEDED
            break

    sums = [hashlib.sha256(text.encode()).hexdigest() for text in (CANARY, KEY_CANARY)]
    assert (await log_of(node, "a")).splitlines() == [sums[0], f"{sums[1]} 0o400"]
    assert files_with_canaries(tmp_path / "state") == []
    assert not any((tmp_path / "state" / "secrets").iterdir())


async def test_a_task_gets_no_more_than_it_names(node: ClusterNode) -> None:
    show = "import os; print(sorted({'DB', 'WAYPOST_SECRETS'} & set(os.environ)))"
    await start(
        node,
        python("all", show),
        python("one", show, secrets=("DB",)),
        python("none", show, secrets=()),
        secrets=SECRETS,
    )
    await finished(node)

    assert await log_of(node, "all") == "['DB', 'WAYPOST_SECRETS']\n"
    assert await log_of(node, "one") == "['DB']\n"
    assert await log_of(node, "none") == "[]\n"


TALK = """
import base64, os, sys
secret = os.environ["DB"].encode()
key = open(os.environ["WAYPOST_SECRETS"] + "/KEY").read()
os.write(1, b"split " + secret[:9])
os.write(2, secret[9:] + b" end\\n")
print("basic", base64.b64encode(b"me:" + secret).decode())
print(key, secret.hex(), repr(key))
sys.exit(3)
"""


async def test_what_a_task_prints_is_masked_before_it_is_written(node: ClusterNode, tmp_path: Path) -> None:
    """In two pieces, over two streams, in base64: the log on disk never has it."""
    await start(node, python("a", TALK), secrets=SECRETS)

    assert (await finished(node))["a"].reason == "exit code 3"
    log = await log_of(node, "a")
    assert log.startswith("split *** end\nbasic ")
    assert log.count("***") >= 4
    assert "robin" not in log
    assert files_with_canaries(tmp_path / "state") == []


async def test_a_log_of_a_task_with_secrets_grows_while_it_runs(node: ClusterNode) -> None:
    """Its pipe is read all the time: a task that prints more than a pipe holds does not wait."""
    await start(node, python("a", "for _ in range(5_000): print('line' * 20)"), secrets=SECRETS)

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert len(await log_of(node, "a")) == 5_000 * 81


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("{'password': secret}", "the output holds the value of a secret"),
        ("[{secret: 1}]", "the output holds the value of a secret"),
        ("[base64.b64encode(secret.encode()).decode()]", "the output holds the value of a secret"),
    ],
)
async def test_no_secret_becomes_an_output(
    node: ClusterNode, tmp_path: Path, written: str, reason: str
) -> None:
    """It would be stored, travel, and be shown to all who may see the run."""
    await start(node, python("a", WRITE.replace("TEXT", f"json.dumps({written})")), secrets=SECRETS)
    event = (await finished(node))["a"]

    assert (event.phase, event.output, event.reason) == (TaskPhase.FAILED, None, reason)
    assert files_with_canaries(tmp_path / "state") == []


WRITE = """
import base64, json, os
secret = os.environ["DB"]
open(os.environ["WAYPOST_OUTPUT"], "w").write(TEXT)
"""


async def test_no_secret_is_in_the_reason_of_a_failure(node: ClusterNode, tmp_path: Path) -> None:
    """This one quotes what the task wrote."""
    twice = """'{"%s": 1, "%s": 2}' % (secret, secret)"""
    await start(node, python("a", WRITE.replace("TEXT", twice)), secrets=SECRETS)

    assert (await finished(node))["a"].reason == "the output is not JSON: the name '***' is there twice"
    assert files_with_canaries(tmp_path / "state") == []


async def test_a_region_without_the_secret_loses_the_attempt(node: ClusterNode) -> None:
    """Another region may have it; the reason says what is missing."""
    await start(node, process("a", "true"), secrets=(SecretSpec(name="A", source="smtp/password"),))
    end = await ended(node)

    assert (end.end, end.reason) == (
        AttemptEndKind.LOST,
        "task a: this region has no secret smtp/password",
    )


async def test_an_executor_that_fails_shows_no_secret(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The text of an exception may be anything; it is logged."""

    async def execute(launch: Any, *_: object) -> None:
        raise KeyError(launch.secrets.environment["DB"].decode())

    monkeypatch.setattr(node._task_runner._executors["process"], "execute", execute)
    await start(node, process("a", "true"), secrets=SECRETS)

    assert (await ended(node)).reason == "task a: the executor failed: RuntimeError"
    assert CANARY not in capfd.readouterr().err


async def test_a_cluster_that_starts_removes_what_a_killed_one_has_left(
    tmp_path: Path, secrets: Path
) -> None:
    left = tmp_path / "killed" / "secrets" / "run.0.1.a"
    left.mkdir(parents=True)
    (left / "KEY").write_text(KEY_CANARY)
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path / "killed"))):
        assert files_with_canaries(tmp_path / "killed") == []


def test_no_secret_is_in_a_command_line(tmp_path: Path) -> None:
    """Everybody on the machine may read it (`ps`)."""
    spec = ProcessSpec(
        command=["true"],
        directory=tmp_path,
        environment={"DB": CANARY, "MODE": "full"}
        | dict.fromkeys(
            (
                "WAYPOST_WORKSPACE",
                "WAYPOST_RUN",
                "WAYPOST_SHARD",
                "WAYPOST_EPOCH",
                "WAYPOST_TASK",
                "WAYPOST_TRY",
            ),
            "x",
        ),
        log=tmp_path / "log",
        memory_bytes=1 << 28,
        secret_names=frozenset({"DB"}),
    )

    assert not any(
        CANARY.encode() in (word if isinstance(word, bytes) else word.encode())
        for word in limited_command(spec)
    )
    assert spec.secret_variables == {"DB": CANARY}
    assert spec.wrapper_environment.keys().isdisjoint({"DB", "MODE"})
