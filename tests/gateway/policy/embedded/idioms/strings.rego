package idiom

n := input.workflow.metadata.name
u := upper(n)
t := trim(n, "n")
p := trim_prefix(n, "ni")
s := substring(n, 0, 3)
i := indexof(n, "g")
f := format_int(255, 16)
sp := split("a,b,c", ",")
cc := concat("-", sp)
tn := to_number("42")
ts := trim_space("  x ")
st := strings.reverse(n)
e := endswith(n, "ly")
x := strings.any_prefix_match([n], ["nig", "x"])
rp := replace(n, "n", "m")
sc := strings.count(n, "n")
