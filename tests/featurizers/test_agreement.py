"""Agreement with independent implementations, on real outputs; docs/agreement.md explains what differs."""

from __future__ import annotations

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurizers.choice import ChoiceCorrect, ChoiceLetter, LikeliestChoiceCorrect
from featurizers.correctness import F1, Correct
from featurizers.numeric import NumericCorrect
from metamodel.analysis.obedience import CHECKS, obeys, obeys_loosely
from metamodel.text import text_batch
from metamodel.types import JSONValue

DATA = Path(__file__).parents[3] / "shared" / "data"
N_OUTPUTS = {"mmlu_pro": 60, "gsm8k": 15, "llmdrift": 25}
LANGUAGES = {"language:response_language", "change_case:english_capital", "change_case:english_lowercase"}
# Lowest share of equal verdicts; what is not here must agree always.
FLOORS = {
    "length_constraints:number_sentences": 0.93,
    "language:response_language": 0.92,
    "change_case:english_capital": 0.95,
    "change_case:english_lowercase": 0.95,
    "change_case:capital_word_frequency": 0.98,
}


def table(folder: str, *, columns: list[str] | None = None) -> pd.DataFrame:
    """Return a folder's outputs joined with their prompts; skips where the data is absent."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"needs the real outputs in {DATA / folder}")
    outputs = pd.read_parquet(DATA / folder / "outputs.parquet", columns=columns)
    return outputs.merge(pd.read_parquet(DATA / folder / "prompts.parquet"), on="prompt_id")


def seeded() -> random.Random:
    """Return a stream of random choices, the same in every run."""
    return random.Random(0)  # noqa: S311 - choices of test cases


def agreement(labels: np.ndarray, recorded: pd.Series[Any]) -> float:
    """Return the share of equal verdicts."""
    return float(np.mean(labels == recorded.astype(float).to_numpy()))


@pytest.mark.slow
def test_letters_of_mmlu_pro() -> None:
    """Where the published parser found an answer phrase, ours finds the same letter in 99 % of 93,495 outputs."""
    rows = table("mmlu_pro", columns=["prompt_id", "output", "pred", "correct"])
    parsed = rows[rows["pred"].notna()]
    letters = ChoiceLetter().label(text_batch(parsed["output"].tolist()))
    recorded = parsed["pred"].map(" ABCDEFGHIJ".index).to_numpy()
    assert np.mean(letters == recorded) > 0.995
    first = ChoiceLetter(take="first").label(text_batch(parsed["output"].tolist()))
    assert np.mean(first == recorded) > 0.999


@pytest.mark.slow
def test_correct_of_mmlu_pro() -> None:
    """The share of right answers of a model may differ from the published one by what its parser did not find."""
    rows = table("mmlu_pro", columns=["prompt_id", "output", "pred", "correct"])
    batch = text_batch(rows["output"].tolist(), references=[[answer] for answer in rows["answer"]])
    labels = ChoiceCorrect().label(batch)
    assert agreement(labels, rows["correct"]) > 0.99
    only_ours = (labels == 1) & ~rows["correct"].to_numpy(dtype=bool)
    assert np.mean(rows["pred"].isna().to_numpy()[only_ours]) > 0.8


def test_correct_of_gsm8k() -> None:
    """The numbers alone give the recorded verdict on every one of 5,276 solutions."""
    rows = table("gsm8k")
    batch = text_batch(rows["output"].tolist(), references=[[answer] for answer in rows["answer"]])
    assert agreement(NumericCorrect().label(batch), rows["correct"]) == 1


@pytest.mark.parametrize(
    ("task", "featurizer", "lowest"),
    [
        ("prime_full", Correct(pattern=r"(?i)\[(yes|no)\]"), 1),
        ("prime_full", Correct(pattern=r"(?i)\b(yes|no)\b"), 0.95),
        ("countahappynumber", NumericCorrect(where="announced"), 1),
        ("countahappynumber", NumericCorrect(), 0.99),
    ],
)
def test_correct_of_llmdrift(task: str, featurizer: Correct | NumericCorrect, lowest: float) -> None:
    """The recorded verdicts of both tasks that have any follow from the text alone."""
    rows = table("llmdrift")
    rows = rows[rows["domain"] == task]
    batch = text_batch(rows["output"].tolist(), references=[[answer] for answer in rows["answer"]])
    assert agreement(featurizer.label(batch), rows["correct"]) >= lowest


@pytest.mark.slow
def test_exact_match_and_f1_are_squads() -> None:
    """On real texts and on nasty ones both equal torchmetrics' port of the evaluation script."""
    squad = pytest.importorskip("torchmetrics.functional.text.squad", reason="needs torchmetrics")
    texts = [" ", "the", "A.", "3.5", "-5", "U.S.A.", "don't", "caf\u00e9 \u2019s", "a an the", "x\u00a0y"]
    texts += table("gsm8k")["output"].str[-60:].sample(150, random_state=0).tolist()
    rng = seeded()
    pairs = [(rng.choice(texts), [rng.choice(texts), rng.choice(texts)[:20]]) for _ in range(400)]
    batch = text_batch([answer for answer, _ in pairs], references=[golds for _, golds in pairs])
    exact = [max(int(squad._compute_exact_match_score(answer, gold)) for gold in golds) for answer, golds in pairs]
    f1 = [max(float(squad._compute_f1_score(answer, gold)) for gold in golds) for answer, golds in pairs]
    assert Correct(normalization="squad").label(batch).tolist() == exact
    assert F1().label(batch).tolist() == pytest.approx(f1, abs=1e-6)


def test_likeliest_choice_is_lm_evals() -> None:
    """acc, acc_norm and acc_bytes equal those that lm-evaluation-harness computes for a multiple-choice task."""
    task_module = pytest.importorskip("lm_eval.api.task", reason="needs lm-evaluation-harness")
    rng = seeded()
    for _ in range(100):
        choices = ["".join(rng.choices("ab é", k=rng.randint(1, 9))) + str(place) for place in range(4)]
        logprobs = [-rng.expovariate(0.1) for _ in choices]
        gold = rng.randrange(4)
        task = SimpleNamespace(
            OUTPUT_TYPE="multiple_choice",
            _metric_fn_list={"acc": None, "acc_norm": None, "acc_bytes": None},
            doc_to_choice=lambda _, choices=choices: choices,
            doc_to_text=lambda _: "",
            doc_to_target=lambda _, gold=gold: gold,
            multiple_input=0,
            multiple_target=0,
            config=SimpleNamespace(process_results=None),
        )
        task_results = task_module.ConfigurableTask.process_results(
            task, {}, [(logprob, False) for logprob in logprobs]
        )
        batch = text_batch(
            [""], choices=[choices], references=[[choices[gold]]], metadata=[{"choice_logprobs": list(logprobs)}]
        )
        for divide_by, metric in (("none", "acc"), ("characters", "acc_norm"), ("bytes", "acc_bytes")):
            label = LikeliestChoiceCorrect(divide_by=divide_by).label(batch)[0]  # type: ignore[arg-type] # its values
            assert label == task_results[metric], (metric, choices, logprobs)


@pytest.fixture(scope="module")
def their_verdict() -> Callable[[str, Mapping[str, JSONValue], str, bool], bool]:
    """Return lm-evaluation-harness's check of one instruction, with splitters that need no download."""
    pytest.importorskip("immutabledict", reason="lm-evaluation-harness's IFEval needs it")
    langdetect = pytest.importorskip("langdetect", reason="lm-evaluation-harness's IFEval needs it")
    nltk = pytest.importorskip("nltk", reason="lm-evaluation-harness's IFEval needs it")
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    with pytest.MonkeyPatch.context() as patch:
        # The module looks for the trained splitter while it is imported, and would download it.
        patch.setattr(nltk.data, "find", lambda *_: None)
        utils = pytest.importorskip("lm_eval.tasks.ifeval.utils", reason="needs lm-evaluation-harness")
        from lm_eval.tasks.ifeval import instructions_util
    langdetect.DetectorFactory.seed = 0
    words, sentences = NLTKWordTokenizer(), PunktSentenceTokenizer()
    instructions_util.count_sentences = lambda text: len(sentences.tokenize(text))
    instructions_util.nltk = SimpleNamespace(word_tokenize=words.tokenize, tokenize=nltk.tokenize)

    def verdict(name: str, arguments: Mapping[str, JSONValue], text: str, loose: bool) -> bool:  # noqa: FBT001
        example = utils.InputExample(key=0, instruction_id_list=[name], prompt="", kwargs=[dict(arguments)])
        check = utils.test_instruction_following_loose if loose else utils.test_instruction_following_strict
        return bool(check(example, text).follow_instruction_list[0])

    return verdict


def arguments_near(name: str, text: str, rng: random.Random) -> Mapping[str, JSONValue]:
    """Return arguments that a text nearly obeys, so that thresholds are tested where they decide."""
    relation = rng.choice(["less than", "at least"])
    word = rng.choice(re.findall(r"[A-Za-z]{3,}", text) or ["apple"])
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()] or ["x"]

    def near(count: int) -> int:
        return max(1, count + rng.randint(-2, 2))

    made: dict[str, Mapping[str, JSONValue]] = {
        "keywords:existence": {"keywords": [word, rng.choice(["answer", "the"])]},
        "keywords:frequency": {
            "keyword": word,
            "frequency": near(text.lower().count(word.lower())),
            "relation": relation,
        },
        "keywords:forbidden_words": {"forbidden_words": [rng.choice([word[:-1], "energy"]), "zebra"]},
        "keywords:letter_frequency": {"letter": "e", "let_frequency": near(text.count("e")), "let_relation": relation},
        "language:response_language": {"language": rng.choice(["en", "en", "de", "fr"])},
        "length_constraints:number_sentences": {
            "num_sentences": near(len(re.findall(r"[.!?]\s", text)) + 1),
            "relation": relation,
        },
        "length_constraints:number_paragraphs": {"num_paragraphs": rng.choice([1, 2, 3])},
        "length_constraints:number_words": {"num_words": near(len(re.findall(r"\w+", text))), "relation": relation},
        "length_constraints:nth_paragraph_first_word": {
            "num_paragraphs": max(1, len(paragraphs) + rng.choice([0, 0, 1])),
            "nth_paragraph": rng.randint(1, len(paragraphs)),
            "first_word": re.split(r"\W", paragraphs[0].split()[0] + " ")[0] or "x",
        },
        "detectable_content:number_placeholders": {"num_placeholders": rng.choice([1, 2])},
        "detectable_content:postscript": {"postscript_marker": rng.choice(["P.S.", "P.P.S"])},
        "detectable_format:number_bullet_lists": {
            "num_bullets": near(len(re.findall(r"^\s*[*-]", text, re.MULTILINE)))
        },
        "detectable_format:number_highlighted_sections": {"num_highlights": rng.choice([1, 2, 3])},
        "detectable_format:multiple_sections": {"section_spliter": "Step", "num_sections": rng.choice([1, 2, 3])},
        "combination:repeat_prompt": {"prompt_to_repeat": rng.choice([text.strip()[:30], "Say it"]) or "Say it"},
        "startend:end_checker": {"end_phrase": rng.choice([text.strip()[-12:], "Any other questions?"]) or "."},
        "change_case:capital_word_frequency": {
            "capital_frequency": near(sum(part.isupper() for part in text.split())),
            "capital_relation": relation,
        },
    }
    return made.get(name, {})


def dressed(text: str, rng: random.Random) -> str:
    """Return a text in one of the forms that instructions ask for and plain outputs rarely have."""
    forms = [
        text,
        text.upper(),
        text.lower(),
        f'"{text.strip()}"',
        f"<<A title>>\n{text}",
        f"{text}\n\nP.S. One more thing.",
        f"{text}\n***\n{text[:50]}",
        f"{text[:200]}******{text[:100]}",
        f"```json\n{json.dumps({'a': text[:50]})}\n```",
        f"My answer is yes. {text}",
        f"*Note* {text} **bold thing** [name] [address]",
        f"* one\n* two\n- three\n{text}",
        f"Step 1\n{text}\nStep 2: done",
    ]
    return text if rng.random() < 0.3 else rng.choice(forms)


@pytest.mark.slow
def test_instructions_agree_with_lm_evals(their_verdict: Callable[..., bool]) -> None:
    """Of 25 types of instructions 20 get lm-evaluation-harness's verdict on every real output, the others nearly so."""
    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
    rng = seeded()
    texts = []
    for folder, n_outputs in N_OUTPUTS.items():
        texts += table(folder)["output"].str[:3000].sample(n_outputs, random_state=0).tolist()
    n_equal: Counter[str] = Counter()
    n_checked: Counter[str] = Counter()
    verdicts: dict[str, set[bool]] = {name: set() for name in CHECKS}
    for row, plain in enumerate(texts):
        text = dressed(plain, rng)
        for name in CHECKS if row % 3 == 0 else CHECKS.keys() - LANGUAGES:
            arguments = arguments_near(name, text, rng)
            loose = rng.random() < 0.3
            theirs = their_verdict(name, arguments, text, loose)
            ours = (obeys_loosely if loose else obeys)(name, arguments, text)
            n_checked[name] += 1
            n_equal[name] += theirs == ours
            verdicts[name].add(theirs)
    shares = {name: n_equal[name] / n_checked[name] for name in CHECKS}
    below = {name: share for name, share in shares.items() if share < FLOORS.get(name, 1)}
    assert not below
    one_sided = sorted(name for name, seen in verdicts.items() if len(seen) == 1)
    assert len(one_sided) < 5, one_sided
