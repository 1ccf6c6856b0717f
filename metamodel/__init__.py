"""Predict what a language model will do, from its input alone.

>>> import metamodel
>>> config = metamodel.load_config("configs/quickstart.yaml")
>>> sorted(config.metamodels)
['bag', 'base_rate', 'domain_tag', 'prompt_length', 'tfidf_logistic']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metamodel.config import RunConfig, build_config, load_config
    from metamodel.metamodels import load_metamodel
    from metamodel.pipeline import run, run_stages
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import Prompt, Sampling

__all__ = [
    "Prompt",
    "RunConfig",
    "RunDirectory",
    "Sampling",
    "build_config",
    "load_config",
    "load_metamodel",
    "run",
    "run_stages",
]

_HOMES = {
    "Prompt": "metamodel.types",
    "RunConfig": "metamodel.config",
    "RunDirectory": "metamodel.store.run_directory",
    "Sampling": "metamodel.types",
    "build_config": "metamodel.config",
    "load_config": "metamodel.config",
    "load_metamodel": "metamodel.metamodels",
    "run": "metamodel.pipeline",
    "run_stages": "metamodel.pipeline",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import metamodel` costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'metamodel' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
