"""The bundled tiny primary models: four architectures, one tokenizer, the same data."""
