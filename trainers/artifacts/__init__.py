"""A trained metamodel on disk and in memory: what is written, what is read back, the card beside it."""
