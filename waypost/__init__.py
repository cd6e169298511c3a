"""The building blocks that gateway and clusters share, and that users import: the lowest floor.

`sqlite_group_commit` is the SQLite database with group commit, `sqlite_files/` its lock and check;
`serving` and `http_protocol` are the HTTP server; `tls`, `pki` and `certificates` are mutual TLS and its
certificates; `files/` makes files that only their owner may read.
`problem_documents`, `json_pointer` and `trace_context` write what HTTP answers carry.
`worker_pool` has requests answered in child processes that can be killed (`worker_process` is what runs
there); `condition_evaluation/` evaluates conditions in them. `workflow/` is the document language.
Imports nothing else of this project.
"""
