"""The run directory: Parquet rows, safetensors weights, JSON facts; written atomically, never pickle."""
