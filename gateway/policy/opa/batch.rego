# Answers several questions in one call. Waypost adds it to each bundle that it packs for OPA.
package waypost.batch

import rego.v1

submission[key] := decision if {
	some key, question in input.questions
	decision := data.waypost.submission.decision with input as question
}

access[key] := decision if {
	some key, question in input.questions
	decision := data.waypost.access.decision with input as question
}

placement[key] := decision if {
	some key, question in input.questions
	decision := data.waypost.placement.decision with input as question
}
