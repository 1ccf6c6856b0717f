"""What metamodels read of a text: hashed n-grams, lengths, surface features, pretrained vectors and states."""
