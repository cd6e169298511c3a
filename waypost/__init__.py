"""Modules that gateway and clusters share: SQLite, HTTP serving, TLS, child processes, workflow documents.

`sqlite_group_commit` is the SQLite database with group commit, `sqlite_files/` its lock and check; `serving`
and `http_protocol` are the HTTP server; `tls`, `pki` and `certificates` are mutual TLS and its certificates;
`files/` makes files that only their owner may read. `problem_documents` and `json_pointer` write parts of
HTTP answers; `tracing/` reads and writes W3C trace context. `worker_pool` sends requests to child processes
that can be killed (`worker_process` is their main loop); `condition_evaluation/` evaluates conditions in
them. `workflow/` is the document language. Imports nothing else of this project.
"""
