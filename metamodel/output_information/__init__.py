"""Equation 3 at the level of outputs: how much outputs tell about prompts, and how much of it behaviors explain."""
