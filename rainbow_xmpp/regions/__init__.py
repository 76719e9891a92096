"""People of other regions: who is at home where, and what goes to them and comes from them.

A person abroad is an `Account` with `abroad` set, held in memory for minutes and never written down. What is said to
them goes the way of every stanza up to `deliver`, and from there over the border; at their home it comes in as though
its sender were a session of that region, and the gate is asked there too.
"""
