"""The prompt explorer: sampled prompts of a run with outputs, labels, predictions and highlights."""
