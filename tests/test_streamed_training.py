"""Memory of training on many prompts: what is read of them grows with what is kept, not with what is dropped."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Peak memory is the whole process's, so each measurement has a process of its own.
_PROGRAM = """
import json, resource, sys
import numpy as np
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from trainers.bag import Bag
from trainers.inputs.bag_features import BagFeatures

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

what, n = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
texts = tuple(f"add {a} to {b}" for a, b in rng.integers(0, 10**5, (n, 2)).tolist())
codes = rng.integers(0, 2, (n, 1))
labels = {name: LabelTable(space=Binary(), codes=codes) for name in ("f", "g")}
prompts = LabeledPrompts(texts=texts, domains=("a", "b") * (n // 2), labels=labels)
bag = Bag(character_ngrams=(2, 3, 4), max_epochs=1, batch_size=4096, n_buckets=2**14)
few = prompts.take(range(100))
bag.fit(few, few, context=FitContext())  # everything that is imported once
before = peak_mib()
entries = 0
if what == "features":
    features, inputs = BagFeatures.fit_stable(
        prompts, bag.scheme(), min_prompts=3, most=64, expects_shift=True, seed=0
    )
    entries = inputs.ngrams.nnz
else:
    bag.fit(prompts, few, context=FitContext())
print(json.dumps([peak_mib() - before, entries]))
"""


def measured(what: str, n_prompts: int) -> tuple[float, int]:
    """Return the MiB that a fit added to a process, and the entries that it kept."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, what, str(n_prompts)],
        capture_output=True,
        text=True,
        check=True,
    )
    added_mib, entries = json.loads(finished.stdout.splitlines()[-1])
    return added_mib, entries


@pytest.mark.slow
def test_dropped_ngrams_take_no_room() -> None:
    """Choosing 64 buckets for 200,000 prompts holds their entries and one sample, not all n-grams of all texts."""
    added_mib, entries = measured("features", 200_000)
    held_mib = 8 * entries / 2**20
    all_mib = 200_000 * 40 * 8 / 2**20  # some 40 different n-grams a prompt, 8 bytes each
    assert added_mib < held_mib + all_mib / 2


@pytest.mark.slow
def test_a_fit_takes_under_a_kibibyte_a_prompt() -> None:
    """Training on 200,000 short prompts adds less than 1 KiB for each of them."""
    added_mib, _ = measured("fit", 200_000)
    assert added_mib < 200_000 / 1024
