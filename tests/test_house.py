"""The house: which package may import which, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("metamodel", "featurizers", "trainers")
GROUND_FLOOR = {
    "metamodel.errors",
    "metamodel.types",
    "metamodel.protocols",
    "metamodel.text",
    "metamodel.information",
    "metamodel.labels",
    "metamodel.metrics",
    "metamodel.feature_cache",
    "metamodel.quiet",
    # A component that holds others builds them by kind, and reads them back.
    "metamodel.metamodels",
    "metamodel.registry",
    "metamodel.config.components",
    # What featurizers share; a test below keeps it on the ground.
    *(f"metamodel.analysis.{path.stem}" for path in (ROOT / "metamodel" / "analysis").glob("[!_]*.py")),
}


def modules() -> dict[str, Path]:
    """Return every module of the three packages by name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: set[str], *, at_load: bool) -> set[str]:
    """Return the project's modules that a file imports: all of them, or only those needed to load it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _loaded_nodes(tree.body) if at_load else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} & known or {node.module}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def _loaded_nodes(body: list[ast.stmt]) -> list[ast.stmt]:
    nodes: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            nodes += _loaded_nodes(node.body)
        nodes.append(node)
    return nodes


@pytest.mark.parametrize("package", ["featurizers", "trainers"])
def test_components_stand_on_the_ground_floor(package: str) -> None:
    """Featurizers and trainers may import only types, protocols and pure functions, so that a third party's can too."""
    known = modules()
    for name, path in known.items():
        if name.split(".")[0] == package:
            used = {used for used in imports_of(path, set(known), at_load=False) if used.split(".")[0] != package}
            assert used <= GROUND_FLOOR, f"{name} imports {sorted(used - GROUND_FLOOR)}"


def test_the_ground_floor_stands_on_itself() -> None:
    """What featurizers share may import nothing of the stages, or every featurizer would."""
    known = modules()
    for name, path in known.items():
        if name.startswith("metamodel.analysis"):
            used = imports_of(path, set(known), at_load=False)
            assert used <= GROUND_FLOOR, f"{name} imports {sorted(used - GROUND_FLOOR)}"


def test_metamodel_finds_components_by_name_only() -> None:
    """The framework never imports a featurizer or trainer directly, or plug-ins would be second class."""
    known = modules()
    for name, path in known.items():
        if name.startswith("metamodel"):
            used = imports_of(path, set(known), at_load=False)
            assert not {other for other in used if other.split(".")[0] != "metamodel"}, name


def test_no_featurizer_family_knows_another() -> None:
    """Each behavior family must be readable and replaceable alone."""
    known = modules()
    for name, path in known.items():
        if name.startswith("featurizers."):
            used = imports_of(path, set(known), at_load=False)
            assert not {other for other in used if other.startswith("featurizers.")}, name


def test_no_circles() -> None:
    """Arrows between modules run one way: a circle would make the order of imports matter."""
    known = modules()
    graph = {name: imports_of(path, set(known), at_load=True) & set(known) for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_import_and_help_load_nothing_heavy() -> None:
    """`metamodel --help` answers at once because torch, transformers, sklearn and pandas wait until they are used."""
    code = (
        "import sys, metamodel.cli, metamodel, metamodel.config\n"
        "from metamodel.registry import GROUPS, component_class, component_names\n"
        "[component_class(group, kind) for group in GROUPS for kind in component_names(group)]\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'pandas', 'lightning', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_sizes_stay_readable() -> None:
    """A file of more than 400 lines or a function of more than 60 hides its structure."""
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{name}.{node.name}"
