"""The ladder of sizes: bits gained on held-out domains against bits of description."""
