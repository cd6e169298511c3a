# Decides in which regions an accepted run may be placed now. The principal is its submitter, as decided then.
package waypost.placement

import data.waypost.caller
import data.waypost.document
import data.waypost.house
import data.waypost.reasons

decision := {
	"allow": true,
	"rules": ["document.permitted", "tenant.permitted"],
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

deny contains reasons.of(refusal) if some refusal in house.place
