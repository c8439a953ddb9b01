"""Whatever happens, in whatever order: laws that hold for every sequence of commands."""
