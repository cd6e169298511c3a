"""Checks what a document says of its tasks' outputs: their schemas, and the placeholders that read them.

`schemas` checks the schemas (`tasks[].outputs`) and knows which paths an output can have, `references` checks
placeholders such as `${tasks.export.output.rows}`. Everything is pure.
"""
