"""iCalendar (RFC 5545, 5546): from events to text and back. Pure: no session, no clock, no network.

`lines` knows how a line is written, `times` how a moment is, `zones` tells time zones and takes in foreign ones,
`entries` and `writing` make calendars, `drafts` and `reading` take them apart.
"""
