"""The bundled tiny primary models: four architectures, one tokenizer, the same data."""

from metamodel.zoo.architectures import ZOO_NAMES
from metamodel.zoo.catalog import describe, zoo_folder

__all__ = ["ZOO_NAMES", "describe", "zoo_folder"]
