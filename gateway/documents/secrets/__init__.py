"""The secrets of a workflow document, which has their names, never their values: `checks` finds mistakes."""
