"""Inspect logs, as Inspect itself writes them, and logs that were made to do harm."""

from __future__ import annotations

import gc
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metamodel.errors import DataError
from metamodel.recorded.log import Log
from metamodel.recorded.opening import open_log
from metamodel.store.rows import prompts_from_table
from metamodel.types import Prompt

REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"


def sample(**changes: object) -> dict[str, object]:
    """Return a sample as log version 2 holds it."""
    return {
        "id": "a",
        "epoch": 1,
        "input": "2 + 2 =",
        "target": "4",
        "messages": [{"role": "user", "content": "2 + 2 ="}, {"role": "assistant", "content": "4"}],
        "output": {
            "model": "m",
            "choices": [{"message": {"role": "assistant", "content": "4"}, "stop_reason": "max_tokens"}],
            "completion": "4",
            "usage": {"output_tokens": 3},
        },
        "scores": {"match": {"value": "C", "answer": "4"}},
        "metadata": {"level": 2},
        **changes,
    }


HEADER = {"version": 2, "status": "success", "eval": {"task": "sums", "model": "lab/m"}}


@pytest.fixture(params=["eval", "json"])
def write_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes samples as a log of either kind."""

    def write(*samples: dict[str, object]) -> str:
        path = tmp_path / f"log.{request.param}"
        if request.param == "json":
            path.write_text(json.dumps({**HEADER, "samples": list(samples)}), encoding="utf-8")
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for number, item in enumerate(samples):
                    archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(item))
                archive.writestr("header.json", json.dumps(HEADER))
        return str(path)

    return write


def rows_of(log: Log) -> list[dict[str, Any]]:
    """Return a log's outputs with their metadata read."""
    found = [row for table in log.output_tables(log.models[0]) for row in table.to_pylist()]
    return [{**row, "metadata": json.loads(row["metadata"])} for row in found]


def prompts_of(log: Log) -> list[Prompt]:
    """Return a log's prompts."""
    return [prompt for table in log.prompt_tables() for prompt in prompts_from_table(table)]


def test_a_sample_becomes_prompt_and_output(write_log: Callable[..., str]) -> None:
    """Input, target, scores, stop reason and epochs arrive; what Inspect does not tell stays unknown."""
    log = open_log(write_log(sample(), sample(epoch=2)))
    assert (log.format, log.models) == ("inspect", ("lab/m",))
    (prompt,) = prompts_of(log)
    assert prompt.id == Prompt.create("2 + 2 =", domain="sums", references=["4"]).id
    assert prompt.attributes == {"level": 2, "sample_id": "a"}
    first, second = rows_of(log)
    assert (first["sample"], second["sample"]) == (0, 1)
    assert (first["text"], first["finish_reason"], first["n_tokens"]) == ("4", "length", None)
    assert first["metadata"]["scores"] == {"match": "C"}
    assert first["metadata"]["usage"] == {"output_tokens": 3}


def test_the_prompt_is_what_the_model_read(write_log: Callable[..., str]) -> None:
    """System messages and solvers' changes count; texts stored apart are put back; images are named, not guessed."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "attachment://x"}, {"type": "image", "image": "data:"}]},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "Sure?"},
    ]
    log = open_log(write_log(sample(messages=messages, attachments={"x": "What is it?"})))
    assert prompts_of(log)[0].text == "system: Be brief.\n\nuser: What is it?\n[image]"


def test_a_failed_sample_is_no_output(write_log: Callable[..., str]) -> None:
    """A sample that ended in an error has a reason and no text, and its prompt is kept."""
    failed = sample(id="b", input="3 =", messages=[], error={"message": "time ran out"}, output={"choices": []})
    log = open_log(write_log(sample(), failed))
    assert len(rows_of(log)) == 1
    assert len(prompts_of(log)) == 2
    (reason,) = log.failure_reasons("lab/m").values()
    assert reason.endswith("the log says: time ran out")


def test_samples_that_make_no_sense_are_reported(write_log: Callable[..., str]) -> None:
    """A damaged sample is left out and said with its place."""
    log = open_log(write_log(sample(), sample(epoch="x"), sample(input=None, messages=[])))
    assert len(rows_of(log)) == 1
    assert log.problems.n_rows == 2
    assert "epoch is 'x'" in log.problems.shown[0]


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    """A sample of some kilobytes that unpacks to hundreds of megabytes is refused long before memory is full."""
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(HEADER))
        with archive.open("samples/a_epoch_1.json", "w") as member:
            for _ in range(80):
                member.write(b" " * (1 << 20))
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match="looks like a zip bomb"):
        _ = open_log(str(path)).index


@pytest.mark.parametrize("content", [b"PK\x03\x04 torn", b"", b"\x00" * 100])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """A torn download is no traceback."""
    path = tmp_path / "log.eval"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no log that can be read"):
        open_log(str(path))


@pytest.mark.parametrize("text", ['{"version": 2, "eval": {', '{"version": 2, "eval": ' + "[" * 200_000])
def test_damaged_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    """A torn or hostile JSON log is no traceback."""
    path = tmp_path / "log.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="is not the JSON of a log"):
        _ = open_log(str(path)).index


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Inspect and its packages warn of their own doings
@pytest.mark.parametrize("log_format", ["eval", "json"])
def test_inspect_s_own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_format: str) -> None:
    """Texts, epochs, scores and log-probabilities of a local model are what Inspect's own reader gives."""
    pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")
    folder = REAL_MODELS / "stories260K-llama"
    if not folder.is_dir():
        pytest.skip(f"no model in {folder}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("INSPECT_TRACE_FILE", str(tmp_path / "trace.log"))
    import inspect_ai
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.log import list_eval_logs, read_eval_log
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.scorer import includes, match
    from inspect_ai.solver import generate, system_message

    samples = [
        Sample(input="Once upon a time", target="Lily", id=7),
        Sample(input="x " * 80, target=["a", "b"], id="b"),
    ]
    task = inspect_ai.Task(
        name="stories",
        dataset=MemoryDataset(samples),
        solver=[system_message("Tell a story."), generate()],
        scorer=[match(), includes()],
    )
    model = get_model(
        "hf/local",
        model_path=str(folder),
        device="cpu",
        config=GenerateConfig(max_tokens=6, temperature=1.0, logprobs=True),
    )
    inspect_ai.eval(task, model=model, epochs=2, log_format=log_format, log_dir=str(tmp_path / "logs"), display="none")
    gc.collect()  # what Inspect leaves open must not be held against the next test
    (info,) = list_eval_logs(str(tmp_path / "logs"))
    written = {(str(item.id), item.epoch - 1): item for item in read_eval_log(info.name).samples or []}
    assert len(written) == 4
    log = open_log(str(tmp_path / "logs"))
    assert log.models == ("hf/local",)
    prompts = {prompt.id: prompt for prompt in prompts_of(log)}
    assert len(prompts) == 2
    rows = rows_of(log)
    assert len(rows) == 4
    for row in rows:
        prompt = prompts[str(row["prompt_id"])]
        item = written[str(prompt.attributes["sample_id"]), int(str(row["sample"]))]
        assert row["text"] == item.output.completion
        assert prompt.text == f"system: Tell a story.\n\nuser: {item.input}"
        assert row["metadata"]["scores"] == {name: score.value for name, score in (item.scores or {}).items()}
        logprobs = item.output.choices[0].logprobs
        assert logprobs is not None
        assert row["logprobs"] == pytest.approx([token.logprob for token in logprobs.content])
