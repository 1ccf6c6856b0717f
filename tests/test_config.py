"""Configs: whatever is wrong is said at once, where it stands, with the nearest right name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from metamodel.bundled_configs import OTHER_COMMANDS, bundled_configs, copy_config, find_config
from metamodel.config import build_config, load_config
from metamodel.errors import ConfigError, MetamodelError, UnknownNameError

CONFIGS = sorted(Path("configs").glob("*.yaml"))


def small_config(**changes: object) -> dict[str, Any]:
    """Return a valid config as plain data, with top-level changes."""
    config: dict[str, Any] = {
        "name": "small",
        "prompts": {"n_prompts": 20, "sources": [{"kind": "addition"}, {"kind": "reversal"}]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "behaviors": [{"kind": "correct"}],
        "metamodels": [{"kind": "base_rate"}],
    }
    return {**config, **changes}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_bundled_config_loads_and_says_what_it_is_for(path: Path) -> None:
    """A config that ships must load, and its header must tell purpose, command, time and result."""
    header = path.read_text(encoding="utf-8").split("\n\n", 1)[0]
    for word in ("# Purpose:", "# Command:", "# Needs:", "# Time:", "# Result:"):
        assert word in header
    if path.stem in OTHER_COMMANDS:  # loaded by tests of their own
        assert f"# Command: {OTHER_COMMANDS[path.stem]} " in header
        return
    config = load_config(path)
    assert config.name == path.stem
    assert build_config(config.resolved).resolved == config.resolved


def test_defaults_are_filled_in() -> None:
    """The resolved config is complete, so that a stored run says everything that mattered."""
    config = build_config(small_config())
    assert config.resolved["sampling"] == {
        "n_samples": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_new_tokens": 64,
        "stop": [],
        "seed": 0,
    }
    assert config.directory == "runs/small"
    assert list(config.primaries) == ["lstm"]


def test_all_problems_at_once_with_key_paths_and_nearest_names() -> None:
    """A user mends a config in one pass, not error by error."""
    raw = small_config(
        seeed=1,
        prompts={"n_prompts": 0, "sources": [{"kind": "additon"}, {"kind": "reversal", "max_lenght": 3}, {}]},
        primaries=[],
        sampling={"n_samples": 0, "temperature": -1},
        behaviors="correct",
        splits={"test_share": 2, "held_out_domains": 7},
        evaluation={"n_bootstrap": 3},
        logger="tensorboard",
    )
    with pytest.raises(ConfigError) as caught:
        build_config(raw)
    problems = "\n".join(caught.value.problems)
    for expected in (
        "seeed: unknown key, did you mean seed?",
        "prompts: n_prompts is 0, must be at least 1",
        "prompts.sources.0.kind: no prompts component is named 'additon': did you mean addition?",
        "prompts.sources.1.max_lenght: unknown key, did you mean max_length?",
        "prompts.sources.2: got {}, must be a mapping with a `kind`",
        "primaries: is [], must be a list",
        "sampling: n_samples is 0, must be at least 1; temperature is -1.0",
        "behaviors: is 'correct', must be a list",
        "splits.held_out_domains",
        "evaluation: n_bootstrap is 3, must be at least 100",
        "logger: input should be 'csv', 'wandb' or 'none', got 'tensorboard'",
    ):
        assert expected in problems


def test_wrong_types_are_refused_not_converted() -> None:
    """A quoted number or a word in place of a number is a mistake to be shown, not guessed at."""
    with pytest.raises(ConfigError, match=r"sampling.n_samples: input should be a valid integer, got '4'"):
        build_config(small_config(sampling={"n_samples": "4"}))
    with pytest.raises(ConfigError, match=r"prompts.n_prompts"):
        build_config(small_config(prompts={"n_prompts": True, "sources": [{"kind": "addition"}]}))


def test_names_are_unique_and_safe() -> None:
    """Names become folder names, so two alike or one with a path in it would overwrite files."""
    twice = [{"kind": "base_rate"}, {"kind": "base_rate"}]
    with pytest.raises(ConfigError, match=r"metamodels.1.name: base_rate is taken"):
        build_config(small_config(metamodels=twice))
    with pytest.raises(ConfigError, match=r"metamodels.0.name: '../x' is not a name"):
        build_config(small_config(metamodels=[{"kind": "base_rate", "name": "../x"}]))
    named = build_config(small_config(metamodels=[{"kind": "base_rate"}, {"kind": "base_rate", "name": "other"}]))
    assert list(named.metamodels) == ["base_rate", "other"]


def test_greedy_decoding_draws_one_sample() -> None:
    """Several greedy samples would be the same output counted several times."""
    with pytest.raises(ConfigError, match="greedy decoding"):
        build_config(small_config(sampling={"n_samples": 4, "temperature": 0}))


def write(path: Path, config: object) -> Path:
    """Write a config as YAML."""
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_overrides_reach_lists_and_new_keys(tmp_path: Path) -> None:
    """`--set` changes any value by its path."""
    path = write(tmp_path / "job.yaml", small_config())
    config = load_config(path, ["primaries.0.model=gpt2", "sampling.n_samples=3", "seed=9"])
    assert config.resolved["primaries"][0]["model"] == "gpt2"  # type: ignore[index,call-overload] # a list of mappings
    assert (config.sampling.n_samples, config.seed) == (3, 9)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "must read key.path=value"),
        ("primaries.7.model=x", "'7' must be the number of an item, 0 to 0"),
        ("seed.deeper=1", "has no keys"),
        ("sampling=[1", "is not YAML"),
    ],
)
def test_bad_overrides_say_what_is_wrong(tmp_path: Path, override: str, message: str) -> None:
    """A mistyped --set never does something else than asked."""
    path = write(tmp_path / "job.yaml", small_config(seed=0))
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load_config(path, [override])


def test_unreadable_configs(tmp_path: Path) -> None:
    """A missing file, broken YAML or a list in place of a mapping is one sentence."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match="must be a mapping of keys, got list"):
        load_config(write(tmp_path / "list.yaml", [1]))


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    """A config from a stranger is data: YAML tags that would run code are refused."""
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.system ['true']", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(path)


def test_bundled_configs_are_found_and_copied(tmp_path: Path) -> None:
    """`configs ls` and `configs cp` work from the installed package, and never overwrite."""
    assert {"quickstart", "local-model"} <= set(bundled_configs())
    assert all(bundled_configs().values())
    copy = copy_config("quickstart", tmp_path)
    assert load_config(copy).name == "quickstart"
    with pytest.raises(MetamodelError, match="exists already"):
        copy_config("quickstart", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean quickstart"):
        find_config("quickstrat")
