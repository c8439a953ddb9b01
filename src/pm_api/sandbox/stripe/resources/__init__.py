"""The API's resources, one module per family; each offers its `ROUTES`."""
