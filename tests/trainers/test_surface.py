"""Surface: what is counted in a text, and a metamodel on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from trainers.base_rate import BaseRate
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares
from trainers.inputs.dense import DenseInputs
from trainers.inputs.surface_features import SurfaceFeatures
from trainers.surface import Surface

Planted = Callable[..., LabeledPrompts]

QUESTION = "Which of these is NOT a prime number?\n"
LETTERED = QUESTION + "Options:\nA. 2\nB. 3.5\nC. 40\nD. none of the above"
STRANGE = [
    "",
    " \n\t",
    "\x00",
    "\ud800\udfff",
    "日本語。質問?",
    "مرحبا؟",
    "٣ ٤٥ ²",
    "\r\r\n",
    "A.\nB.\nC.",
    "(a)(b)(c)",
    "- \n- \n",
    "9" * 500 + " " + "1," * 300,
    "(" * 9000,
    "\\" * 9000,
    "$" * 9001,
    "<" * 9000,
    "a" * 100_000,
    "A. x\n" * 20_000,
    "字" * 100_000,
]


def features(text: str) -> dict[str, float]:
    """Return the features of one text by name."""
    inputs = SurfaceFeatures()
    return dict(zip(inputs.names, inputs.compute([text])[0].tolist(), strict=True))


def test_inputs_keep_their_promises() -> None:
    """As many numbers as names, all finite, no name twice, and the identity changes with what is read."""
    inputs = SurfaceFeatures()
    assert isinstance(inputs, DenseInputs)
    rows = inputs.compute(STRANGE)
    assert rows.shape == (len(STRANGE), inputs.width)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert len(set(inputs.names)) == inputs.width == len(inputs.names)
    assert inputs.compute([]).shape == (0, inputs.width)
    assert inputs.identity != SurfaceFeatures(max_characters=10).identity


def test_rows_do_not_depend_on_their_batch() -> None:
    """A text's numbers are the same bits alone, among others and in another order."""
    inputs = SurfaceFeatures()
    texts = [*STRANGE, LETTERED, QUESTION]
    together = inputs.compute(texts)
    np.testing.assert_array_equal(inputs.compute(texts[::-1])[::-1], together)
    np.testing.assert_array_equal(np.vstack([inputs.compute([text]) for text in texts]), together)


def test_long_texts_are_read_at_both_ends() -> None:
    """Of a long text the beginning, the end and the whole length count, not what stands between."""
    middle = features("Why? " + "x" * 50_000 + " so.")
    other = features("Why? " + "x" * 20_000 + "= 5 ?" * 2_000 + "x" * 20_000 + " so.")
    assert middle["ends_period"] == other["ends_period"] == 1
    assert middle["share_of_why"] == other["share_of_why"] > 0
    assert other["count_equals"] == 0
    assert middle["characters"] == pytest.approx(np.log1p(50_009))


@pytest.mark.parametrize(
    "text",
    [
        LETTERED,
        QUESTION + "(A) 2\n(B) 3.5\n(C) 40\n(D) none of the above\nAnswer:",
        QUESTION + "a) 2 b) 3.5 c) 40 d) none of the above",
        QUESTION + "Choices:\n1. 2\n2. 3.5\n3. 40\n4. none of the above",
        QUESTION + "- 2\n- 3.5\n- 40\n- none of the above",
        QUESTION + "**A.** 2\n**B.** 3.5\n**C.** 40\n**D.** none of the above",
        QUESTION + "(A). 2\n(B). 3.5\n(C). 40\n(D). none of the above",
    ],
)
def test_options_in_any_dress(text: str) -> None:
    """Options are found however they are marked, with the question before them as their stem."""
    found = features(text)
    assert found["options"] == 4
    assert found["options_numeric"] == 0.75
    assert found["option_values_rise"] == 1
    assert found["options_that_refer"] == 0.25
    assert found["stem_is_question"] == 1
    assert found["stem_characters"] == pytest.approx(np.log1p(len(QUESTION.strip())))


@pytest.mark.parametrize(
    "text", ["", "No list here. I. think so.", "A. alone", "See B. and C. for more", "On 3.5 and 4. of May"]
)
def test_no_options(text: str) -> None:
    """A letter or two with a period is no list, unless they begin with the first and go on in order."""
    assert features(text)["options"] == 0


def test_alike_options() -> None:
    """Options that share their words are told from those that share none."""
    alike = features("Q?\nA. the red house\nB. the red house now\nC. the red house then")
    other = features("Q?\nA. one small cat\nB. two large dogs ran\nC. three green birds sang")
    assert alike["options_like_each_other"] > 0.7
    assert alike["options_begin_alike"] == 1
    assert other["options_like_each_other"] == other["options_begin_alike"] == 0


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Two words", "words", np.log1p(2)),
        ("One. Two! Three?", "sentences", np.log1p(3)),
        ("a\n\nb", "empty_line_share", 1 / 3),
        ("It is not so, no", "share_of_negation", 2 / 5),
        ("don\u2019t", "share_of_negation", 1),
        ("Who? Why is it so?", "last_sentence_has_why", 1),
        ("Who? Why is it so?", "last_sentence_has_who", 0),
        ("x = 3 and y = 4", "formulas", np.log1p(2)),
        (r"\frac{1}{2} and $x^2$", "latex", np.log1p(2)),
        ("print(x) or f(y)", "calls", np.log1p(2)),
        ("12 of 1,250.5 in 1999", "numbers", np.log1p(3)),
        ("12 of 1,250.5 in 1999", "number_digits_max", 4),
        ("12 of 1,250.5 in 1999", "share_with_decimals", 1 / 3),
        ("12 of 1,250.5 in 1999", "share_of_years", 1 / 3),
        ("a b a b a b", "repeated_pair_share", 3 / 5),
        ("a b a b a b", "distinct_word_share", 1 / 3),
        ("He met Anna Karenina", "share_capitalized", 3 / 4),
        ("NASA and IBM", "share_all_capitals", 2 / 3),
        ("```\ncode\n```", "code_fences", np.log1p(2)),
        ("| a | b |\n| c | d |", "table_lines", np.log1p(2)),
        ("fill ____ in", "blanks", np.log1p(1)),
        ("привет", "share_cyrillic", 1),
        ("日本", "share_han", 1),
        ("Say it:", "ends_colon", 1),
    ],
)
def test_counts(text: str, name: str, value: float) -> None:
    """What can be counted by hand is what is counted."""
    assert features(text)[name] == pytest.approx(value)


def test_repetition_compresses() -> None:
    """A text that repeats itself compresses to a smaller share of its size."""
    again = features("the same words again " * 40)["compressed_share"]
    fresh = features(" ".join(f"{chr(97 + i % 26)}{i * 7919}" for i in range(100)))["compressed_share"]
    assert again < 0.2 < fresh


@pytest.mark.parametrize("head", ["linear", "trees", "best"])
def test_learns(head: str, planted: Planted) -> None:
    """Each kind of head learns what depends on length, and what depends on nothing visible costs next to nothing."""
    train, validation, test = planted(300, 0), planted(100, 1), planted(300, 2)
    settings = {"C_grid": (0.0003, 0.03), "rounds": (2, 30)}
    context = FitContext(expects_shift=False)
    metamodel = replace(Surface(head=head), **settings).fit(train, validation, context=context)  # type: ignore[arg-type] # a literal's values
    base = BaseRate().fit(train, validation, context=context)

    def lost(behavior: str) -> float:
        rows, shares = outcome_shares(test.labels[behavior])
        ours, theirs = (one.predict(test.texts)[behavior][rows] for one in (metamodel, base))
        return cross_entropy_bits(shares, ours) - cross_entropy_bits(shares, theirs)

    assert lost("length") < -0.4
    assert lost("domain") < 0.02
    heads = metamodel.artifact.documents["heads"]
    assert isinstance(heads, dict)
    parts = {part for joined in heads.values() for part in str(joined).split("+")}
    assert parts <= {"linear": {"linear", "ordered"}, "trees": {"trees"}}.get(head, {"linear", "ordered", "trees"})


def test_mean_of_both_heads_is_kept_and_read_back(planted: Planted, tmp_path: Path) -> None:
    """A head that is the mean of a regression and trees predicts half of each, before and after it is saved."""
    train, test = planted(300, 0), planted(30, 1)
    settings = {"C_grid": (0.01,), "rounds": (10,)}
    one, other, both = (
        replace(Surface(head=head), **settings).fit(train, train.take([]), context=FitContext(expects_shift=False))  # type: ignore[arg-type] # literals
        for head in ("linear", "trees", "best")
    )
    heads = both.artifact.documents["heads"]
    assert isinstance(heads, dict)
    averaged = [name for name, joined in heads.items() if joined == "linear+trees"]
    assert averaged
    both.save(tmp_path)
    loaded = Surface.load(tmp_path).predict(test.texts)
    for name, values in both.predict(test.texts).items():
        np.testing.assert_array_equal(loaded[name], values)
    for name in averaged:
        parts = [metamodel._heads[name] for metamodel in (one, other, both)]
        rows = np.random.default_rng(0).normal(size=(5, SurfaceFeatures().width))
        first, second, mean = (part.predict(rows, both.priors[name]) for part in parts)
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=0, atol=1e-12)


def test_importances_name_what_matters(planted: Planted, tmp_path: Path) -> None:
    """The saved folder says which features move a behavior's predictions most."""
    train = planted(400, 0)
    Surface(head="linear", C_grid=(0.1,)).fit(train, train.take([]), context=FitContext()).save(tmp_path)
    importances = json.loads((tmp_path / "importances.json").read_text(encoding="utf-8"))
    assert set(importances) == set(train.labels)
    moves = list(importances["length"].values())
    assert moves == sorted(moves, reverse=True)
    assert 0 < moves[-1] <= moves[0] < 1
    # Each text has one number and one mark, so that these shares tell its words as well as their count.
    of_length = {"words", "characters", "marks_per_word", "numbers_per_word", "share_mark", "share_digit"}
    assert of_length & set(list(importances["length"])[:3])


@pytest.mark.parametrize("joined", ["forest", "linear+forest", "linear+linear", "", 3])
def test_unknown_heads_are_refused(joined: object, planted: Planted, tmp_path: Path) -> None:
    """A folder that names a head that there is not is refused in one line."""
    train = planted(30, 0)
    Surface(C_grid=(0.01,), rounds=(5,)).fit(train, train.take([]), context=FitContext()).save(tmp_path)
    path = tmp_path / "heads.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "bigram": joined}), encoding="utf-8")
    with pytest.raises(DataError, match=r"heads\.json"):
        Surface.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"head": "forest"}, "must be one of linear, trees, best"),
        ({"leaves": (1,)}, "leaves is"),
        ({"rounds": ()}, "rounds is"),
        ({"choosing_prompts": 0}, "choosing_prompts is 0"),
        ({"max_characters": 1}, "max_characters is 1"),
        ({"C_grid": (0.0,)}, "C_grid is"),
    ],
)
def test_meaningless_fields(options: dict[str, object], problem: str) -> None:
    """A field out of range is refused with its value and what is allowed."""
    with pytest.raises(ValueError, match=problem):
        Surface(**options)  # type: ignore[arg-type] # wrong values, on purpose
