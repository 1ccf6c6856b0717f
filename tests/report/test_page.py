"""The page: complete, deterministic, and inert whatever a model said."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from metamodel.comparisons import PairedDifference
from metamodel.metric_rows import MetricsRow
from metamodel.report.elements import Shaded
from metamodel.report.example_rows import MAX_EXAMPLES, example_cells
from metamodel.report.inputs import PromptExample, ReportInputs
from metamodel.report.numbers import DASH
from metamodel.report.page import render_report
from metamodel.report.run_sections import flatten

NewRow = Callable[..., MetricsRow]
NewExample = Callable[..., PromptExample]

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "</td></tr></table><h1>owned</h1>",
    '{"a": "</script><script>alert(1)</script>"}',
    "<!-- <svg onload=alert(1)> ]]> <![CDATA[",
    "{{ 7 * 7 }}{% raw %}",
    "a\u202etxt.exe\u2066b",
    "nul\x00esc\x1b[31m",
    "half \ud83d pair",
    "&lt;b&gt; &amp; &#60;",
)
DRAWN = ("defs", "g", "path", "use", "text", "tspan", "clippath", "rect")


class Reader(HTMLParser):
    """Collects elements, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element and keep its attributes."""
        self.elements[tag] += 1
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep a stretch of text that a reader sees."""
        if self.lasttag not in ("script", "style"):
            self.words.append(data)


def read(page: str) -> Reader:
    """Parse a page."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def with_text(inputs: ReportInputs, text: str, example: NewExample) -> ReportInputs:
    """Return inputs in which every text that data controls is `text`."""
    rows = [
        replace(one, primary=text, behavior=text, domain=text if one.domain else None, metamodel=one.metamodel + text)
        for one in inputs.rows
    ]
    shown = example(
        prompt=text, output=text, domain=text, behavior=text, primary=text, metamodel=text,
        labels=[text], probabilities={text: 0.5},
    )  # fmt: skip
    return replace(
        inputs,
        title=text,
        facts={text: {text: text}},
        notes=[text],
        rows=rows,
        examples=[shown],
        baselines=["base_rate" + text],
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(small_inputs: ReportInputs, example: NewExample, text: str) -> None:
    """Whatever a model, a prompt file or a config says adds no element, no attribute and no script to the page."""
    harmless = read(render_report(with_text(small_inputs, "word", example)))
    hostile = read(render_report(with_text(small_inputs, text, example)))
    # Named control characters come in spans of their own, and drawings break lines; nothing else may differ.
    for reader in (harmless, hostile):
        for tag in ("span", *DRAWN):
            del reader.elements[tag]
    assert hostile.elements == harmless.elements
    events = [key for _, key, _ in hostile.attributes if key.startswith("on")]
    assert events == []
    kept = [{(tag, key) for tag, key, _ in one.attributes if tag not in DRAWN} for one in (hostile, harmless)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("text", HOSTILE[:6] + HOSTILE[7:8] + HOSTILE[11:])
def test_visible_hostile_text_is_shown_in_full(small_inputs: ReportInputs, example: NewExample, text: str) -> None:
    """Escaping loses nothing: the reader sees the very characters of the output."""
    page = read(render_report(replace(small_inputs, examples=[example(output=text)])))
    assert text in page.words


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\x00", "\x1b", "\u200b", "\ud83d"])
def test_hidden_characters_are_named_in_the_page(small_inputs: ReportInputs, example: NewExample, char: str) -> None:
    """An override may not turn the page around; it is shown by its number instead."""
    page = render_report(with_text(small_inputs, f"a{char}b", example))
    assert char not in page
    assert f'<span class="ctl">U+{ord(char):04X}</span>' in page
    assert f"a&lt;U+{ord(char):04X}&gt;b" in page


def test_the_same_inputs_give_the_same_page(small_inputs: ReportInputs) -> None:
    """Two runs of the report stage over one run directory write the same file."""
    assert render_report(small_inputs) == render_report(small_inputs)


def without_scripts(page: str) -> str:
    """Return a page without what its scripts and styles say: the library names the addresses of namespaces."""
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_loads_nothing(small_inputs: ReportInputs) -> None:
    """No address is ever fetched: the only ones are the identifiers that SVG asks for."""
    page = without_scripts(render_report(small_inputs))
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) == {"http://www.w3.org/2000/svg"}
    reader = read(page)
    assert not set(reader.elements) & {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"}
    links = [
        value for _, key, value in reader.attributes if key in {"href", "src", "action", "data", "poster", "srcset"}
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    assert [key for _, key, _ in reader.attributes if key == "style"] == []


def test_the_policy_admits_the_styles_and_scripts_of_the_page_alone(small_inputs: ReportInputs) -> None:
    """A changed style sheet or script whose hash was forgotten would leave a bare page."""
    page = render_report(small_inputs)
    policy = next(value for tag, key, value in read(page).attributes if tag == "meta" and "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag, expected in (("style", 1), ("script", 2)):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        assert len(contents) == expected
        allowed = re.search(rf"{tag}-src ([^;]*);", policy)
        assert allowed is not None
        digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
        assert allowed.group(1).split() == [f"'sha256-{digest}'" for digest in digests]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"auroc": None, "base_rate": None}, "not a binary label, so there is nothing to rank"),
        ({"auroc": None, "base_rate": 1.0}, "only one outcome occurs here"),
        ({"explained": None, "ceiling_bits": None}, "the ceiling is unknown"),
        ({"explained": None, "ceiling_bits": 0.0}, "the ceiling is zero"),
        ({"reduction_low_bits": None}, "too few prompts for an interval"),
        ({"reduction_bits": None, "n_prompts": 0}, "no metamodel of this kind has a figure here"),
        ({"ece": None}, "undefined here; see the notes"),
    ],
)
def test_a_missing_number_is_a_dash_with_its_reason(row: NewRow, change: dict[str, object], reason: str) -> None:
    """Undefined is stated, never a blank, a NaN or a zero."""
    rows = [row(metamodel="base_rate", **change), row(metamodel="bag", domain="addition")]
    page = render_report(ReportInputs(title="t", facts={}, rows=rows))
    assert re.search(rf">{DASH}(</bdi>)?<sup>a</sup>", page)
    assert reason in page
    assert "nan" not in read(page).words


def test_headlines_and_rule_follow_what_was_compared(small_inputs: ReportInputs) -> None:
    """The page says by which rule a verdict was reached, and counts verdicts on held-out domains."""
    page = render_report(small_inputs)
    assert '<span class="verdict good">1 of 1</span> <bdi>beat every baseline</bdi>' in page
    assert "a strict rule" in page
    pooled = [replace(one, split="in_distribution") for one in small_inputs.rows]
    assert '<h2 id="headline"><bdi>In distribution</bdi></h2>' in render_report(replace(small_inputs, rows=pooled))
    difference = PairedDifference(
        metamodel="bag", rival="base_rate", behavior="correct", primary="gpt2", split="held_out_domain",
        difference_bits=0.4, low_bits=0.3, high_bits=0.5,
    )  # fmt: skip
    assert "their paired difference lies above zero" in render_report(replace(small_inputs, comparisons=[difference]))


def test_an_empty_run_still_gives_a_page() -> None:
    """A run that evaluated nothing says so."""
    assert "nothing was evaluated" in render_report(ReportInputs(title="t", facts={}, rows=[]))


def test_every_link_leads_somewhere(realistic_page: str) -> None:
    """The table of contents, and every label of a section or chart, points to an id of the page, each unique."""
    reader = read(realistic_page)
    ids = [value for _, key, value in reader.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    targets = [value.removeprefix("#") for _, key, value in reader.attributes if key == "href"]
    labels = [name for _, key, value in reader.attributes if key == "aria-labelledby" for name in value.split()]
    assert set(targets) | set(labels) <= set(ids)
    drawings = [value for tag, key, value in reader.attributes if (tag, key, value) == ("figure", "class", "drawing")]
    # Two primary models: one of bits, six of behaviors, two of curves; each again without script, or named as left out.
    assert reader.elements["figure"] - len(drawings) == 18
    (left_out,) = re.findall(r"Without scripts, (\d+) charts of this page", realistic_page)
    assert len(drawings) + int(left_out) == 18


def test_a_full_page_stays_light(realistic_page: str) -> None:
    """Two primary models, six behaviors and thirteen domains stay under 8 MB, with room for four models."""
    assert len(realistic_page.encode()) < 6_000_000


def test_too_many_examples_are_cut_with_a_count(small_inputs: ReportInputs, example: NewExample) -> None:
    """The page stays light and says how many prompts it leaves out."""
    page = render_report(replace(small_inputs, examples=[example()] * (MAX_EXAMPLES + 7)))
    assert f"{MAX_EXAMPLES} of {MAX_EXAMPLES + 7} rows shown." in page


def test_example_says_what_was_predicted_and_what_came(example: NewExample) -> None:
    """Binary labels show the probability of yes, others the likeliest outcomes; surprise is the mean code length."""
    binary = example_cells(example(labels=["yes", "no", None]))
    assert binary[3:5] == [Shaded(text="0.75", value=0.75), "yes 1/2, no 1/2"]
    assert binary[5] == pytest.approx((-math.log2(0.75) - math.log2(0.25)) / 2)
    count = example_cells(example(probabilities={"0": 0.2, "1": 0.7, "2": 0.1}, labels=["1"]))
    assert count[3:5] == [Shaded(text="1: 0.70, 0: 0.20, 2: 0.10", value=0.7), "1"]
    unlabeled = example_cells(example(labels=[None], probabilities={}))
    assert unlabeled[3:6] == [Shaded(text="no prediction", value=0.0), "no label", None]
    assert example_cells(example(probabilities={"yes": 0.0, "no": 1.0}))[5] == float("inf")


def test_a_loop_is_marked_from_its_onset(small_inputs: ReportInputs, example: NewExample) -> None:
    """The looping stretch is told apart from what came before it, and a long one is cut."""
    looping = example(output="start " + "ab" * 400, loop=(6, 2))
    page = render_report(replace(small_inputs, examples=[looping]))
    assert f"start <mark>{'ab' * 297}</mark>" in page
    assert "206 more characters not shown" in page
    assert "loops from character 6 on, period 2" in page


def test_facts_are_flattened() -> None:
    """Nested facts become dotted keys, lists are joined."""
    facts = {"seed": 1, "versions": {"torch": "2.13", "deep": {"a": None}}, "primaries": ["gpt2", "lstm"]}
    assert dict(flatten(facts)) == {
        "seed": "1",
        "versions.torch": "2.13",
        "versions.deep.a": "None",
        "primaries": "gpt2, lstm",
    }
