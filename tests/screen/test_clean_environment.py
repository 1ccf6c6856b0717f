"""Where only numpy and tokenizers are installed, a pre-screen predicts what was trained, on whatever is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from screen_folders import screen_folder, small_metamodel

from metamodel.protocols import Metamodel

ABSENT = ("torch", "lightning", "transformers", "sklearn", "scipy", "pandas", "pyarrow", "wandb")
ALPHABETS = (
    "abcdefghij XYZ 0123456789 .,;:!?()[]{}#*-_=+\n\t",
    "éßøñçДжяλΩאבגשلمنあ漢字한글🙂👩‍👧\u202e\u200f\u0301",
    "\x00\x01\x7f\ud800\udfff\ufeff\u2028\r\x85",
)
# Runs where the packages cannot be imported. Texts travel as hexadecimal UTF-8: JSON would join neighboring surrogates.
SCREENING = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in %r:
            raise ModuleNotFoundError(f"{name} is not installed here")
sys.meta_path.insert(0, Absent())
import numpy
from metamodel.screen import load_screen
screen = load_screen(sys.argv[1])
prompts = [bytes.fromhex(line).decode("utf-8", "surrogatepass") for line in open(sys.argv[2]).read().split(chr(10))]
predictions = screen.metamodel.predict(prompts)
numpy.savez(sys.argv[3], **{str(place): values for place, values in enumerate(predictions.values())})
with open(sys.argv[4], "w") as file:
    json.dump([[one.decision, one.failures] for one in screen(prompts[:500])], file)
from metamodel import feature_cache
held = sum(rows.nbytes for known in feature_cache._memory.values() for rows in known.values())
print(held)
"""


def fuzzed_prompts(n_prompts: int) -> list[str]:
    """Return texts of all kinds, from a seed: empty, short, long, of several scripts, with what no encoding has."""
    rng = np.random.default_rng(0)
    alphabets = [*map(list, ALPHABETS), [chr(code) for code in range(0x20, 0x3000, 7)]]
    prompts = ["", " ", "\x00", "\ud800", "a" * 100_000, "漢" * 30_000, "\n" * 5_000, "red " * 20_000]
    while len(prompts) < n_prompts:
        chosen = [alphabets[place] for place in rng.choice(len(alphabets), rng.integers(1, 3), replace=False)]
        pool = [sign for alphabet in chosen for sign in alphabet]
        length = int(rng.geometric(1 / 40)) if rng.random() < 0.95 else int(rng.integers(0, 3_000))
        words = "".join(pool[place] for place in rng.integers(0, len(pool), length))
        prompts.append(f"{('red ', 'blue ', '')[rng.integers(3)]}{words}")
    return prompts


def screened_elsewhere(metamodel: Metamodel, tmp_path: Path, prompts: list[str]) -> tuple[float, int]:
    """Return the largest difference of a probability from the trained metamodel's, and bytes held after predicting."""
    folder = screen_folder(tmp_path / "screen", metamodel)
    (tmp_path / "prompts").write_text("\n".join(text.encode("utf-8", "surrogatepass").hex() for text in prompts))
    paths = [str(tmp_path / name) for name in ("screen", "prompts", "predicted.npz", "decided.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = SCREENING % (ABSENT,)
    finished = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False, env=environment
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    expected = metamodel.predict(prompts)
    with np.load(tmp_path / "predicted.npz") as predicted:
        tables = [predicted[str(place)] for place in range(len(expected))]
    fails = next(values for name, values in expected.items() if name.endswith("fail"))[:500, 1]
    for (decision, failures), probability in zip(
        json.loads((tmp_path / "decided.json").read_text()), fails, strict=True
    ):
        assert list(failures.values()) == pytest.approx([probability], abs=1e-5)
        assert decision == ("stop" if probability > 0.5 else "pass") or abs(probability - 0.5) < 1e-5
    assert folder.exists()
    differences = [abs(one - other).max() for one, other in zip(tables, expected.values(), strict=True)]
    return float(max(differences)), int(finished.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base_rate", "tfidf_logistic", "surface", "joint", "bag"])
def test_predictions_are_the_same_without_the_packages(tmp_path: Path, kind: str) -> None:
    """On 10,000 fuzzed prompts every probability is within 1e-5 of the trained one's; nothing is kept of a prompt."""
    difference, held = screened_elsewhere(small_metamodel(kind), tmp_path, fuzzed_prompts(10_000))
    assert difference < 1e-5
    assert held < 2**22


@pytest.mark.slow
def test_static_too(tmp_path: Path) -> None:
    """A static metamodel carries its token vectors along: the package they come from is not needed either."""
    pytest.importorskip("wordllama", reason="the extra static is not installed")
    metamodel = small_metamodel("static", n_pools=1, pool_width=8, hidden=8, max_epochs=4)
    assert hasattr(metamodel, "save_carried")
    difference, _ = screened_elsewhere(metamodel, tmp_path, fuzzed_prompts(10_000))
    assert difference < 1e-5
