package idiom

deny contains "x" if not has_team

has_team if {
	some k, _ in input.workflow.metadata.labels
	k == "team"
}

allow if not deny
allow2 if count(deny) == 0
