"""Description lengths of a run's metamodels: two-part and prequential, equation 6 over alpha, the frontier."""
