# Decides in which regions an accepted run may be placed now. The principal is its submitter, as decided then.
package waypost.placement

import data.waypost.caller
import data.waypost.document
import data.waypost.house
import data.waypost.reasons

decision := {
	"allow": true,
	"rules": ({"document.permitted", "tenant.permitted"} | document.closing_rules),
	"reasons": [],
	"obligations": reasons.masked(document.obligations),
} if {
	caller.deny == set()
	document.deny == set()
	deny == set()
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in refusals},
	"reasons": refusals,
	"levels": levels,
	"obligations": reasons.masked(document.obligations),
} if {
	levels := reasons.levels(refusals)
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in refusals},
	"reasons": refusals,
	"obligations": reasons.masked({}),
}

refusals := (caller.deny | document.deny) | deny

deny contains reasons.of(refusal) if some refusal in house.place
