"""The team: who is invited into a workspace and comes in, and what is done with its members at once.

Promises: an invitation is for one address, lives seven days and is used once; its token rests nowhere in clear;
nobody invites above their own role; a seat is taken at acceptance or not at all; what is done to many members is done
to all of them or to none; a removal says what is left behind. Owns invitations; members are identity's.
"""
