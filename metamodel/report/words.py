"""What the report says in running words."""

from __future__ import annotations

from typing import Final

EXAMPLE_WORDS: Final = (
    "Predicted is the probability of yes, or the likeliest outcomes. Surprise is -log2 of the probability given to "
    "what came, in bits: large where the metamodel was wrong. Characters that cannot be seen are named, as U+200B; a "
    "looping stretch of output is marked."
)
HEADLINE_LEAD: Final = (
    "Counted over behaviors of primary models, each by its best trained metamodel there. The best is picked on these "
    "same figures, which flatters it a little where several are close."
)
RULES: Final = {
    True: "A metamodel beats a baseline if the 95 % interval of their paired difference lies above zero; where there "
    "is no paired difference, if the two intervals do not overlap.",
    False: "A metamodel beats a baseline if its 95 % interval lies wholly above the baseline's: a strict rule, since "
    "the two are scored on the same prompts.",
}
GLOSSARY: Final = (
    (
        "Bits gained",
        (
            "The entropy of the label, H(F), less the metamodel's cross-entropy. Zero is what the best constant "
            "scores on the very same prompts; below zero the metamodel misleads. In brackets: the 95 % interval "
            "of a bootstrap over prompts."
        ),
    ),
    (
        "Ceiling",
        (
            "The noise ceiling I(F; X): the most bits that any function of the prompt can gain, since the primary "
            "model draws at random. The share of the ceiling is the bits gained divided by it."
        ),
    ),
    (
        "Held-out domains",
        (
            "The domain scored had no prompt in training, early stopping, feature fitting or calibration; the "
            "figure is the mean over domains. In distribution: a test split of domains that were trained on."
        ),
    ),
    (
        "AUROC",
        ("How often a prompt with the behavior is ranked above one without; 0.5 is chance."),
    ),
    (
        "ECE",
        ("Expected calibration error: how far predicted probabilities are from observed frequencies; 0 is best."),
    ),
)
THIS_PAGE: Final = (
    "This page",
    (
        "The bar at the top narrows charts and tables all over the page; baselines and the sums over all domains "
        "stay. The names of a legend switch its curves off and on; headings of tables sort them; with a chart in "
        "focus, the arrow keys step through its values."
    ),
)
