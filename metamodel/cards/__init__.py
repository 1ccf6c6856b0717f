"""Model cards of metamodels, and their way to and from the Hugging Face hub."""
