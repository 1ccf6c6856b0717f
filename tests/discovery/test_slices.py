"""What slices are made of: words, near-duplicates, halves, conditions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from metamodel.discovery.conditions import Conditions, Slice, joined_conditions
from metamodel.discovery.core import SearchPlan, prepare
from metamodel.discovery.halves import near_duplicate_groups, search_half
from metamodel.discovery.phrases import phrase_conditions
from metamodel.discovery.surface import surface_conditions
from metamodel.discovery.tokens import read_tokens

WORDS = ("stone", "river", "cloud", "paper", "horse", "bread", "window", "garden", "lamp", "winter", "salt", "voice")


def sentences(n: int, *, seed: int = 0, length: int = 16) -> list[str]:
    """Return sentences without near-duplicates among them."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, length)) for _ in range(n)]


def test_near_duplicates_never_straddle_halves() -> None:
    """A prompt that verifies may not be a copy of one that was searched: case, marks, numbers, a word more."""
    originals = sentences(200)
    texts, of_original = [], []
    for number, text in enumerate(originals):
        changed = text.split()
        versions = [text, text.upper() + "!!", f"{text} now", f"{text} then", " ".join([*changed[:15], "oddly"])]
        texts += versions
        of_original += [number] * len(versions)
    texts += [f"{text} no {number}" for text in originals for number in (17, 2300)]
    of_original += [number for number in range(200) for _ in (0, 1)]
    domains = [f"d{number % 3}" for number in of_original]
    groups = near_duplicate_groups(texts, domains, read_tokens(texts))
    for seed in range(3):
        is_searched = search_half(texts, domains, groups, seed=seed)
        for number in range(200):
            sides = is_searched[np.array(of_original) == number]
            assert sides.all() or not sides.any()
        assert 0.45 < is_searched.mean() < 0.55


def test_a_form_is_no_near_duplicate() -> None:
    """A domain of sums must not lie on one side as a whole, though all of it is one template; equal sums must."""
    texts = [f"{left} + {right} =" for left, right in itertools.product(range(10, 30), range(10, 20))]
    texts += texts[:40]
    domains = ["sums"] * len(texts)
    groups = near_duplicate_groups(texts, domains, read_tokens(texts))
    is_searched = search_half(texts, domains, groups, seed=0)
    assert len(np.unique(groups)) == 200
    assert (is_searched[:40] == is_searched[200:]).all()
    assert 0.4 < is_searched.mean() < 0.6


def test_halves_are_fixed_by_seed_and_even_in_every_domain() -> None:
    """The same seed gives the same halves whatever the order of the prompts, and each domain lies in both."""
    texts, domains = sentences(300), [f"d{number % 7}" for number in range(300)]
    groups = near_duplicate_groups(texts, domains, read_tokens(texts))
    one = search_half(texts, domains, groups, seed=5)
    order = np.random.default_rng(0).permutation(300)
    shuffled = [texts[row] for row in order]
    moved = [domains[row] for row in order]
    again = search_half(shuffled, moved, near_duplicate_groups(shuffled, moved, read_tokens(shuffled)), seed=5)
    assert (again == one[order]).all()
    assert (search_half(texts, domains, groups, seed=6) != one).any()
    for domain in set(domains):
        mine = np.array(domains) == domain
        assert abs(int(one[mine].sum()) - int((~one[mine]).sum())) <= 1


def members_by_text(part: Conditions) -> dict[str, set[int]]:
    """Return which prompts meet each condition."""
    return {one.met: set(np.flatnonzero(part.column(number))) for number, one in enumerate(part.conditions)}


def test_phrases_are_those_that_counting_by_hand_finds() -> None:
    """Every phrase of up to three words in enough prompts is a condition, with the right prompts, and no other."""
    texts = sentences(120, length=6)
    found: dict[str, set[int]] = {}
    for part in phrase_conditions(read_tokens(texts), least=4):
        found |= {name: rows for name, rows in members_by_text(part).items() if name.startswith("contains")}
    expected: dict[str, set[int]] = {}
    for row, text in enumerate(texts):
        words = text.split()
        for length in (1, 2, 3):
            for begin in range(len(words) - length + 1):
                name = f"contains “{' '.join(words[begin : begin + length])}”"
                expected.setdefault(name, set()).add(row)
    assert found == {name: rows for name, rows in expected.items() if 4 <= len(rows) <= 116}


def test_pieces_of_words_and_other_scripts() -> None:
    """A prefix, a suffix and a Chinese word are found, each in the prompts that have it."""
    texts = ["unhappy 北京 walks", "untold talks", "happy 北京", "calm"] * 5
    found: dict[str, set[int]] = {}
    for part in phrase_conditions(read_tokens(texts), least=4):
        found |= members_by_text(part)
    rows = {row % 4 for row in found["has a word that begins with “un”"]}
    assert rows == {0, 1}
    assert {row % 4 for row in found["has a word that ends in “lks”"]} == {0, 1}
    assert {row % 4 for row in found["contains “北 京”"]} == {0, 2}


def test_surface_conditions_say_what_they_are() -> None:
    """A cut, a mark and a script hold exactly the prompts that their words say."""
    texts = ["Why so?", "A long sentence without a mark", "Сколько", "42 is it"] * 10
    found = members_by_text(surface_conditions(texts, read_tokens(texts), least=4))
    assert {row % 4 for row in found["has a question mark"]} == {0}
    assert {row % 4 for row in found["script is cyrillic"]} == {2}
    assert {row % 4 for row in found["begins with a digit"]} == {3}
    cut = next(name for name in found if name.startswith("characters ≥"))
    least = float(cut.rsplit(" ", 1)[1])
    assert found[cut] == {row for row, text in enumerate(texts) if len(text) >= least}


def test_equal_and_opposite_conditions_are_kept_once() -> None:
    """Two names of one slice would be tested twice; the slice of two conditions holds who meets both."""
    texts = ["red stone a", "red stone b", "blue paper a", "blue paper b"] * 10
    prepared = prepare(texts, ["d"] * 40, SearchPlan(kinds=("ngrams",), least=5))
    sets = [frozenset(np.flatnonzero(prepared.conditions.column(number))) for number in range(len(prepared.conditions))]
    everyone = frozenset(range(40))
    assert len({min(one, everyone - one, key=sorted) for one in sets}) == len(sets) == 6
    both = Slice(columns=(0, 1), negated=(False, True))
    assert set(np.flatnonzero(prepared.conditions.prompts_of(both))) == sets[0] - sets[1]
    assert " and " in prepared.conditions.text_of(both)


@pytest.mark.parametrize("texts", [[], [""], ["", " ", "\n"] * 20, ["x"] * 50])
def test_prompts_without_anything_to_tell_apart(texts: list[str]) -> None:
    """No prompts, empty ones and equal ones give no condition and no error."""
    prepared = prepare(texts, ["d"] * len(texts), SearchPlan())
    assert len(prepared.is_searched) == len(texts)
    assert len(joined_conditions([prepared.conditions], least=1)) == len(prepared.conditions)
