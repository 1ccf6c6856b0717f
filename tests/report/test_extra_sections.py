"""What other stages stored, on the report's page: their own files, and files that anyone may have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from metamodel.corpus.sections import sections_of_file as corpus_sections
from metamodel.discovery.sections import sections_of_file as discovery_sections
from metamodel.perturbations.sections import sections_of_file as perturbation_sections
from metamodel.report.elements import DataTable, Section, write_page
from metamodel.report.extra_sections import EXTRA_SECTIONS

HOSTILE = "<script>alert(1)</script>\u202e"
CORPUS = {
    "floor": 0.05,
    "rows": [
        {
            "behavior": HOSTILE,
            "primary": "gpt2",
            "kind": "contingent",
            "corpus": {"rate": 0.3, "low": 0.2, "high": 0.4},
            "contexts": [{"place": "plays", "state": "present"}, {"place": "laws", "state": "absent"}],
        }
    ],
    "notes": ["one note"],
}
MOVED = {
    "behaviors": [
        {
            "derived": "gpt2-noise",
            "original": "gpt2",
            "behavior": "correct",
            "moves": True,
            "change": -0.1,
            "low": -0.2,
        },
        {"derived": HOSTILE, "behavior": "stop_reason", "outcome": "length"},
    ],
    "predictions": [{"derived": "gpt2-noise", "metamodel": "bag", "verdict": "lost", "derived_bits": -0.4}],
}
FOUND = {
    "candidates": [
        {
            "slice": HOSTILE,
            "is_verified": True,
            "bits": {"value": 0.2, "low": 0.1, "high": 0.3},
            "largest_domain": "law",
            "largest_domain_share": 0.5,
            "examples": [{"prompt": HOSTILE, "output": None, "prediction": 0.1, "why": "typical"}],
        },
        {"slice": "short", "is_verified": False},
    ]
}


def tables(sections: list[Section]) -> list[DataTable]:
    """Return the tables of some sections."""
    return [element for section in sections for element in section.elements if isinstance(element, DataTable)]


@pytest.mark.parametrize(
    ("sections_of", "content", "n_rows"),
    [(corpus_sections, CORPUS, [1]), (perturbation_sections, MOVED, [2, 1]), (discovery_sections, FOUND, [2, 1])],
)
def test_stored_figures_are_shown(sections_of: object, content: object, n_rows: list[int], tmp_path: Path) -> None:
    """Every stored row is a row of the page, and what came from data stays text."""
    assert callable(sections_of)
    found = sections_of(content)
    assert [len(table.rows) for table in tables(found)] == n_rows
    for table in tables(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    write_page(tmp_path / "page.html", "page", found)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("sections_of", [corpus_sections, perturbation_sections, discovery_sections])
@pytest.mark.parametrize(
    "content", [None, [], "text", {"rows": 3, "candidates": [4], "behaviors": {"a": 1}, "notes": [5]}]
)
def test_damaged_files_are_gaps(sections_of: object, content: object, tmp_path: Path) -> None:
    """A file that holds something else gives a page without those rows, and no traceback."""
    assert callable(sections_of)
    found = sections_of(content)
    assert all(not table.rows for table in tables(found))
    write_page(tmp_path / "page.html", "page", found)


def test_files_are_those_that_stages_write() -> None:
    """Each stage's file has its place on the page."""
    assert [extra.file for extra in EXTRA_SECTIONS] == [
        "information.json",
        "discoveries.json",
        "perturb.json",
        "corpus.json",
    ]
    for extra in EXTRA_SECTIONS[1:]:
        assert extra.sections_of({})
