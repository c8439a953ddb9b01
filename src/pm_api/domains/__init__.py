"""The product, slice by slice, on the shelves that `.importlinter` holds."""
