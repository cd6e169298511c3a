"""The I/O of one region: calls its cluster, and turns answers and events into reports for the controller.

It is the only part of the reconciler that awaits a region. It decides nothing: the controller drains its
inbox at each pass and asks for the next probe, batch or listing. Imports `clusters` (interface, protocol,
errors), the store's `Cursor` and `gateway.settings`; nothing else of the reconciler.
"""
