package idiom

a := (input.workflow.spec.priority * 2) + 1
b := 7 % 3
c := 10 / 4
d := abs(0 - 3)
e := round(2.5)
f := ceil(1.2) + floor(1.8)
g := input.workflow.spec.priority - 10
h := -1
k := [x | some x in [-1, -2.5]]
