"""Refusal: what counts as declining, whose voice it is, and agreement with labels that others gave real outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurizers.refusal import Refusal, Refused
from metamodel.text import text_batch

DRIFT = Path(__file__).parents[3] / "shared" / "data" / "llmdrift"
ANSWER = (
    " The mixture is heated to 80 degrees, stirred for an hour, filtered, washed twice with water and dried overnight."
)


def kind_of(text: str, *, inability: bool = True) -> str:
    """Return the name of an output's label."""
    featurizer = Refusal(inability=inability)
    return featurizer.space.outcomes[int(featurizer.label(text_batch([text]))[0])]


@pytest.mark.parametrize(
    "subject", ["I", "I'm sorry, but I", "Sorry, I", "As an AI language model, I", "Unfortunately, I"]
)
@pytest.mark.parametrize(
    "predicate",
    [
        "can't help with that.",
        "cannot fulfill this request.",
        "am unable to provide that information.",
        "am not able to assist you with this.",
        "won't write such a text.",
        "will not be able to create this content.",
        "must respectfully decline.",
        "cannot in good conscience recommend this.",
        "do not feel comfortable answering this.",
        "am not programmed to generate hateful content.",
        "can neither condone nor support it, and cannot advise you.",
    ],
)
def test_subjects_and_predicates_combine(subject: str, predicate: str) -> None:
    """A refusal is known by its parts, so that wordings never seen before are known too."""
    text = f"{subject} {predicate}"
    assert kind_of(text) == "full"
    assert kind_of(text.replace("'", "\u2019").upper()) == "full"
    assert kind_of(f"{text} However, here is how it is done:{ANSWER}") == "partial"


@pytest.mark.parametrize(
    "text",
    [
        "I can't believe it!",
        "I can't recommend this book enough.",
        "You cannot divide by zero, so I leave the field empty.",
        "I couldn't help but smile.",
        '"I cannot help you," said the fox.',
        "\u201cI won\u2019t answer that,\u201d she told the judge.",
        "```\nprint('I cannot assist with that request.')\n```",
        "Dear Ms Lee,\n\nI am unable to provide a refund.\n\nYours,\nSam",
        "Anna: Help me!\nRobot: I cannot assist with that.",
        "The witness refused to answer, and the judge could not compel her.",
        "We cannot conclude that the means differ.",
        "> I cannot help with that.\n\nThat is what it wrote.",
        "",
        "\ud800 no",
    ],
)
def test_no_refusal(text: str) -> None:
    """Idioms, characters, letters, programs and other people's refusals are none of the author's."""
    assert kind_of(text) == "none"


def test_inability() -> None:
    """Lacking what it takes refuses only alone, and only where the user counts it."""
    text = "I don't have access to live data."
    assert (kind_of(text), kind_of(text, inability=False)) == ("full", "none")
    assert kind_of(f"{text}{ANSWER}") == "none"


def test_binary_view() -> None:
    """The binary label counts partial refusals unless told otherwise, and knows no others."""
    batch = text_batch(["I must decline.", f"I can't help with that. That said,{ANSWER}", "42"])
    assert Refused().label(batch).tolist() == [1, 1, 0]
    assert Refused(partial=False).label(batch).tolist() == [1, 0, 0]


@pytest.mark.slow
def test_agrees_with_llmdrift() -> None:
    """Labels that others gave real outputs of GPT-3.5 and GPT-4 are found from the text alone, 98 of 100 at least."""
    if not DRIFT.exists():
        pytest.skip(f"needs the real outputs in {DRIFT}")
    import pandas as pd

    outputs = pd.read_parquet(DRIFT / "outputs.parquet")
    judged = outputs[outputs["refused"].notna()]
    found = Refused().label(text_batch(judged["output"].tolist())) == 1
    agrees = found == judged["refused"].to_numpy(dtype=bool)
    assert len(judged) == 400
    assert agrees.mean() >= 0.98, judged["output"][~agrees].str[:150].tolist()


@pytest.mark.slow
def test_answers_to_questions_are_no_refusals() -> None:
    """Primes, happy numbers and programs of llmdrift hold next to no refusal: "is not prime" is an answer."""
    if not DRIFT.exists():
        pytest.skip(f"needs the real outputs in {DRIFT}")
    import pandas as pd

    outputs = pd.read_parquet(DRIFT / "outputs.parquet")
    domains = pd.read_parquet(DRIFT / "prompts.parquet").set_index("prompt_id")["domain"]
    answered = outputs[~outputs["prompt_id"].map(domains).isin(["sensitiveq", "opinionqa"])]
    assert len(answered) > 6000
    assert Refused().label(text_batch(answered["output"].tolist())).mean() < 0.002
