"""Put a run's metamodel on the Hugging Face hub, with its card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.cards.stage import card_facts
from metamodel.config import build_config
from metamodel.dataset import read_datasets
from metamodel.errors import MetamodelError, RunError
from metamodel.exporting.choices import find_fit
from metamodel.metamodels import load_metamodel
from metamodel.metric_rows import rows_from_json
from metamodel.train import planned_fits

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What was sent, or would be.

    Attributes:
        fit: Name of the fit.
        repository: Where to.
        url: Of the commit; empty for a dry run.
        files: Bytes of each file.
        card: Text of README.md.
    """

    fit: str
    repository: str
    url: str
    files: Mapping[str, int]
    card: str

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)


def push_metamodel(
    run: RunDirectory, metamodel: str, repository: str, *, primary: str = "", is_private: bool = False, dry_run: bool
) -> Pushed:
    """Save a fit as `PretrainedMetamodel.save_pretrained` does, and send it.

    Args:
        run: A trained run; of one that was evaluated the card says how well the fit predicts.
        metamodel: Name of a metamodel in the config, or of a fit.
        repository: USER/NAME.
        primary: Whose fit, where there are several.
        is_private: Whether a new repository is.
        dry_run: Send nothing.

    Raises:
        UnknownNameError: The run has no such metamodel or primary model.
        RunError: The fit has not been trained.
        MetamodelError: The hub refuses.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # exported all the same

    from metamodel.cards.card import card_text
    from metamodel.cards.hub import PretrainedMetamodel

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise MetamodelError(f"{repository!r} is no repository of the hub, must be USER/NAME: {error}") from None
    config = build_config(run.config, source=f"{run.path}/run.json")
    fit = find_fit(list(planned_fits(read_datasets(run, config), config)), metamodel, primary=primary)
    try:
        rows = rows_from_json(run.read_text("metrics.json"))
    except RunError:
        rows = []
    card = card_text(card_facts(run, config, fit, rows))
    pretrained = PretrainedMetamodel(load_metamodel(run.metamodel_folder(fit.name))).with_card(card)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "metamodel"
        pretrained.save_pretrained(folder)
        files = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    url = ""
    if not dry_run:
        try:
            url = pretrained.push_to_hub(repository, private=is_private or None, commit_message=f"Add {fit.name}")
        except (HfHubHTTPError, OSError) as error:
            # Not chained: the errors hold the request, and with it the token.
            raise MetamodelError(
                f"the hub did not take {repository} ({type(error).__name__}): is HF_TOKEN set, and may it write there?"
            ) from None
    return Pushed(fit=fit.name, repository=repository, url=str(url), files=files, card=card)
