"""Any OpenAI-compatible endpoint as a primary model."""
