"""Logs of lm-evaluation-harness, as the harness itself writes them and as older versions did."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from metamodel.recorded.log import Log
from metamodel.recorded.opening import open_log
from metamodel.store.rows import prompts_from_table
from metamodel.zoo.catalog import zoo_folder

WriteLines = Callable[[str, Sequence[Mapping[str, object]]], str]

N_DOCUMENTS = 4
COMMON = "test_split: test\ndoc_to_text: '{{q}}'\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: "
METRIC = "metric_list:\n  - metric: NAME\n    aggregation: mean\n    higher_is_better: true\n"
TASKS = {
    "generates": "output_type: generate_until\ndoc_to_target: '{{a}}'\n"
    "generation_kwargs: {until: ['.'], max_gen_toks: 6}\n"
    "filter_list:\n"
    "  - {name: whole, filter: [{function: take_first}]}\n"
    "  - {name: digits, filter: [{function: regex, regex_pattern: '([0-9]+)'}, {function: take_first}]}\n"
    + METRIC.replace("NAME", "exact_match"),
    "repeats": "output_type: generate_until\ndoc_to_target: '{{a}}'\nrepeats: 2\n"
    "generation_kwargs: {until: ['.'], max_gen_toks: 4}\n" + METRIC.replace("NAME", "exact_match"),
    "chooses": "output_type: multiple_choice\ndoc_to_choice: '{{options}}'\ndoc_to_target: gold\n"
    + METRIC.replace("NAME", "acc"),
    "scores": "output_type: loglikelihood\ndoc_to_target: ' {{a}}'\n" + METRIC.replace("NAME", "acc"),
}


@pytest.fixture(scope="module")
def harness_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of logs that the harness writes for four kinds of tasks on a bundled model."""
    pytest.importorskip("lm_eval", reason="lm_eval is not installed")
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        folder = tmp_path_factory.mktemp("harness")
        patch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
        rows = [
            {"q": f"{number} + 1 =", "a": str(number + 1), "options": ["yes", "no", "perhaps"], "gold": number % 3}
            for number in range(N_DOCUMENTS)
        ]
        (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        for name, text in TASKS.items():
            task = f"task: {name}\n{COMMON}{folder / 'data.jsonl'}\n{text}"
            (folder / f"{name}.yaml").write_text(task, encoding="utf-8")
        tracker = EvaluationTracker(output_path=str(folder / "logs"))
        results = lm_eval.simple_evaluate(
            model="hf",
            model_args=f"pretrained={zoo_folder('gpt_neox')},dtype=float32",
            tasks=list(TASKS),
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            device="cpu",
            bootstrap_iters=0,
            log_samples=True,
            evaluation_tracker=tracker,
        )
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for name in TASKS:
            tracker.save_results_samples(task_name=name, samples=samples[name])
        gc.collect()  # what the harness leaves open must not be held against the next test
        yield folder / "logs"


def rows_of(log: Log, domain: str) -> list[dict[str, Any]]:
    """Return a domain's outputs with their prompts and read metadata."""
    prompts = {p.id: p for table in log.prompt_tables() for p in prompts_from_table(table) if p.domain == domain}
    found = [row for table in log.output_tables(log.models[0]) for row in table.to_pylist()]
    return [
        {**row, "prompt": prompts[row["prompt_id"]], "metadata": json.loads(row["metadata"])}
        for row in found
        if row["prompt_id"] in prompts
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the harness and its packages warn of their own doings
def test_the_harness_s_own_log(harness_log: Path) -> None:
    """Texts, log-likelihoods and metrics of all kinds of requests are those that the harness wrote."""
    log = open_log(str(harness_log))
    assert log.format == "lm_eval"
    assert log.models == (str(zoo_folder("gpt_neox")),)
    assert len(log.index.prompt_digests) == len(TASKS) * N_DOCUMENTS
    raw = {
        (path.name.split("_")[1], row["doc_id"], row["filter"]): row
        for path in harness_log.rglob("samples_*.jsonl")
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    }
    for number, row in enumerate(rows_of(log, "generates")):
        written = raw["generates", number, "whole"]
        assert row["text"] == written["resps"][0][0]
        assert row["prompt"].text == f"{number} + 1 ="
        assert row["prompt"].references == (str(number + 1),)
        metadata = row["metadata"]
        assert metadata["exact_match"] == written["exact_match"]
        assert metadata["filters"]["digits"]["filtered_resps"] == raw["generates", number, "digits"]["filtered_resps"]
    assert [row["sample"] for row in rows_of(log, "repeats")] == [0, 1] * N_DOCUMENTS
    for number, row in enumerate(rows_of(log, "chooses")):
        written = raw["chooses", number, "none"]
        assert row["text"] is None
        assert row["prompt"].choices == (" yes", " no", " perhaps")
        assert row["prompt"].references == ((" yes", " no", " perhaps")[number % 3],)
        likelihoods = [float(response[0][0]) for response in written["resps"]]
        assert row["metadata"]["choice_logprobs"] == likelihoods
        best = max(range(3), key=likelihoods.__getitem__)
        assert row["metadata"]["acc"] == written["acc"] == float(best == number % 3)
    (first, *_) = rows_of(log, "scores")
    assert first["prompt"].choices == first["prompt"].references == (" 1",)
    assert first["metadata"]["choice_is_greedy"] in ([True], [False])


def line(**changes: object) -> dict[str, object]:
    """Return a row as version 0.4 writes it, of a choice between two continuations."""
    return {
        "doc_id": 0,
        "doc": {"q": "?"},
        "target": "1",
        "arguments": {
            "gen_args_0": {"arg_0": "Is it?", "arg_1": " yes"},
            "gen_args_1": {"arg_0": "Is it?", "arg_1": " no"},
        },
        "resps": [[["-1.5", "False"]], [["-0.5", "True"]]],
        "filter": "none",
        "metrics": ["acc"],
        "acc": 1.0,
        **changes,
    }


NAME = "lab__model/samples_task_2026-01-02T03-04-05.678.jsonl"


def test_contexts_that_differ_belong_to_the_choices(write_lines: WriteLines) -> None:
    """Where options stand in the context (as in WinoGrande), prompt and choice together are what was scored."""
    arguments = {
        "gen_args_0": {"arg_0": "The cat saw Ann", "arg_1": " run."},
        "gen_args_1": {"arg_0": "The cat saw Bob", "arg_1": " run."},
    }
    (row,) = rows_of(open_log(write_lines(NAME, [line(arguments=arguments)])), "task")
    prompt = row["prompt"]
    assert (prompt.text, prompt.choices) == ("The cat saw ", ("Ann run.", "Bob run."))


def test_unconditional_requests_are_no_choices(write_lines: WriteLines) -> None:
    """For acc_mutual_info the harness scores each continuation after nothing as well."""
    arguments = {
        f"gen_args_{number}": {"arg_0": context, "arg_1": choice}
        for number, (context, choice) in enumerate([("Q", " a"), ("Q", " b"), ("", " a"), ("", " b")])
    }
    responses = [[[str(-number), "False"]] for number in range(4)]
    (row,) = rows_of(open_log(write_lines(NAME, [line(arguments=arguments, resps=responses)])), "task")
    assert row["prompt"].choices == (" a", " b")
    assert row["metadata"]["choice_logprobs"] == [0.0, -1.0]
    assert row["metadata"]["unconditional_logprobs"] == [-2.0, -3.0]


def test_older_versions_write_arguments_as_lists(write_lines: WriteLines) -> None:
    """Before version 0.4.3 arguments were lists and log-likelihoods numbers."""
    row = line(arguments=[["Is it?", " yes"], ["Is it?", " no"]], resps=[[[-1.5, False]], [[-0.5, True]]])
    (found,) = rows_of(open_log(write_lines(NAME, [row])), "task")
    assert found["metadata"]["choice_logprobs"] == [-1.5, -0.5]
    assert found["metadata"]["choice_is_greedy"] == [False, True]


def test_the_model_comes_from_the_results(write_lines: WriteLines, tmp_path: Path) -> None:
    """Folder names are sanitized; the results beside the samples hold the model's own name."""
    path = write_lines(NAME, [line()])
    assert open_log(path).models == ("lab__model",)
    results = tmp_path / "lab__model" / "results_2026-01-02T03-04-05.678.json"
    results.write_text(json.dumps({"results": {}, "model_name": "lab/model"}), encoding="utf-8")
    assert open_log(str(tmp_path)).models == ("lab/model",)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"arguments": {}}, "'arguments' is empty"),
        ({"arguments": {"gen_args_0": 5}, "resps": [[]]}, "must hold a context"),
        ({"resps": [[["-1", "False"]]]}, "'resps' must be a list with an entry a request"),
        ({"resps": [[["x", "False"]], [["-1", "False"]]]}, "must be a log-likelihood"),
    ],
)
def test_rows_that_make_no_sense_are_reported(
    write_lines: WriteLines, changes: dict[str, object], problem: str
) -> None:
    """A damaged row is left out and said with its line; the others are read."""
    log = open_log(write_lines(NAME, [line(doc_id=1), line(**changes)]))
    assert len(log.index.rows.status) == 1
    assert "line 2: " in log.problems.shown[0]
    assert problem in log.problems.shown[0]


def test_infinite_likelihoods_are_stored_as_null(write_lines: WriteLines) -> None:
    """JSON has no infinity: a continuation of probability zero has no finite value, and none is made up."""
    (row,) = rows_of(open_log(write_lines(NAME, [line(resps=[[["-inf", "False"]], [["-0.5", "True"]]])])), "task")
    assert row["metadata"]["choice_logprobs"] == [None, -0.5]
