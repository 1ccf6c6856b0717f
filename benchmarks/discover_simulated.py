"""Simulated models for `benchmarks/discover.py`: prompts, labels, and a metamodel that knows all of them but one thing.

Shapes: n = prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from metamodel.discovery.core import PreparedPrompts, SearchPlan, corrected, prepare, search_cell
from metamodel.discovery.residuals import Cell
from metamodel.discovery.verify import Tested
from metamodel.labels import Binary, Categorical, Count, LabelSpace
from metamodel.types import FloatArray

Planted = Literal["phrase", "length", "topic", "two at once"]
PLANTED: Final[tuple[Planted, ...]] = ("phrase", "length", "topic", "two at once")
N_DOMAINS: Final = 6
N_TOPICS: Final = 10
PLANTED_TOPIC: Final = 3
LEAST_PRECISION: Final = 0.5
LEAST_RECALL: Final = 0.25
_FROM_DOMAIN: Final = 0.2
_FROM_TOPIC: Final = 0.3
_WITH_PHRASE: Final = 0.04
_WITH_HALF_OF_IT: Final = 0.08
_QUESTIONS: Final = 0.3
_PHRASE: Final = "amber lantern"
_SYLLABLES: Final = ("ba", "ke", "li", "mo", "nu", "pra", "sti", "tor", "vel", "zan", "qui", "dro")


@dataclass(frozen=True, kw_only=True)
class SimulatedPrompts:
    """Prompts of six domains with topics that cross them.

    Attributes:
        texts: Prompts, n of them.
        domains: Their domains.
        topics: Number of each prompt's topic, [n].
        knowns: What the simulated model's behavior is known to depend on, [n].
    """

    texts: Sequence[str]
    domains: Sequence[str]
    topics: NDArray[np.int64]
    knowns: FloatArray


def simulated_prompts(n: int, *, seed: int) -> SimulatedPrompts:
    """Return n prompts of made-up words; the phrase is in one of twenty-five, whatever else is in the prompt."""
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(_SYLLABLES, size=int(rng.integers(2, 4)))) for _ in range(1600)])
    general = words[:400]
    of_domain = words[400:1000].reshape(N_DOMAINS, -1)
    of_topic = words[1000:1600].reshape(N_TOPICS, -1)
    texts, domains, topics, knowns = [], [], [], []
    for _ in range(n):
        domain, topic = int(rng.integers(N_DOMAINS)), int(rng.integers(N_TOPICS))
        length = int(np.clip(rng.lognormal(3.0, 0.5), 6, 120))
        ranks = np.minimum((rng.pareto(1.0, size=length) * 6).astype(int), 399)
        chosen = general[ranks]
        from_domain = rng.random(length) < _FROM_DOMAIN
        chosen[from_domain] = rng.choice(of_domain[domain], size=int(from_domain.sum()))
        from_topic = rng.random(length) < _FROM_TOPIC
        chosen[from_topic] = rng.choice(of_topic[topic], size=int(from_topic.sum()))
        said = chosen.tolist()
        if rng.random() < _WITH_PHRASE:
            said.insert(int(rng.integers(len(said))), _PHRASE)
        elif rng.random() < _WITH_HALF_OF_IT:
            said.insert(int(rng.integers(len(said))), _PHRASE.split()[int(rng.integers(2))])
        texts.append(" ".join(said) + ("?" if rng.random() < _QUESTIONS else "."))
        domains.append(f"domain {domain}")
        topics.append(topic)
        knowns.append(0.6 * domain - 1.5 + 0.8 * (said.count(str(general[0])) > 0))
    return SimulatedPrompts(texts=texts, domains=domains, topics=np.array(topics), knowns=np.array(knowns))


def planted_slice(prompts: SimulatedPrompts, planted: Planted) -> NDArray[np.bool_]:
    """Return where the simulated model does what no metamodel knows of, [n]."""
    lengths = np.array([len(text.split()) for text in prompts.texts])
    asks = np.array([text.endswith("?") for text in prompts.texts])
    slices: dict[Planted, Callable[[], NDArray[np.bool_]]] = {
        "phrase": lambda: np.array([_PHRASE in text for text in prompts.texts]),
        "length": lambda: lengths >= np.quantile(lengths, 0.85),
        "topic": lambda: prompts.topics == PLANTED_TOPIC,
        "two at once": lambda: asks & (lengths >= np.quantile(lengths, 0.6)),
    }
    return slices[planted]()


def binary_cell(
    prompts: SimulatedPrompts, *, seed: int, shift: FloatArray | float = 0.0, name: str = "simulated"
) -> Cell:
    """Return labels of a binary behavior, and the probabilities of a metamodel that knows all of it but the shift.

    Args:
        prompts: The prompts.
        seed: Fixes the labels.
        shift: Added to the log-odds of each prompt, unknown to the metamodel.
        name: Name of the behavior.
    """
    known = 1 / (1 + np.exp(-prompts.knowns))
    truth = 1 / (1 + np.exp(-(prompts.knowns + shift)))
    is_yes = np.random.default_rng(seed).random(len(truth)) < truth
    return _cell(
        Binary(), np.column_stack([~is_yes, is_yes]).astype(np.int64), np.column_stack([1 - known, known]), name
    )


def noise_cells(prompts: SimulatedPrompts, *, seed: int) -> list[Cell]:
    """Return five behaviors that a metamodel knows exactly: common, rare, of several samples, of classes, a count."""
    rng = np.random.default_rng(seed)
    n = len(prompts.texts)
    common = 1 / (1 + np.exp(-prompts.knowns))
    rare = 0.02 / (1 + np.exp(-prompts.knowns)) + 0.005
    classes = rng.dirichlet(np.ones(4), size=N_DOMAINS)[[int(domain[-1]) for domain in prompts.domains]]
    space = Count(edges=(1, 2, 3, 5, 9))
    bins = np.stack([np.exp(-((np.arange(6) - 2 - prompts.knowns[row] / 2) ** 2) / 2) for row in range(n)])
    bins /= bins.sum(axis=1, keepdims=True)
    drawn: list[tuple[str, LabelSpace, FloatArray, int]] = [
        ("common", Binary(), np.column_stack([1 - common, common]), 1),
        ("rare", Binary(), np.column_stack([1 - rare, rare]), 1),
        ("four samples", Binary(), np.column_stack([1 - common, common]), 4),
        ("classes", Categorical(classes=("a", "b", "c", "d")), classes, 1),
        ("count", space, bins, 1),
    ]
    return [
        _cell(label_space, rng.multinomial(n_samples, probabilities), probabilities, name)
        for name, label_space, probabilities, n_samples in drawn
    ]


def search(prepared: PreparedPrompts, cells: Sequence[Cell], *, alpha: float | None = None) -> list[Tested]:
    """Search the cells as `metamodel discover` would."""
    found = [one for cell in cells for one in search_cell(prepared, {"simulated": cell}, ["simulated"]).candidates]
    return corrected(found, prepared.plan.alpha if alpha is None else alpha)


def prepared_prompts(prompts: SimulatedPrompts, *, seed: int) -> PreparedPrompts:
    """Divide simulated prompts into halves and name what may single a slice out."""
    return prepare(prompts.texts, prompts.domains, SearchPlan(seed=seed))


def naming(prepared: PreparedPrompts, found: Sequence[Tested], planted: NDArray[np.bool_]) -> list[Tested]:
    """Return the verified slices that name the planted one: half of them is planted, a quarter of that is in them."""
    good = []
    for one in found:
        inside = prepared.conditions.prompts_of(one.slice)
        shared = (inside & planted).sum()
        if (
            one.discovery.is_verified
            and shared >= LEAST_PRECISION * inside.sum()
            and shared >= LEAST_RECALL * planted.sum()
        ):
            good.append(one)
    return good


def _cell(space: LabelSpace, counts: NDArray[np.int64], probabilities: FloatArray, name: str) -> Cell:
    return Cell(
        primary="simulated",
        behavior=name,
        split="in_distribution",
        metamodel="simulated",
        space=space,
        rows=np.arange(len(counts)),
        counts=counts,
        probabilities=probabilities,
    )
