"""A metamodel to and from the Hugging Face hub, by huggingface_hub's conventions.

    PretrainedMetamodel(metamodel).save_pretrained("folder")
    PretrainedMetamodel.from_pretrained("user/repository", revision="...").predict(["a prompt"])

A repository may come from anyone: it is read like any other folder, and nothing in it is ever executed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import ModelHubMixin, snapshot_download

from metamodel.errors import DataError, MetamodelError
from metamodel.labels import LabelSpace
from metamodel.metamodels import load_metamodel, save_carried
from metamodel.protocols import Metamodel
from metamodel.types import Predictions

CARD_FILE = "README.md"
# What a saved metamodel is made of; a repository's other files are not fetched.
_FILES = ("*.json", "*.safetensors", "*.onnx", "README.md", "LICENSE*")


class PretrainedMetamodel(ModelHubMixin, library_name="metamodel", tags=["metamodel", "behavior-prediction"]):
    """A metamodel with `save_pretrained`, `from_pretrained` and `push_to_hub`.

    Attributes:
        metamodel: What predicts.
    """

    def __init__(self, metamodel: Metamodel) -> None:
        """Wrap a trained metamodel; its card is the one that it saves, unless `with_card` gives another."""
        super().__init__()
        self.metamodel = metamodel
        self._card = ""

    def with_card(self, text: str) -> PretrainedMetamodel:
        """Return it with the text of the README.md that it is saved with."""
        other = PretrainedMetamodel(self.metamodel)
        other._card = text
        return other

    @property
    def spaces(self) -> Mapping[str, LabelSpace]:
        """Label space of each behavior; empty where a third party's metamodel does not tell."""
        spaces: Mapping[str, LabelSpace] = getattr(self.metamodel, "spaces", {})
        return spaces

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return outcome probabilities of every behavior, [n, c] each, see `Metamodel.predict`."""
        return self.metamodel.predict(texts, domains=domains)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the metamodel with all that it needs to predict, or, where it cannot carry that along, without."""
        try:
            save_carried(self.metamodel, save_directory)
        except DataError:
            self.metamodel.save(save_directory)
        # The hub counts downloads by this file, and huggingface_hub looks for it.
        config = {
            "library_name": "metamodel",
            "behaviors": {name: list(of.outcomes) for name, of in self.spaces.items()},
        }
        (save_directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if self._card:
            (save_directory / CARD_FILE).write_text(self._card, encoding="utf-8")

    @classmethod
    def from_pretrained(  # type: ignore[override] # the mixin's reads options for __init__ from the repository: none here
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> PretrainedMetamodel:
        """Read a folder, or a repository's snapshot.

        Args:
            pretrained_model_name_or_path: The folder, or USER/NAME.
            force_download: Fetch what is in the cache again.
            token: Key of a private repository; HF_TOKEN by default.
            cache_dir: Where fetched files are kept.
            local_files_only: Ask no hub.
            revision: Branch, tag or commit.

        Raises:
            MetamodelError: There is neither, or it cannot be fetched.
            DataError: It is no saved metamodel.
        """
        model_id = str(pretrained_model_name_or_path)
        if Path(model_id).is_dir():
            return cls(load_metamodel(model_id))
        # A folder of its own, of files and not of links into a cache: only files are read.
        copy = Path(tempfile.mkdtemp(prefix="metamodel-hub-"))
        try:
            _fetch(
                model_id,
                copy,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
            metamodel = load_metamodel(copy)
        except BaseException:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        # A metamodel may open its files only when it first predicts.
        weakref.finalize(metamodel, shutil.rmtree, copy, ignore_errors=True)
        return cls(metamodel)


def _fetch(
    model_id: str,
    folder: Path,
    *,
    revision: str | None,
    cache_dir: str | Path | None,
    force_download: bool,
    local_files_only: bool,
    token: str | bool | None,
) -> None:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = snapshot_download(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            allow_patterns=list(_FILES),
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        # Not chained: the errors hold the request, and with it the token.
        raise MetamodelError(
            f"{model_id!r} is neither a folder nor a repository that can be fetched ({type(error).__name__}): check "
            "the name and the revision, and HF_TOKEN where it is private"
        ) from None
    shutil.copytree(snapshot, folder, dirs_exist_ok=True)
