"""Features that hold across domains against those that are merely frequent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import csr_array

from metamodel.labels import Binary, Categorical, Count, LabeledPrompts, LabelSpace, LabelTable
from metamodel.types import FloatArray, IntArray
from trainers.inputs.bag_features import BagFeatures
from trainers.inputs.hashing import NGramScheme, count_ngrams
from trainers.inputs.selection import most_stable

SCHEME = NGramScheme(n_buckets=2**20, word_ngrams=(1,), character_ngrams=(), max_characters=1000)
DOMAINS = ("law", "plays", "sums", "maps")


def prompts_of(domains: Sequence[str], labels: dict[str, tuple[LabelSpace, IntArray]]) -> LabeledPrompts:
    """Return prompts with different texts."""
    return LabeledPrompts(
        texts=tuple(f"text {number}" for number in range(len(domains))),
        domains=tuple(domains),
        labels={name: LabelTable(space=space, codes=codes[:, None]) for name, (space, codes) in labels.items()},
    )


def binary(yes: FloatArray) -> tuple[LabelSpace, IntArray]:
    """Return one behavior's labels."""
    return Binary(), yes.astype(np.int64)


def chosen(present: FloatArray, prompts: LabeledPrompts, *, most: int = 1, expects_shift: bool = True) -> list[int]:
    """Return the columns chosen from a table of what is present."""
    table = csr_array(present.astype(np.float32))
    return most_stable(table, prompts, most=most, expects_shift=expects_shift, seed=0).tolist()


def planted_shift(seed: int) -> LabeledPrompts:
    """Return prompts where `tip` decides in every domain, and `cue`, twice as frequent, in the domain `law` alone."""
    rng = np.random.default_rng(seed)
    domains = rng.choice(DOMAINS, 2000)
    has_cue, has_tip = rng.random(2000) < 0.6, rng.random(2000) < 0.3
    chance = np.where(has_tip, 0.75, 0.45)
    chance[domains == "law"] = np.where(has_cue, 0.95, 0.05)[domains == "law"]
    filler = rng.integers(0, 40, (2000, 4))
    texts = [
        " ".join(["cue"] * cue + ["tip"] * tip + [f"w{word}" for word in words])
        for cue, tip, words in zip(has_cue.tolist(), has_tip.tolist(), filler, strict=True)
    ]
    codes = (rng.random(2000) < chance).astype(np.int64)[:, None]
    return LabeledPrompts(
        texts=tuple(texts), domains=tuple(domains.tolist()), labels={"f": LabelTable(space=Binary(), codes=codes)}
    )


def bucket_of(word: str) -> int:
    """Return a word's bucket: the one that the text without it does not have."""
    with_word, without = (set(next(iter(count_ngrams([text], SCHEME))).buckets.tolist()) for text in (word, ""))
    (bucket,) = with_word - without
    return int(bucket)


def test_a_domain_specific_cue_is_left_out() -> None:
    """The most frequent words include a cue of one domain; the most stable one is what holds in all."""
    prompts = planted_shift(0)
    features, inputs = BagFeatures.fit(prompts.texts, SCHEME, min_prompts=3)
    frequency = np.bincount(inputs.ngrams.indices, minlength=len(features.buckets))
    shared_by_all = frequency.max()  # the marks of begin and end
    by_frequency = features.buckets[np.argsort(-np.where(frequency < shared_by_all, frequency, 0))]
    assert by_frequency[0] == bucket_of("cue")
    stable, _ = BagFeatures.fit_stable(prompts, SCHEME, min_prompts=3, most=1, expects_shift=True, seed=0)
    assert stable.buckets.tolist() == [bucket_of("tip")]


def test_inputs_are_those_of_new_texts() -> None:
    """What training gets of its texts is what prediction computes of them, bit for bit."""
    prompts = planted_shift(1)
    features, inputs = BagFeatures.fit_stable(prompts, SCHEME, min_prompts=3, most=12, expects_shift=True, seed=0)
    assert 2 <= len(features.buckets) <= 12
    assert np.array_equal(features.inputs(prompts.texts).ngrams.toarray(), inputs.ngrams.toarray())


def test_domain_tags_stay_where_no_shift_is_expected() -> None:
    """A feature that only tells domains apart says much in distribution and nothing about a new domain."""
    rng = np.random.default_rng(0)
    domains = np.repeat(["a", "b", "c", "d"], 200)
    is_a = (domains == "a").astype(float)
    weak = (rng.random(800) < 0.5).astype(float)
    yes = (rng.random(800) < 0.3 + 0.5 * is_a + 0.15 * weak).astype(float)
    prompts = prompts_of(domains.tolist(), {"f": binary(yes)})
    table = np.stack([is_a, weak], axis=1)
    assert chosen(table, prompts, expects_shift=True) == [1]
    assert chosen(table, prompts, expects_shift=False) == [0]


def test_stability_matches_a_plain_loop() -> None:
    """The ranking is that of the smallest pooled statistic without one domain, computed prompt by prompt."""
    rng = np.random.default_rng(4)
    domains = rng.choice(DOMAINS, 240)
    table = (rng.random((240, 12)) < rng.uniform(0.1, 0.9, 12)).astype(float)
    yes = (rng.random(240) < 0.3 + 0.4 * table[:, 3]).astype(float)
    u, v = np.zeros((4, 12)), np.zeros((4, 12))
    for place, domain in enumerate(DOMAINS):
        rows = np.flatnonzero(domains == domain)
        n, mean = len(rows), yes[rows].mean()
        for column in range(12):
            n_with = sum(table[row, column] for row in rows)
            u[place, column] = sum(table[row, column] * (yes[row] - mean) for row in rows)
            v[place, column] = n_with * (n - n_with) / (n - 1) * mean * (1 - mean)
    floor = 0.01 * v.sum(axis=0).max()
    without = [[rest.sum(axis=0) for rest in (np.delete(u, g, axis=0), np.delete(v, g, axis=0))] for g in range(4)]
    score = np.min([np.sign(u.sum(axis=0)) * a / np.sqrt(b + floor) for a, b in without], axis=0)
    prompts = prompts_of(domains.tolist(), {"f": binary(yes)})
    for most in (1, 3, 5):
        assert chosen(table, prompts, most=most) == sorted(np.argsort(-score)[:most].tolist())
    assert len(chosen(table, prompts, most=12)) == int((score > 0).sum())


def test_behaviors_with_few_labels_get_their_share() -> None:
    """Two behaviors, one of them labeled in a tenth of the prompts: each has its own feature among the best two."""
    rng = np.random.default_rng(2)
    table = (rng.random((1000, 3)) < 0.5).astype(float)
    table[:, 2] = np.where(rng.random(1000) < 0.9, table[:, 0], table[:, 2])  # nearly the first one's double
    many = (rng.random(1000) < 0.1 + 0.8 * table[:, 0]).astype(float)
    few = np.where(rng.random(1000) < 0.1, rng.random(1000) < 0.1 + 0.8 * table[:, 1], -1).astype(float)
    prompts = prompts_of(rng.choice(DOMAINS, 1000).tolist(), {"many": binary(many), "few": binary(few)})
    assert chosen(table, prompts, most=2) == [0, 1]


@pytest.mark.parametrize("space", [Categorical(classes=("a", "b", "c")), Count(edges=(1, 2))])
def test_spaces_of_more_outcomes(space: LabelSpace) -> None:
    """Classes count one by one, ordered outcomes by their mean."""
    rng = np.random.default_rng(3)
    table = (rng.random((900, 4)) < 0.5).astype(float)
    codes = np.where(rng.random(900) < 0.7, 2 * table[:, 1], rng.integers(0, 3, 900)).astype(np.int64)
    assert chosen(table, prompts_of(rng.choice(DOMAINS, 900).tolist(), {"f": (space, codes)})) == [1]


@pytest.mark.parametrize(
    ("domains", "yes"),
    [
        (["a"] * 20, np.ones(20)),
        (["a", "b"] * 10, np.full(20, -1.0)),
        (["a"], np.ones(1)),
        ([f"d{number}" for number in range(20)], np.arange(20) % 2),
    ],
    ids=["one class", "no label", "one prompt", "a domain a prompt"],
)
def test_nothing_to_choose_by(domains: list[str], yes: FloatArray) -> None:
    """Labels that say nothing within domains choose nothing, and the bag then keeps one bucket."""
    prompts = prompts_of(domains, {"f": binary(yes)})
    assert chosen(np.ones((len(domains), 2)), prompts) == []
    features, inputs = BagFeatures.fit_stable(prompts, SCHEME, min_prompts=1, most=5, expects_shift=True, seed=0)
    assert inputs.ngrams.shape == (len(domains), len(features.buckets))
    assert len(features.buckets) >= 1


def test_one_domain_is_divided_by_text() -> None:
    """With a single training domain groups of prompts stand in for domains."""
    rng = np.random.default_rng(5)
    table = (rng.random((400, 3)) < 0.5).astype(float)
    yes = (rng.random(400) < 0.1 + 0.8 * table[:, 2]).astype(float)
    assert chosen(table, prompts_of(["only"] * 400, {"f": binary(yes)})) == [2]
