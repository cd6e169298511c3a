"""The conformance suite of `ClusterAdapter`: inherit it, and provide the fixture `cluster`."""

from tests.conformance.cluster_batches import BatchConformance
from tests.conformance.cluster_streams import EventStreamConformance, LogConformance


class ClusterAdapterConformance(BatchConformance, EventStreamConformance, LogConformance):
    """Everything that a cluster promises.

    Each test starts with an empty cluster of the region beijing that has the executors `delay` and `process`.
    """
