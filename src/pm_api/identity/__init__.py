"""Who people are and what they may do: users, sessions, workspaces, members, scopes, guards, audit.

Promises: a token is worth what its session is worth, and a session ends at once everywhere; nobody acts above
their role; a workspace never loses its last owner; every change of membership leaves an audit row. Owns users,
sessions, refresh_tokens, workspaces, workspace_members, scopes, scope_members, audit_entries.
"""
