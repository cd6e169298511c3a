"""The workflow document language, shared by the gateway, which checks documents, and the clusters.

Task types, the types of `run` by executor, the text of conditions (CEL), placeholders, the DAG, I-JSON
limits. Everything is pure (no I/O, no clock).
"""
