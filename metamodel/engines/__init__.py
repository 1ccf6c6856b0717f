"""Where the work of collect and featurize runs: in this process, or over a cluster. One writer, the same results."""
