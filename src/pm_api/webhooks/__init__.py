"""What providers tell us: verified over the raw bytes, stored once, answered at once, worked off by a job.

Promises: nothing unsigned is stored; a duplicate does nothing; one subject's events are applied by one worker at a
time; an event that cannot be applied is held and shown. Uses the inbox of the core.
"""
