"""The conformance suite of `ClusterAdapter`: inherit it, and provide the fixture `cluster`."""

from tests.conformance.cluster_batches import BatchConformance
from tests.conformance.cluster_streams import EventStreamConformance, LogConformance


class ClusterAdapterConformance(BatchConformance, EventStreamConformance, LogConformance):
    """The conformance tests of everything that a cluster promises to the gateway.

    Each test starts with an empty cluster of the region beijing that has the executors `delay` and `process`.
    """
