package idiom

deny contains msg if {
	required := {"team": `^[a-z]+$`, "cost": `^\d{4}$`}
	some key, pattern in required
	value := object.get(input.workflow.metadata.labels, key, "")
	not regex.match(pattern, value)
	msg := sprintf("%s: %q does not match %s", [key, value, pattern])
}
