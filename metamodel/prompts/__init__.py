"""Where prompts come from: seeded generators of domains, and files."""

from __future__ import annotations

# No model of the zoo saw these in training: what it does there is what a language model does on tasks new to it.
ZOO_HELD_OUT_DOMAINS = (
    "redefined_math",
    "negated_question",
    "summary",
    "mechanistic",
    "repeated_text",
    "memo_trap",
    "pattern_suppression",
    "mistaken_capitals",
)

GENERATED_DOMAINS = (
    "addition",
    "subtraction",
    "multiplication",
    "comparison",
    "sorting",
    "reversal",
    "successor",
    "cycle",
    "recall",
    "quote_repetition",
    "redefined_math",
    "negated_question",
    "hindsight_bet",
    "capitals",
    "counterfactual_capitals",
    "story",
    "summary",
    "mechanistic",
    "repeated_text",
    "memo_trap",
    "pattern_suppression",
    "mistaken_capitals",
)
