"""From features to outcome probabilities: likelihoods, linear heads, trees."""
