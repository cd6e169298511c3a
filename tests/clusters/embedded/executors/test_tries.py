"""Tests what all executors do alike with a try: read the task's `run`, and write its input."""

import threading
from pathlib import Path

import pytest
from msgspec import json, structs

from clusters.embedded.executors import output
from clusters.embedded.executors.interface import run_of
from clusters.embedded.executors.output import write_input
from clusters.embedded.executors.registry import EXECUTORS
from clusters.embedded.scheduling.launch import Outcome
from tests.conformance.executor import launch


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_run_that_does_not_fit_its_executor_fails_the_try(name: str) -> None:
    """A gateway of another version has taken it: that is a reason for people, not a fault of the executor."""
    outcome = run_of(launch(name, {}), EXECUTORS[name].run_type)
    assert isinstance(outcome, Outcome)
    assert outcome.reason.startswith("run: Object missing required field")


@pytest.mark.parametrize("large", [False, True])
async def test_a_large_input_is_written_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """A thousand instances may begin at once, each with 16 MiB: leases and probes must not wait for them."""
    threads = []

    def write_new(path: Path, content: bytes) -> None:
        threads.append(threading.get_ident())
        path.write_bytes(content)

    monkeypatch.setattr(output, "write_new", write_new)
    tried = structs.replace(launch("delay", {}), input={"params": {"day": 7}}, large_input=large)
    await write_input(tmp_path / "input.json", tried)
    assert json.decode((tmp_path / "input.json").read_bytes()) == {"params": {"day": 7}}
    assert (threads != [threading.get_ident()]) is large
