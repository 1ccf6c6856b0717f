"""How a score moves with a model's parameters and training tokens: regressions, inverse scaling, mirages."""
