package idiom

now := input.at * 1000000000
weekend if time.weekday(now) in {"Saturday", "Sunday"}
clock := time.clock(now)
clock2 := time.clock([now, "Asia/Shanghai"])
d := time.date(now)

late if {
	[h, _, _] := time.clock([now, "UTC"])
	h >= 20
}

office if {
	[h, m, _] := time.clock(now)
	(h * 60) + m >= 540
}
