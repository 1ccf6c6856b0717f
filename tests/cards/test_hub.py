"""A metamodel to and from the hub: folders, and a hub that is a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from typer.testing import CliRunner

from metamodel.cards import hub
from metamodel.cards.hub import PretrainedMetamodel
from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.errors import DataError, MetamodelError
from metamodel.evaluate import evaluate
from metamodel.metamodels import load_metamodel
from metamodel.store.run_directory import RunDirectory
from metamodel.train import train

MakeRun = Callable[..., tuple[RunDirectory, RunConfig]]
TEXTS = ["red stone", "blue river", ""]


@pytest.fixture
def trained(labeled_run: MakeRun) -> RunDirectory:
    """Return a run with one judged metamodel."""
    run, config = labeled_run(
        metamodels=["base_rate", {"kind": "tfidf_logistic", "name": "words"}],
        splits={"in_distribution": True, "held_out_domains": ["d0"]},
    )
    train(run, config)
    evaluate(run, config)
    return run


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the hub be a folder: what is uploaded lies there, what is fetched comes from there as links into a cache."""
    place = tmp_path / "hub"

    class Created:
        def __init__(self, repo_id: str) -> None:
            self.repo_id = repo_id

    class FolderApi:
        def __init__(self, **_options: object) -> None: ...

        def create_repo(self, *, repo_id: str, **_options: object) -> Created:
            (place / repo_id).mkdir(parents=True)
            return Created(repo_id)

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_options: object) -> str:
            shutil.copytree(folder_path, place / repo_id, dirs_exist_ok=True)
            return f"https://hub.test/{repo_id}/commit/1"

    def fetched(repo_id: str, **options: object) -> str:
        if not (place / repo_id).is_dir():
            raise LocalEntryNotFoundError("a request with Bearer SECRET")
        assert options["revision"] in (None, "v1")
        links = tmp_path / "links"
        for path in (place / repo_id).rglob("*"):
            if path.is_file():
                link = links / path.relative_to(place / repo_id)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(path)
        return str(links)

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", FolderApi)
    monkeypatch.setattr(hub, "snapshot_download", fetched)
    return place


def test_save_and_load_a_folder(trained: RunDirectory, tmp_path: Path) -> None:
    """What was saved predicts the same bits, and its config and card are there."""
    metamodel = load_metamodel(trained.metamodel_folder("words-planted-in_distribution"))
    PretrainedMetamodel(metamodel).save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["library_name"] == "metamodel"
    assert (tmp_path / "saved" / "README.md").is_file()
    again = PretrainedMetamodel.from_pretrained(tmp_path / "saved")
    assert dict(again.spaces) == dict(metamodel.spaces)  # type: ignore[attr-defined] # ours tell
    for name, values in metamodel.predict(TEXTS).items():
        np.testing.assert_array_equal(again.predict(TEXTS)[name], values)


def test_push_and_fetch(trained: RunDirectory, hub_folder: Path) -> None:
    """`metamodel push` sends the metamodel and its card, and from_pretrained reads them from links as from files."""
    arguments = ["push", str(trained.path), "words", "me/words"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["url"] == "https://hub.test/me/words/commit/1"
    assert set(told["files"]) == {path.name for path in (hub_folder / "me/words").iterdir()}
    card = (hub_folder / "me/words/README.md").read_text(encoding="utf-8")
    assert card == told["card"]
    assert "left-out domains" in card
    fetched = PretrainedMetamodel.from_pretrained("me/words", revision="v1")
    own = load_metamodel(trained.metamodel_folder("words-planted-in_distribution")).predict(TEXTS)
    for name, values in own.items():
        np.testing.assert_array_equal(fetched.predict(TEXTS)[name], values)


def test_a_dry_run_sends_nothing(trained: RunDirectory, hub_folder: Path) -> None:
    """A dry run shows the card and the files."""
    result = CliRunner().invoke(app, ["push", str(trained.path), "words", "me/words", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "nothing was sent to me/words" in result.stdout
    assert "weights.safetensors" in result.stdout
    assert not hub_folder.exists()


@pytest.mark.usefixtures("hub_folder")
def test_what_cannot_be_fetched(tmp_path: Path) -> None:
    """A repository that is not there, a folder that is no metamodel each end in words, without a key."""
    with pytest.raises(MetamodelError, match="neither a folder nor a repository") as caught:
        PretrainedMetamodel.from_pretrained("me/absent")
    assert "SECRET" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"spec\.json"):
        PretrainedMetamodel.from_pretrained(tmp_path / "empty")


def test_bad_repository_names(trained: RunDirectory) -> None:
    """A name that the hub would refuse is refused before anything is sent."""
    result = CliRunner().invoke(app, ["push", str(trained.path), "words", "a/b/c"])
    assert isinstance(result.exception, MetamodelError)
    assert "USER/NAME" in str(result.exception)
