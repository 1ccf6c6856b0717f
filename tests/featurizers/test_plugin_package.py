"""A third party's package: what README calls writing your own featurizer works from a package that is not ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "plugin_package"
LABELS_WITH_IT = """
import json
from metamodel.config.components import build_component
from metamodel.text import text_batch
spec = {"kind": "threshold", "of": {"kind": "exclamations", "mark": "?"}, "at_least": 2}
print(json.dumps(build_component("featurizers", spec, at="spec").label(text_batch(["Why?", "Why? How?"])).tolist()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the plug-in package is installed, without touching ours."""
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "installed"
    shutil.copytree(PACKAGE, source)  # a build writes beside what it builds
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(source)], check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def test_is_what_readme_prints() -> None:
    """The package that the tests below install is the one that README shows, word for word."""
    _, code = (PACKAGE / "metamodel_exclamations.py").read_text(encoding="utf-8").split('"""\n\n', 1)
    assert f"```python\n{code}```" in (PACKAGE.parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_is_listed_as_ours_are(installed: dict[str, str]) -> None:
    """An installed package's behavior stands in the catalog with its fields and label space."""
    run_main = "import sys; from metamodel.cli import main; sys.argv[1:] = sys.argv[2:]; main()"
    command = [sys.executable, "-c", run_main, "metamodel", "components", "--group", "featurizers", "--json"]
    listed = subprocess.run(command, env=installed, check=True, capture_output=True, text=True).stdout
    entries = {entry["kind"]: entry for entry in json.loads(listed)}
    assert entries["exclamations"]["label_space"] == "count"
    assert entries["exclamations"]["fields"] == {"mark": "str = '!'"}
    assert entries["exclamations"]["summary"] == "Number of exclamation marks of the output."


@pytest.mark.slow
def test_labels_as_ours_do(installed: dict[str, str]) -> None:
    """It can be configured, held by a composition of ours, and labels."""
    labeled = subprocess.run(
        [sys.executable, "-c", LABELS_WITH_IT], env=installed, check=True, capture_output=True, text=True
    )
    assert json.loads(labeled.stdout) == [0, 1]
