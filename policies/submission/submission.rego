# May this caller submit this workflow?
package waypost.submission

import rego.v1

import data.waypost.answer
import data.waypost.caller
import data.waypost.document

unscoped contains {"rule": "scope.missing", "message": "scope: workflows:submit is missing"} if not caller.granted("workflows:submit")

refusals := (unscoped | caller.refusals) | document.refusals

decision := answer.permit(["document.permitted", "scope.granted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = document.obligations
}

decision := answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
