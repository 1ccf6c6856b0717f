"""Behaviors in training data against behaviors in outputs: shared, contingent, idiosyncratic or unexpressed."""
