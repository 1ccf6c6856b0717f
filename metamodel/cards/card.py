"""The card of one metamodel: README.md with the hub's YAML header.

Everything but the fixed words may come from anyone: names are kept to their cell, and the header is written by a YAML
library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.metric_rows import MetricsRow, Split

_SHOWN: Final = 30
_SHOWN_CHARACTERS: Final = 120
_SPLIT_WORDS: Final[dict[Split, str]] = {"in_distribution": "known domains", "held_out_domain": "left-out domains"}
_LIBRARY: Final = "metamodel"
_TAGS: Final = ("metamodel", "behavior-prediction", "text-classification")
_DASH: Final = "-"
_READING: Final = (
    "Bits gained a label over the best constant on the judged prompts themselves; below zero that constant would have "
    "been better. The ceiling is what no function of the prompt can exceed."
)
_ALWAYS: Final = (
    "- It knows the primary models and sampling settings named above; another revision may behave otherwise.",
    "- Probabilities are calibrated on the training domains. On prompts of another kind, judge it on labels first.",
)
# What would end a cell or begin markup becomes what looks alike.
_HARMLESS: Final = str.maketrans({"|": "/", "<": "(", ">": ")", "[": "(", "]": ")", "`": "'", "\\": "/", "*": "+"})


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """How one behavior of one primary model was predicted on one split, with what to compare it with.

    Attributes:
        row: The metamodel's row that sums up the split, or that of the one domain which its fit left out.
        worst: Its row of the domain with the fewest bits, where there are several.
        best_baseline: The baseline's row with the most bits in the same place.
    """

    row: MetricsRow
    worst: MetricsRow | None
    best_baseline: MetricsRow | None


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """All that a card says.

    Attributes:
        name: Name of the fit.
        kind: Kind of its trainer.
        primaries: Identity of each primary model whose behavior it predicts, by name.
        outcomes: Outcome names of each behavior.
        n_prompts: Training prompts.
        n_validation_prompts: Prompts that stopped and calibrated.
        domains: Training prompts of each domain.
        left_out: The domain that the fit left out; empty for none.
        seed: Seed of the fit.
        judgments: What evaluation found; empty before.
        borrowed: Pretrained parts that are not saved with it.
    """

    name: str
    kind: str
    primaries: Mapping[str, str]
    outcomes: Mapping[str, Sequence[str]]
    n_prompts: int
    n_validation_prompts: int
    domains: Mapping[str, int]
    left_out: str
    seed: int
    judgments: Sequence[Judgment]
    borrowed: Sequence[str]


def card_text(facts: CardFacts) -> str:
    """Return the card as Markdown behind its YAML header."""
    lines = [
        *_header(facts),
        f"# {_cell(facts.name)}",
        "",
        f"A metamodel of kind `{_cell(facts.kind)}`: it predicts from a prompt alone what a language model will do.",
        "",
        "## What it predicts",
        "",
        *_listed([f"- {_cell(name)}: {_outcomes(names)}" for name, names in facts.outcomes.items()]),
        "",
        "Of these primary models:",
        "",
        *_listed([f"- {_cell(name)} (`{_cell(identity)}`)" for name, identity in facts.primaries.items()]),
        "",
        "## What it was trained on",
        "",
        f"{facts.n_prompts:,} prompts, {facts.n_validation_prompts:,} more to stop and calibrate; seed {facts.seed}.",
        "",
        *_table(["domain", "training prompts"], [[_cell(name), f"{n:,}"] for name, n in facts.domains.items()]),
        "",
        *_figures(facts),
        "## Limits",
        "",
        *_limits(facts),
        "",
        "## Use",
        "",
        "    from metamodel.cards.hub import PretrainedMetamodel",
        '    PretrainedMetamodel.from_pretrained("THIS_FOLDER_OR_REPOSITORY").predict(["a prompt"])',
    ]
    return "\n".join(lines) + "\n"


def _header(facts: CardFacts) -> list[str]:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-classification",
            task_name=f"{_cell(one.row.behavior)} of {_cell(one.row.primary)}",
            dataset_type="prompts",
            dataset_name=_place(one.row),
            metric_type=kind,
            metric_name=title,
            metric_value=round(value, 4),
        )
        for one in facts.judgments[:_SHOWN]
        for kind, title, value in (
            ("reduction_bits", "bits gained over the best constant", one.row.reduction_bits),
            ("roc_auc", "AUROC", one.row.auroc),
            ("ece", "expected calibration error", one.row.ece),
        )
        if value is not None
    ]
    data = ModelCardData(
        library_name=_LIBRARY,
        pipeline_tag="text-classification",
        tags=[*_TAGS, _cell(facts.kind)],
        model_name=_cell(facts.name) if results else None,
        eval_results=results or None,
    )
    return ["---", data.to_yaml(), "---", ""]


def _figures(facts: CardFacts) -> list[str]:
    if not facts.judgments:
        return []
    rows = [_figure_cells(one) for one in facts.judgments[:_SHOWN]]
    hidden = len(facts.judgments) - len(rows)
    headings = (
        *("primary model", "behavior", "judged on", "bits gained [95 %]", "ceiling", "AUROC", "ECE"),
        *("worst domain", "best baseline"),
    )
    return [
        "## How well it predicts",
        "",
        _READING,
        "",
        _origin(facts),
        "",
        *_table(headings, rows),
        *(["", f"And {hidden} more, see metrics.json of the run."] if hidden > 0 else []),
        "",
    ]


def _origin(facts: CardFacts) -> str:
    if facts.left_out:
        return f"This fit never saw the domain {_cell(facts.left_out)}; it was judged on that domain alone."
    if any(one.row.split == "held_out_domain" for one in facts.judgments):
        return (
            "Known domains: test prompts of the training domains, by this fit. Left-out domains: by fits of the same "
            "recipe, each of which left one domain out; the mean over domains."
        )
    return "Known domains: test prompts of the training domains. No domain was left out, so nothing is known of others."


def _figure_cells(one: Judgment) -> list[str]:
    row, worst, rival = one.row, one.worst, one.best_baseline
    interval = f" [{_bits(row.reduction_low_bits)}, {_bits(row.reduction_high_bits)}]"
    return [
        _cell(row.primary),
        _cell(row.behavior),
        f"{_place(row)}, {row.n_prompts:,} prompts",
        _bits(row.reduction_bits) + (interval if row.reduction_low_bits is not None else ""),
        _number(row.ceiling_bits),
        _number(row.auroc),
        _number(row.ece),
        f"{_cell(worst.domain or '')} {_bits(worst.reduction_bits)}" if worst else _DASH,
        f"{_cell(rival.metamodel)} {_bits(rival.reduction_bits)}" if rival else _DASH,
    ]


def _limits(facts: CardFacts) -> list[str]:
    lines = [*_ALWAYS]
    if not facts.judgments:
        lines.append("- It has not been judged yet: `metamodel evaluate` adds figures to this card.")
    losing = [one.row for one in facts.judgments if one.row.reduction_bits is not None and one.row.reduction_bits <= 0]
    if losing:
        lines.append(f"- It gains no bits on {_some([_named(row) for row in losing])}.")
    beaten = [one.row for one in facts.judgments if not _beats(one)]
    if beaten:
        lines.append(f"- A baseline predicts as well or better on {_some([_named(row) for row in beaten])}.")
    if not any(one.row.split == "held_out_domain" for one in facts.judgments) and facts.judgments:
        lines.append("- Nothing is known of domains that it was not trained on.")
    if facts.borrowed:
        lines.append(f"- It needs {_some(facts.borrowed)} installed to predict.")
    return lines


def _beats(one: Judgment) -> bool:
    mine, rival = one.row.reduction_bits, one.best_baseline.reduction_bits if one.best_baseline else None
    return mine is None or rival is None or mine > rival


def _named(row: MetricsRow) -> str:
    return f"{row.behavior} of {row.primary} ({_place(row)})"


def _some(names: Sequence[str], *, most: int = 8) -> str:
    listed = [_cell(name) for name in dict.fromkeys(names)]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _place(row: MetricsRow) -> str:
    return _SPLIT_WORDS[row.split] if row.domain is None else f"left-out domain {_cell(row.domain)}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [f"| {' | '.join(cells)} |" for cells in rows[:_SHOWN]]
    more = [f"| and {len(rows) - _SHOWN} more |{' |' * (len(headings) - 1)}"] if len(rows) > _SHOWN else []
    return [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}", *shown, *more]


def _listed(lines: Sequence[str]) -> list[str]:
    return [*lines[:_SHOWN], *([f"- and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]


def _outcomes(names: Sequence[str], *, most: int = 6) -> str:
    shown = ", ".join(_cell(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def _bits(value: float | None) -> str:
    return _DASH if value is None else f"{value:+.3f}"


def _number(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """Return text that can leave neither its cell nor its line, and is no markup.

    >>> _cell("a|b <script> [x](y)")
    'a/b (script) (x)(y)'
    """
    plain = "".join(character if character.isprintable() else " " for character in text)
    one_line = " ".join(plain.translate(_HARMLESS).split())
    return one_line if len(one_line) <= _SHOWN_CHARACTERS else f"{one_line[:_SHOWN_CHARACTERS]}..."
