"""The labels of a workflow document: `checks` finds mistakes, `filling` fills in their placeholders. Pure."""
