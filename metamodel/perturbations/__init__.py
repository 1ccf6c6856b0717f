"""Weight perturbations: primary models derived from others, and what moves when the weights do."""
