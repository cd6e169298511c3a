package idiom

d := object.union_n([{"a": 1, "b": {"c": 1}}, input.workflow.metadata.labels, {"b": {"d": 2}}])
u := object.union({"x": {"y": 1}}, {"x": {"z": 2}})
s := union({{1, 2}, {3}})
i := intersection({{1, 2}, {2, 3}})
