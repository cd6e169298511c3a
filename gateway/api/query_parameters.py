"""The JSON schemas of the API's query parameters, by parameter name, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.api.logs.task_log import NUMBER_MAXIMUM
from gateway.api.records.audit import SINCE_MAXIMUM
from gateway.core.decision import Action
from gateway.core.history import ACTS
from gateway.core.run import RunPhase
from waypost.workflow.stages import STAGE_SHARDS

TEXT: Final = {"type": "string"}
FLAG: Final = {"type": "boolean", "default": False}
QUERY: Final[Mapping[str, Mapping[str, Any]]] = {
    "action": {"type": "array", "items": {"type": "string", "enum": list(Action)}},
    "actor": TEXT,
    "continue": TEXT,
    "dryRun": FLAG,
    "ended": FLAG,
    "entry": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1, "default": 0},
    "follow": FLAG,
    "id": {"type": "string", "pattern": "^[0-9a-f]{1,28}$"},
    "kind": {"type": "array", "items": {"type": "string", "enum": list(ACTS)}},
    "label": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}},
    "limit": {"type": "integer", "minimum": 1, "default": 50},
    "attempt": {"type": "integer", "minimum": 1, "maximum": NUMBER_MAXIMUM},
    "offset": {"type": "integer", "minimum": 0, "maximum": NUMBER_MAXIMUM, "default": 0},
    "outputs": FLAG,
    "phase": {"type": "string", "enum": list(RunPhase)},
    "inputs": FLAG,
    "refused": FLAG,
    "region": TEXT,
    "rule": TEXT,
    "run": TEXT,
    "seal": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1, "default": 0},
    "shard": {"type": "string", "pattern": f"^([0-9]{{1,18}}|{'|'.join(STAGE_SHARDS.values())})$"},
    "since": {"type": "integer", "minimum": 0, "maximum": SINCE_MAXIMUM, "default": 0},
    "source": TEXT,
    "subject": TEXT,
    "tail": {"type": "integer", "minimum": 0, "maximum": NUMBER_MAXIMUM},
    "task": TEXT,
    "tenant": TEXT,
    "timestamps": FLAG,
}
"""The schema of each query parameter, by parameter name."""
REQUIRED: Final = frozenset({"task"})
"""The query parameters without which a call is refused."""
