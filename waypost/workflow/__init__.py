"""The document language, the same for the gateway that checks documents and the clusters that run them.

Task types, the types of `run` by executor, conditions (CEL) and their cost, placeholders, the DAG, I-JSON
limits. Everything is pure.
"""
