"""How metamodels are fitted: Lightning, folds of whole domains, what is chosen on them, calibration."""
