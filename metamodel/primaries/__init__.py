"""Primary models: what can be sampled."""
