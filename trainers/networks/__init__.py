"""Networks as plain modules: the mathematics alone."""
