"""Calendar: events and series of them, who comes, rooms, feeds, free time, and what changed since.

Promises: wall time and zone are what was agreed, UTC is worked out from them; an occurrence has an address before it
has a row, and keeps it wherever it is moved; what is private is "Busy" to others everywhere; a room is never booked
twice for one moment. Owns all tables calendar_*.
"""
