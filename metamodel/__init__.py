"""Predict what a language model will do, from its input alone."""
