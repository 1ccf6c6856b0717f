"""The parts of stage featurize: generations as batches, labels on their way to shards."""
