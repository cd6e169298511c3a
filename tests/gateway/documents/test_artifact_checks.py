"""Tests the checks of a workflow's artifacts, and what may read their records."""

from tests.gateway.documents.documents import document, errors_in, task

SOURCE = {"file": {"storage": "exports", "path": "orders/${params.day}.csv", "sha256": "${params.sum}"}}
TARGET = {"s3": {"storage": "backups", "path": "orders.csv"}}
PARAMS = {"day": "1", "sum": "0" * 64}


def test_artifacts_are_accepted_with_placeholders() -> None:
    assert errors_in(document(task("a", source=SOURCE, target=TARGET), params=PARAMS)) == {}


def test_each_mistake_in_an_artifact_is_named() -> None:
    wrong = document(
        task("a", source={"file": {"storage": "exports", "path": "../orders.csv"}}),
        task("b", target={"s3": TARGET["s3"] | {"workspace": "/etc/passwd", "sha256": "0" * 64}}),
        task("c", source={"s3": {"storage": "backups", "key": "a"}}),
    )
    found = errors_in(wrong)

    assert found["/spec/tasks/0/source/file/path"] == "has an empty part, `.` or `..`"
    assert found["/spec/tasks/1/target/s3/workspace"] == "is no relative path"
    assert "only a source has one" in found["/spec/tasks/1/target/s3/sha256"]
    assert "/spec/tasks/2/source/s3" in found


def test_an_exclusive_workflow_stores_nothing() -> None:
    """What was sent to a storage cannot be called back when the lease ends."""
    spec = {"sideEffects": "exclusive", "params": PARAMS}
    assert errors_in(document(task("a", source=SOURCE), **spec)) == {}
    assert errors_in(document(task("a", target=TARGET), **spec)) == {
        "/spec/tasks/0/target": "storing a file cannot be ended with a lease, "
        "which sideEffects: exclusive asks for"
    }


def test_other_sources_and_targets_are_data_as_before() -> None:
    plain = document(task("a", source={"s3": {"path": "../x"}}, target={"mysql": {"endpoint": "prod"}}))
    assert errors_in(plain) == {}


def test_a_task_reads_the_record_of_an_artifact_beside_declared_outputs() -> None:
    """The region adds it to an output whose schema says nothing of it."""
    schema = {"type": "object", "properties": {"rows": {"type": "integer"}}}
    reads = {"command": ["echo", "${tasks.a.output.artifacts.target.sha256}"]}
    storing = task("a", target=TARGET, outputs=schema)
    assert errors_in(document(storing, task("b", needs=["a"], run=reads))) == {}
    assert errors_in(document(task("a", outputs=schema), task("b", needs=["a"], run=reads))) != {}


def test_a_parameter_makes_no_artifact() -> None:
    """Policy decides by what the document says: it would see a placeholder, and permit it."""
    hidden = {"f": {"storage": "exports", "path": "secret"}, "plain": {"path": "x"}}
    wrong = document(
        task("a", source={"file": "${params.f}"}), task("b", target={"s3": "${params.f}"}), params=hidden
    )
    why = "an artifact stands in the document as one: policy sees no more than a placeholder"
    assert errors_in(wrong) == {"/spec/tasks/0/source/file": why, "/spec/tasks/1/target/s3": why}
    assert errors_in(document(task("a", source={"file": "${params.plain}"}), params=hidden)) == {}
