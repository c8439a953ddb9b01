"""Backend of a project-management SaaS: one async service over PostgreSQL. The house is described in README.md."""

__version__ = "0.1.0"
