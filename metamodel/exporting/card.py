"""The README.md of an exported pre-screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metamodel.labels import LabelSpace
from metamodel.screen.rules import ScreenRule

_SHOWN = 20
_SHOWN_CHARACTERS = 200


def card_text(source: Mapping[str, object], spaces: Mapping[str, LabelSpace], rules: Sequence[ScreenRule]) -> str:
    """Return what a reader of the folder should know; names may come from anyone and stay on their line.

    >>> print(card_text({"kind": "bag"}, {}, []).splitlines()[0])
    # A pre-screen: bag
    """
    primaries = source.get("primaries")
    names = ", ".join(primaries) if isinstance(primaries, Mapping) else ""
    lines = [
        f"# A pre-screen: {_plain(source.get('kind'))}",
        "",
        f"It predicts from a prompt alone what a primary model will do ({_plain(names)}), and decides before it",
        "is called. It needs no torch. screen.json says where it comes from and lists every file with its hash.",
        "",
        "    metamodel screen THIS_FOLDER prompts.jsonl > decisions.jsonl",
        "    metamodel serve THIS_FOLDER",
        "",
        '    from metamodel.screen import Screen; Screen.load("THIS_FOLDER")(["a prompt"])[0].decision',
        "",
        "## What it predicts",
        "",
        *_limited([f"- {_plain(name)}: {_plain(', '.join(space.outcomes))}" for name, space in spaces.items()]),
        "",
        "## What it decides by",
        "",
        *(_limited([_rule_line(rule) for rule in rules]) or ["No rule: every prompt passes."]),
        "",
        "A guarantee holds for prompts like those it was chosen on. Under another distribution it may not:",
        "watch the warnings of unfamiliar prompts.",
    ]
    return "\n".join(lines) + "\n"


def _rule_line(rule: ScreenRule) -> str:
    line = (
        f"- {_plain(rule.behavior)}: stops where the probability of {_plain(' or '.join(rule.failures))} is above "
        f"{rule.threshold:.4g}"
    )
    given = rule.guarantee
    if given is None:
        return f"{line}; nothing was promised of it"
    return (
        f"{line}; at most {given.risk:.1%} failures among those let through, with confidence {given.confidence:.1%} "
        f"({given.coverage:.1%} of {given.n_prompts} prompts pass; {_plain(given.method)})"
    )


def _limited(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"- and {len(lines) - _SHOWN} more, see screen.json"]


def _plain(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
