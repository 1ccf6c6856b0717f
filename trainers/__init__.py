"""One kind of metamodel a file; networks are plain modules and Lightning only wraps them."""
