"""A deployment's own certificates: the authority that issues them in a folder, and the exchange of its root.

A process that only uses certificates needs `waypost.tls`. May import that, and nothing of Waypost else.
"""
