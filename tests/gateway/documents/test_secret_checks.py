"""Tests the checks of a workflow's secrets, which are names and never values."""

import json

from clusters.protocol import RunSpec
from gateway.documents.run_spec import run_spec
from tests.gateway.documents.documents import document, errors_in, read, schema_errors_in, task
from waypost.workflow.secrets import SecretSpec, secrets_of

SECRETS = [{"name": "A", "from": "db/password"}, {"name": "B", "from": "key", "as": "file"}]


def test_secrets_travel_by_name_to_the_tasks_that_get_them() -> None:
    workflow = read(
        document(task("all"), task("one", secrets=["B"]), task("none", secrets=[]), secrets=SECRETS)
    )
    sent: RunSpec = run_spec("r", workflow)

    assert errors_in(document(task("all"), task("one", secrets=["B"]), secrets=SECRETS)) == {}
    assert sent.secrets == (
        SecretSpec(name="A", source="db/password"),
        SecretSpec(name="B", source="key", form="file"),
    )
    assert [[one.name for one in secrets_of(spec, sent.secrets)] for spec in sent.tasks] == [
        ["A", "B"],
        ["B"],
        [],
    ]


def test_every_mistake_in_secrets_is_named() -> None:
    waits = {"name": "waits", "type": "delay", "run": {"seconds": 1}}
    wrong = document(
        task("a", secrets=["A", "PASSWORD_X"]),
        task("b", run={"command": ["true"], "env": {"A": "mine", "KEY": "mine"}}),
        waits | {"secrets": ["A"]},
        secrets=[
            {"name": "A", "from": "db/password"},
            {"name": "PASSWORD", "from": "smtp"},
            {"name": "A", "from": "other"},
            {"name": "WAYPOST_RUN", "from": "x"},
            {"name": "KEY", "from": "key", "as": "file"},
        ],
    )

    assert errors_in(wrong) == {
        "/spec/secrets/2/name": "there is another secret A",
        "/spec/secrets/3/name": "WAYPOST_RUN means something else: take another name",
        "/spec/tasks/0/secrets/1": "spec.secrets has no PASSWORD_X; did you mean PASSWORD?",
        "/spec/tasks/1/run/env/A": "is a secret of this task, too; is a secret of this task, too",
        "/spec/tasks/2/secrets": "delay gives no secrets to its tasks; those that do: docker, http, process",
    }


def test_a_task_that_gets_none_may_be_of_any_type() -> None:
    waits = {"name": "waits", "type": "delay", "run": {"seconds": 1}}

    assert errors_in(document(task("a"), waits, waits | {"name": "b", "secrets": []}, secrets=SECRETS)) == {}


def test_names_of_secrets_have_a_form() -> None:
    """No placeholder, so that policy sees which it is; and no way out of a folder."""
    wrong = document(
        secrets=[
            {"name": "a-b", "from": "x"},
            {"name": "A", "from": "../key"},
            {"name": "B", "from": "${params.name}"},
            {"name": "C", "from": "/etc/passwd"},
            {"name": "D", "from": "db//password"},
            {"name": "E", "from": "x", "as": "argument"},
            {"name": "F", "value": "hunter2-hunter2"},
        ]
    )
    found = schema_errors_in(json.dumps(wrong).encode())

    assert set(found) == {
        "/spec/secrets/0/name",
        "/spec/secrets/1/from",
        "/spec/secrets/2/from",
        "/spec/secrets/3/from",
        "/spec/secrets/4/from",
        "/spec/secrets/5/as",
        "/spec/secrets/6/from",
        "/spec/secrets/6/value",
    }
    assert found["/spec/secrets/1/from"].startswith("'../key' is not the name of a secret in a region")
    assert not any("hunter2" in detail for detail in found.values())
