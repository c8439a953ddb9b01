"""Queries of notifications: `rows` for what people see, `choices` for what they chose, `mailings` for what waits."""
