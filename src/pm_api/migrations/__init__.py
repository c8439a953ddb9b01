"""Alembic migrations, shipped inside the package so that the one image can migrate."""
