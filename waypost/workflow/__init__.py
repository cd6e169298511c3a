"""The document language, the same for the gateway that checks documents and the clusters that run them.

Task types, the types of `run` by executor, the text of conditions (CEL), placeholders, the DAG, I-JSON
limits. Everything is pure.
"""
