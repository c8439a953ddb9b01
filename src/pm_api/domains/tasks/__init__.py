"""Tasks: what is to be done, by whom, in which order, and what was said and done about it.

Owns tasks and all that hangs on them. Promises: numbers are unique within a project; a column has one order that all
see alike; additions and removals of labels and people lose nothing; a change can be taken back for ten minutes.
"""
