"""Reminders that cost credits: one mail to who has not been here for as many days as they chose.

Promises: off until a person switches it on; one reminder an absence, however many workers look; its price leaves the
person's own wallet in the transaction that tells them, so neither happens without the other; who has too few credits
is left alone until they have been here again. Owns no table: what they chose stands among their preferences.
"""
