"""A person's account as a whole: what touches identity, wallet and belongings at once.

Promises: a registration opens user, session and wallet in one transaction, or none of them. A person
gets a copy of all that is theirs, and goes without leaving more than lines in the books. Owns exports and deletions;
for all else it calls the slices below, and stands above all of them.
"""
