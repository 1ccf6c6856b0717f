"""One behavior family a file: what a language model does, as labels over its outputs."""
