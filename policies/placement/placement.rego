# Where may a stored run be now? Asked for its submitter, by tenant: scopes and groups were that token's, and are not kept.
package waypost.placement

import rego.v1

refusals := data.waypost.caller.refusals | data.waypost.document.refusals

decision := data.waypost.answer.permit(["document.permitted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = data.waypost.document.obligations
}

decision := data.waypost.answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
