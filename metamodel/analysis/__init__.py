"""What featurizers find in texts: pure functions that several families share. Ground floor, as `metamodel.text`."""
