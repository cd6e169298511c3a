"""An example workflow and a decision about it, for the tests in this folder."""

from typing import Any

import msgspec

from gateway.core.decision import Action, Decision, Obligations
from gateway.documents.workflow import Metadata, Shards, Spec, Workflow
from waypost.workflow.task import TaskSpec

WORKFLOW = Workflow(
    api_version="waypost/v1",
    kind="Workflow",
    metadata=Metadata(name="nightly", tenant="payments", labels={"team": "data"}),
    spec=Spec(
        tasks=(TaskSpec(name="a", type="docker", run={"image": "x"}),), shards=Shards(items=("x", "y"))
    ),
)
DOCUMENT = msgspec.json.encode(WORKFLOW)


def decision(**obligations: Any) -> Decision:
    """Returns a decision that allows the run in Beijing, with these obligations."""
    return Decision(
        id="d1",
        at=10.0,
        action=Action.RUNS_SUBMIT,
        allow=True,
        revision="r1",
        engine="test",
        rules=("ok",),
        obligations=Obligations(**{"regions": ("beijing",), **obligations}),
    )
