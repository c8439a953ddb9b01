"""Who people are and what they may do: users, sessions, workspaces, members, scopes, guards, audit.

Promises: a token is worth what its session is worth, a key never more than its maker, and both end at once
everywhere; nobody acts above their role; a workspace never loses its last owner; every change of membership, role or
key leaves an audit row; a code of a second factor, a link by mail and a visit at a sign-in provider are good once.
Owns users, sessions, refresh_tokens, external_identities, oauth_attempts, email_tokens, security_events,
known_devices, api_keys, second_factors, recovery_codes, workspaces, workspace_members, scopes, scope_members,
audit_entries.
"""
