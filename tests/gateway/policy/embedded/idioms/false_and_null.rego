package idiom

f := false
g if not f
h if f == false
k := x if x := f
n := null
nn if not n
