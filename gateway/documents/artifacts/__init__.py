"""The artifacts of a workflow document, files that clusters fetch and store: `checks` finds mistakes."""
