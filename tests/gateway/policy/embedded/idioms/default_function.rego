package idiom

default cap(_) := 5

cap(t) := 10 if t == "gold"
cap(t) := 7 if t == "silver"
c1 := cap(object.get(input.workflow.metadata.labels, "tier", "x"))
c2 := cap("silver")
