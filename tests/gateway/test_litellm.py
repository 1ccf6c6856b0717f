"""The guardrail inside LiteLLM's own proxy classes, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from metamodel.bundled_configs import find_config

CHECKS = Path(__file__).with_name("litellm_checks.py")


@pytest.mark.slow
def test_the_guardrail_blocks_reroutes_and_annotates(screen_folder: Path, tmp_path: Path) -> None:
    """The bundled config, loaded as the proxy loads it, does what its policy says to every kind of call."""
    config = Path(shutil.copy(find_config("litellm"), tmp_path / "litellm.yaml"))
    header = config.read_text(encoding="utf-8").split("\n\n", 1)[0]
    line = next(line for line in header.splitlines() if "import MetamodelGuardrail" in line).removeprefix("#").strip()
    (tmp_path / "prescreen_guardrail.py").write_text(line + "\n", encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, str(CHECKS), str(config), str(screen_folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["is_own"]
    assert found["runs"]
    assert found["good"] == {"model": "m", "kept": 1, "headers": {}}
    assert found["bad"]["model"] == "my-stronger-model"
    assert found["bad"]["headers"]["x-metamodel-decision"] == "stop"
    assert found["bad"]["kept"] == 1
    assert (found["text"], found["responses"]) == ("my-stronger-model", "my-stronger-model")
    assert found["embedding"] == "m"
    assert found["refusal"] == "No."
    assert "policy.stopp: unknown key, did you mean stop?" in found["problem"]


def test_the_bundled_config_names_models_that_it_has() -> None:
    """A fallback to a model that the proxy does not know would fail with the first prompt that is stopped."""
    config = yaml.safe_load(find_config("litellm").read_text(encoding="utf-8"))
    models = {entry["model_name"] for entry in config["model_list"]}
    policy = config["guardrails"][0]["litellm_params"]["policy"]
    assert {action["to"] for action in policy.values() if isinstance(action, dict)} <= models
