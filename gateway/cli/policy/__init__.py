"""The commands about rules of policy: try them (`rules`), and make the bundle that OPA loads (`bundles`).

They read files, and talk to no gateway.
"""
