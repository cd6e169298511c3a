package idiom

ty[k] := type_name(v) if some k, v in input.workflow.spec
isn if is_null(input.workflow.spec.dataClass)
iss := is_string(input.workflow.metadata.name)
