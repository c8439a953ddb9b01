"""Projects: work with one aim, who is in it, and what its tasks may be.

Owns projects and their statuses, labels and fields. Promises: a plan's number of projects is never passed; what a
project's scope hides is hidden everywhere; a deleted project comes back whole within 30 days.
"""
