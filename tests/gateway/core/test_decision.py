"""Tests the actions of policy, and what follows from each."""

from gateway.core.decision import Action, ActionKind, kind_of


def test_nothing_but_reads_is_a_read() -> None:
    """What changes something, and is taken for a read, would be done without a record of who let it be."""
    reads = {action for action in Action if kind_of(action) is ActionKind.READ}
    assert reads == {action for action in Action if action.value.endswith((":read", ":list"))}
