"""Configs: YAML in, components out."""

from metamodel.config.plans import EvaluationPlan, RunConfig, SplitPlan
from metamodel.config.reading import build_config, load_config

__all__ = ["EvaluationPlan", "RunConfig", "SplitPlan", "build_config", "load_config"]
