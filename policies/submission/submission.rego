# Decides whether the caller may submit the workflow.
package waypost.submission

import data.waypost.caller
import data.waypost.document
import data.waypost.house
import data.waypost.reasons

decision := {
	"allow": true,
	"rules": ["document.permitted", "scope.granted", "tenant.permitted"],
	"reasons": [],
	"obligations": object.union(document.obligations, reasons.unrecorded),
} if {
	count(deny) == 0
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in deny},
	"reasons": deny,
	"levels": levels,
	"obligations": object.union(document.obligations, reasons.unrecorded),
} if {
	levels := reasons.levels(deny)
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in deny},
	"reasons": deny,
	"obligations": reasons.unrecorded,
}

deny contains reason if some reason in caller.deny

deny contains reason if some reason in document.deny

deny contains {"rule": "scope.missing", "message": "scope: workflows:submit is missing"} if not granted

deny contains reasons.of(refusal) if some refusal in house.submit

granted if "workflows:submit" in input.principal.scopes
