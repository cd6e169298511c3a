"""Reads large documents, and those with conditions or mistakes, in processes that can be killed.

One call into a parser or a pattern holds the interpreter's lock for as long as it takes, on a thread too: in
the gateway's own process it would keep everybody waiting. `document_reader` asks a process, `worker_main` is
what runs there, `messages` go to and fro. In the process `read_document` parses and checks, and
`try_conditions` compiles and evaluates the conditions. What comes back is an outline of the workflow and its
canonical JSON, which the gateway's process never parses. May import what `gateway/submission` may.
"""
