"""Configs: YAML in, components out."""

from metamodel.config.plans import EvaluationPlan, RunConfig, SplitPlan
from metamodel.config.reading import build_config, load_config
from metamodel.config.search import TunePlan

__all__ = ["EvaluationPlan", "RunConfig", "SplitPlan", "TunePlan", "build_config", "load_config"]
