# Regions that house rules close: they narrow what the data permit, and cannot widen it.
package waypost.document

import data.waypost.house

permitted := offered - {closure.region | some closure in closures} if {
	closing
} else := offered

# Whether house rules say anything of regions. Asked first: mostly they do not, and nothing below is evaluated.
closing if house.closed != set()

closures contains closure_of(entry) if some entry in entries

entries := house.closed if is_set(house.closed)

# An entry of the hook is a region's name, or that with a rule and a sentence.
closure_of(entry) := object.union({"rule": "house", "message": sprintf("placement: %s is closed", [entry.region])}, entry) if {
	is_string(entry.region)
}

closure_of(entry) := {"region": entry, "rule": "house", "message": sprintf("placement: %s is closed", [entry])} if is_string(entry)

# The ids of the rules that have closed a region which the data offer.
closing_rules contains closure.rule if {
	closing
	some closure in closures
	closure.region in offered
}

# Where nothing is left: by whom what would have been a place was closed.
complaints contains {"rule": closure.rule, "message": closure.message} if {
	some closure in closures
	permitted & wanted == set()
	closure.region in (offered & wanted)
}

wanted := wishes if {
	wishes != set()
} else := offered

# What cannot be read would close nothing.
complaints contains {"rule": "closed.unreadable", "message": "placement: an entry of `closed` in the house rules names no region"} if {
	some entry in entries
	not closure_of(entry)
}

complaints contains {"rule": "closed.unreadable", "message": "placement: `closed` in the house rules is no set"} if not is_set(house.closed)

deny contains complaint if {
	closing
	some complaint in complaints
}
