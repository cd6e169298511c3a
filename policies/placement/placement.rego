# Where may a stored run be now? Asked for its submitter, by tenant: scopes and groups were that token's, and are not kept.
package waypost.placement

import rego.v1

import data.waypost.answer
import data.waypost.caller
import data.waypost.document

refusals := caller.refusals | document.refusals

decision := answer.permit(["document.permitted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = document.obligations
}

decision := answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
