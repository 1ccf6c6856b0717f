"""Where a primary model's generations come from, and what they cost: facts for run.json."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from metamodel.collecting.work import Work
from metamodel.primaries.capabilities import TellsProvenance, TellsUsage
from metamodel.protocols import PrimaryModel
from metamodel.store.provenance import JSON, git_commit, package_versions, utc_now

_ALWAYS_NEW = ("collected_utc", "earlier")


@contextmanager
def record_origin(work: Work, primary: PrimaryModel) -> Iterator[None]:
    """Write down, when the block ends, what drew the generations and what it used; also when it was interrupted.

    Under `primaries_provenance`, by name, stands the latest origin; one that differs (another machine, other versions)
    is kept under `earlier`. Under `primaries_usage` stands one entry a call.
    """
    began_utc = utc_now()
    try:
        yield
    finally:
        if work.n_drawn:
            _add_provenance(work, primary)
        if isinstance(primary, TellsUsage) and (work.n_done or work.n_drawn):
            _add_usage(work, {"began_utc": began_utc, "ended_utc": utc_now(), **primary.usage_summary()})


def _add_provenance(work: Work, primary: PrimaryModel) -> None:
    told = primary.provenance() if isinstance(primary, TellsProvenance) else {}
    fresh: dict[str, JSON] = {
        "identity": primary.identity,
        "collected_utc": utc_now(),
        "git_commit": git_commit(),
        "packages": package_versions(),
        "platform": platform.platform(),
        **told,
    }
    known = _entries(work, "primaries_provenance")
    before = known.get(work.name)
    if isinstance(before, dict):
        earlier = list(before.get("earlier", []))
        if _comparable(before) != _comparable(fresh):
            earlier.append({key: value for key, value in before.items() if key != "earlier"})
        if earlier:
            fresh["earlier"] = earlier
    work.run.update_facts(primaries_provenance={**known, work.name: fresh})


def _add_usage(work: Work, usage: dict[str, JSON]) -> None:
    known = _entries(work, "primaries_usage")
    before = known.get(work.name)
    entries = [*before, usage] if isinstance(before, list) else [usage]
    work.run.update_facts(primaries_usage={**known, work.name: entries})


def _entries(work: Work, fact: str) -> dict[str, JSON]:
    known = work.run.facts.get(fact)
    return dict(known) if isinstance(known, dict) else {}


def _comparable(entry: dict[str, JSON]) -> dict[str, JSON]:
    return {key: value for key, value in entry.items() if key not in _ALWAYS_NEW}
