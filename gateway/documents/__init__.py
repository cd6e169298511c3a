"""Parses and checks submitted workflow documents, and renders stored ones into the `RunSpec` for clusters.

`parsing` decodes JSON or YAML strictly (`strict_json`, `strict_yaml`, `yaml_plain_scalars`) into the types of
`workflow`, explains every schema error (`schema_errors`, `schema_validator`) and, where there are some,
checks the valid parts (`partial_checks`). `checks`, with `graph_checks`, `placeholder_checks` and
`condition_checks`, finds what types cannot express, `likely_mistakes` what is permitted and probably not
meant. `run_spec` renders a stored workflow for the clusters; `wfformat` converts recorded executions.

Pure: no I/O, clock or chance. Imports `gateway.core`, `gateway.settings`, `waypost` and the types of
`clusters.protocol`.
"""
