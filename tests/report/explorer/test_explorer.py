"""What the explorer shows: which prompts, which marks at which characters, which words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from metamodel.analysis.loops import find_loop
from metamodel.config import RunConfig
from metamodel.errors import DataError
from metamodel.evaluate import evaluate
from metamodel.labels import Binary
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Metamodel
from metamodel.report.elements import Widget
from metamodel.report.explorer.element import ExplorerLimits, explorer_element
from metamodel.report.explorer.highlights import FLAGS, Span, copied_spans, cycle_spans, segments_of
from metamodel.report.explorer.occlusion import OccludedFit, OccludedPrompt, word_effects
from metamodel.report.explorer.sampling import sample_prompts
from metamodel.screen.screen import Screen
from metamodel.screen.words import words_that_mattered
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.train import fit_name, train
from metamodel.types import FloatArray, Predictions, generation_key

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
BIDI = chr(0x202E)


class CountsWords:
    """A metamodel whose probability rises with each word `good`, and which remembers how it was asked."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self.calls: list[int] = []

    @property
    def description_bits(self) -> float:
        """Cost nothing."""
        return 0.0

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return 0.5 and 0.1 more for each `good`, 0.2 less for each `bad`."""
        assert domains is None or len(domains) == len(texts)
        self.calls.append(len(texts))
        yes = np.array([0.5 + 0.1 * text.split().count("good") - 0.2 * text.split().count("bad") for text in texts])
        return {"loop": np.column_stack([1 - yes, yes])}

    def save(self, folder: Path) -> None:
        """Write nothing."""


def occluded(metamodel: Metamodel, texts: Sequence[str], name: str = "fit") -> OccludedFit:
    """Return a fit that judged the texts."""
    prompts = [OccludedPrompt(key=("m", row), text=text, domain="a") for row, text in enumerate(texts)]
    return OccludedFit(name=name, load=lambda: metamodel, tasks={"loop": "loop"}, prompts=prompts)


def test_segments_give_the_text_back_with_marks_at_its_characters() -> None:
    """Emoji are two UTF-16 units and one character here: a mark behind them must not slip."""
    text = "😀😀 copied 😀 plain" + BIDI + "end"
    start = text.index("copied")
    segments = segments_of(
        text, [(Span(start, start + 6), FLAGS["copied"]), (Span(start + 3, start + 9), FLAGS["loop"])]
    )
    assert [(s.text, s.flags) for s in segments if s.flags] == [
        ("cop", FLAGS["copied"]),
        ("ied", FLAGS["copied"] | FLAGS["loop"]),
        (" 😀 ", FLAGS["loop"]),
        ("U+202E", FLAGS["control"]),
    ]
    shown = [s for s in segments if not s.flags & FLAGS["control"]]
    assert "".join(s.text for s in shown) == text.replace(BIDI, "")
    assert all(text[s.start : s.start + len(s.text)] == s.text for s in shown)


def test_places_stay_right_behind_line_breaks_and_tabs() -> None:
    """A line break is shown by an arrow and then made, a tab by an arrow alone: neither may shift what follows."""
    text = "a\n\tb\r\nc"
    for segment in segments_of(text):
        if not segment.flags:
            assert text[segment.start : segment.start + len(segment.text)] == segment.text
    assert [s.text for s in segments_of("x\ny", limit=2)] == ["x", "↵", "\n"]


def test_copied_spans_are_what_the_prompt_holds() -> None:
    """Each span is a part of its own prompt, three words or more; what differs by one word is not marked."""
    prompts = ["the cat sat on the mat", "one two three four", "一二三四五六七八九十百千"]
    outputs = ["so the cat sat on a mat", "the cat sat one two", "我说一二三四五六七八九十吧"]
    found = copied_spans(outputs, prompts)
    assert [[text[slice(*span)] for span in spans] for text, spans in zip(outputs, found, strict=True)] == [
        ["the cat sat on"],
        [],
        ["一二三四五六七八九十"],
    ]
    assert copied_spans([], []) == []
    assert copied_spans(["", "a b c"], ["", ""]) == [[], []]


def test_cycles_tile_the_loop() -> None:
    """Cycles follow one another without a gap to the end of the text, however many there are."""
    for text in ("I am so sad, so sad, so sad, so", "ab" * 5000):
        loop = find_loop(text)
        assert loop is not None
        spans = cycle_spans(loop, len(text))
        assert spans[0].start == loop.onset
        assert spans[-1].end == len(text)
        assert all(left.end == right.start for left, right in pairwise(spans))
        assert {span.end - span.start for span in spans[:-1]} <= {loop.period}


def test_samples_hold_every_domain_and_the_most_surprising_prompts() -> None:
    """However early the list is cut, domains are alike and both kinds are there; the same seed gives the same rows."""
    rng = np.random.default_rng(0)
    domains = [*["big"] * 900, *["small"] * 6, *["tiny"]]
    lost: Mapping[str, FloatArray] = {"loop": rng.random(907), "empty": np.where(np.arange(907) % 2, np.nan, 0.1)}
    rows = sample_prompts(domains, lost, eligible=np.arange(907), most=40, seed=1)
    again = sample_prompts(domains, lost, eligible=np.arange(907), most=40, seed=1)
    assert rows == again
    assert len({one.row for one in rows}) == len(rows) == 40
    assert {domains[one.row] for one in rows[:3]} == {"big", "small", "tiny"}
    assert sum(domains[one.row] == "small" for one in rows) == 6
    assert int(np.argmax(lost["loop"][:900])) in {one.row for one in rows}
    kinds = [one.surprised_by for one in rows if domains[one.row] == "big"]
    assert abs(kinds.count("") - len(kinds) / 2) <= 1
    everything = sample_prompts(domains, lost, eligible=np.arange(907), most=5000, seed=1)
    assert sorted(one.row for one in everything) == list(range(907))


def test_words_are_those_of_a_single_prompts_occlusion() -> None:
    """Many prompts in one call find for each what the pre-screen's own occlusion finds, emoji before it or not."""
    texts = ["😀 good day and bad luck", "nothing at all", "good good", ""]
    metamodel = CountsWords()
    found = word_effects([occluded(metamodel, texts)])
    screen = Screen(metamodel=metamodel, rules=(), spaces={"loop": Binary()})
    for row, text in enumerate(texts):
        known = words_that_mattered(screen, text, "loop", outcome="yes")
        expected = [(one.start, one.end, round(one.probability, 4)) for one in known if abs(one.probability) >= 0.005]
        assert [tuple(word) for word in found.effects[("m", row), "loop"]] == expected
    assert [texts[0][word.start : word.end] for word in found.effects[("m", 0), "loop"]] == ["bad", "good"]
    assert (found.n_prompts, found.n_wanted, found.is_out_of_time) == (4, 4, False)


def test_the_search_for_words_keeps_to_its_limits() -> None:
    """Neither more texts than allowed are predicted nor more time taken than there is; what is left is counted."""
    texts = [f"word{row} and five more words here" for row in range(50)]
    few = CountsWords()
    found = word_effects([occluded(few, texts), occluded(few, texts, "other")], most_texts=70)
    assert sum(few.calls) == found.n_texts <= 70
    assert (found.n_prompts, found.n_wanted) == (10, 100)
    ticks = iter(range(1000))
    slow = CountsWords()
    stopped = word_effects([occluded(slow, texts)], seconds=2.5, clock=lambda: float(next(ticks)))
    assert stopped.is_out_of_time
    assert 0 < stopped.n_prompts < 50
    many = CountsWords()
    word_effects([occluded(many, texts)])
    assert len(many.calls) <= 5


def test_a_fit_that_cannot_be_read_leaves_the_others_their_words() -> None:
    """A run whose folder was damaged still has its page, which says what is missing."""

    def broken() -> Metamodel:
        raise DataError("weights are missing")

    fits = [occluded(CountsWords(), ["good"]), occluded(CountsWords(), ["good"])]
    bad = OccludedFit(name="broken", load=broken, tasks={"loop": "loop"}, prompts=fits[0].prompts)
    found = word_effects([bad, fits[1]])
    assert found.problems == ["broken: weights are missing"]
    assert found.n_prompts == 1


def key_of(identity: str, prompt_id: str, config: RunConfig) -> str:
    """Return the key of a prompt's first generation."""
    return generation_key(primary_identity=identity, prompt_id=prompt_id, sampling=config.sampling, sample=0)


@pytest.fixture
def evaluated(labeled_run: LabeledRun) -> tuple[RunDirectory, RunConfig]:
    """A run with outputs in which every prompt that holds red repeats itself."""
    run, config = labeled_run(
        metamodels=["base_rate", {"kind": "tfidf_logistic", "C_grid": []}], splits={"held_out_domains": "all"}
    )
    rows = [
        {"key": key_of("id", prompt["prompt_id"], config), "prompt_id": prompt["prompt_id"],
         "primary": "planted", "sample": 0, "seed": 0,
         "text": f"😀 {prompt['text']} <b>{BIDI}", "finish_reason": "stop", "n_tokens": 5, "metadata": "{}"}
        for prompt in run.read("prompts").to_pylist()
    ]  # fmt: skip
    run.write_shard("generations", pa.Table.from_pylist(rows, schema=schema_of("generations")))
    run.update_facts(primaries={"planted": "id"})
    train(run, config)
    evaluate(run, config)
    return run, config


def test_a_run_is_shown_with_what_its_own_fits_predicted(evaluated: tuple[RunDirectory, RunConfig]) -> None:
    """Probabilities and words come from the fit that left the prompt's domain out, and labels from the run."""
    run, config = evaluated
    widget = explorer_element(run, config, limits=ExplorerLimits(most_rows=60))
    assert isinstance(widget, Widget)
    data = json.loads(json.dumps(widget.data, allow_nan=False))
    assert "60 of 240" in widget.summary
    assert (len(data["rows"]), data["total"]) == (60, 240)
    assert {row["d"] for row in data["rows"]} == set(range(6))
    behavior = [one["name"] for one in data["behaviors"]].index("truncated")
    best = data["best"][0][behavior]
    assert data["metamodels"][best] == "tfidf_logistic"
    column = data["columns"].index([behavior, best])
    texts = {row["prompt_id"]: row["text"] for row in run.read("prompts").to_pylist()}
    for row in data["rows"][:12]:
        text = texts[row["id"]]
        fit = load_metamodel(run.metamodel_folder(fit_name("tfidf_logistic", "planted", f"without_d{row['d']}")))
        assert data["splits"][row["s"]] == "held-out domains"
        assert row["pred"][column] == pytest.approx(fit.predict([text])["truncated"][0, 1], abs=1e-4)
        first, end, _, word = row["words"][str(behavior)][0]
        assert word in ("red", "blue")
        assert row["prompt"][first:end] == [word]
        copied = [part for part in row["outs"][0]["t"] if isinstance(part, list) and part[0] == FLAGS["copied"]]
        assert [text for _, text in copied] == [text]


def test_a_small_budget_cuts_texts_before_it_drops_prompts(evaluated: tuple[RunDirectory, RunConfig]) -> None:
    """The page says how many prompts were left out, and the data keep to the bytes."""
    run, config = evaluated
    limits = ExplorerLimits(most_bytes=4000, most_texts=0)
    widget = explorer_element(run, config, limits=limits)
    assert widget is not None
    data = json.loads(json.dumps(widget.data))
    assert len(json.dumps(data["rows"], separators=(",", ":"), ensure_ascii=False).encode()) <= 4000
    assert 0 < len(data["rows"]) < 240
    assert any(f"{240 - len(data['rows'])} more were left out" in note for note in data["notes"])
    assert any("not searched for" in note for note in data["notes"])
