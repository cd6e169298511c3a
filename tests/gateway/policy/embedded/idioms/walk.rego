package idiom

secret contains concat("/", [format(p) | some p in path]) if {
	walk(input.workflow.spec.params, [path, value])
	is_string(value)
	contains(lower(value), "secret")
}

format(p) := p if is_string(p)

format(p) := sprintf("%d", [p]) if is_number(p)

depth := max([count(path) | [path, _] := walk(input.workflow)])

texts := {value | [_, value] = walk(input.workflow.metadata); is_string(value)}

commands contains word if {
	[path, value] := walk(input.workflow.spec)
	path[count(path) - 1] == "command"
	word := value[0]
}
