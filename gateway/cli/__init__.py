"""The `waypost` command line: one file per command, and the client, arguments and output they share.

Commands about runs are in `runs/`, about regions in `regions/`, about rules in `policy/`, and `waypost up`
in `dev/`. A command's docstring is its help text. The package may import everything in `gateway` but
`gateway/__main__`, which starts it, and `clusters`, `observability` and `waypost`; commands that talk to a
gateway do so over its HTTP API alone.
"""
