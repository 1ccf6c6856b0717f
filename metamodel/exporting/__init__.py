"""From a trained run to a pre-screen's folder: `metamodel export`."""
