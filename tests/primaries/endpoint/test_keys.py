"""The key goes to the endpoint and nowhere else."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from metamodel.collect import collect
from metamodel.errors import MetamodelError
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.primaries.endpoint.keys import ApiKey
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Prompt, Sampling

KEY = 'sk-proj-4f"9a/c1d2+e3f4=a5b6c7d8'
PROMPTS = [Prompt.create(f"question {index}", domain="d") for index in range(4)]


def echo_of(key: str) -> str:
    """Return JSON of a server that quotes the key in every way it can."""
    hidden = "".join(f"\\u{ord(char):04x}" for char in key)
    quoted = json.dumps(key)[1:-1]
    message = {"content": "XXX and YYY", "reasoning": "Bearer XXX", "refusal": "YYY"}
    answer = {
        "model": "XXX",
        "system_fingerprint": "YYY",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "error": {"code": "XXX", "message": "Incorrect key XXX, also written YYY"},
    }
    return json.dumps(answer).replace("XXX", quoted).replace("YYY", hidden)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 418, 429, 500])
def test_a_key_that_the_endpoint_echoes_is_shown_nowhere(
    start_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    """Not in stored files, errors, tracebacks with variables, logs or output, whatever the status."""
    monkeypatch.setenv("SOME_KEY", KEY)
    server = start_server(answer=lambda _headers, _body: (status, {"X-Echo": KEY, "Location": KEY}, echo_of(KEY)))
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, api_key_env="SOME_KEY", max_attempts=2, backoff_s=0.01, max_in_flight=2
    )
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    told = [repr(endpoint), endpoint.identity]
    caplog.set_level(logging.INFO)
    with pytest.raises(MetamodelError) if status in {401, 403, 404} else nullcontext() as caught:
        collect(run, primaries={"p": endpoint}, prompts=PROMPTS, sampling=Sampling())
    if caught is not None:
        frames = caught.value.__traceback__.tb_next  # without this test's own, which holds the key
        told += traceback.TracebackException(MetamodelError, caught.value, frames, capture_locals=True).format()
    assert {headers["authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}
    told += [json.dumps(endpoint.usage_summary()), caplog.text, *capsys.readouterr()]
    for table in ("generations", "errors", "prompts"):
        told.append(str(run.read(table).to_pylist()))  # type: ignore[arg-type] # names of tables
    told += [path.read_text() for path in (tmp_path / "r").rglob("*") if path.suffix in {".json", ".yaml"}]
    everything = "\n".join(told)
    assert KEY not in everything
    assert json.dumps(KEY)[1:-1] not in everything
    assert "[key]" in everything or status in {401, 403}
    assert not [path for path in (tmp_path / "r").rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_key_that_is_a_word_does_not_change_outputs(
    start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local servers take any key; "none" must not vanish from what the model says."""
    monkeypatch.setenv("SOME_KEY", "none")
    server = start_server()
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api_key_env="SOME_KEY")
    ((generation,),) = endpoint.generate([Prompt.create("none of these", domain="d")], Sampling())
    assert generation.text == "none of these #0"  # type: ignore[union-attr] # a generation


@pytest.mark.parametrize("value", ["", " \n", "two words", "sk-line\nbreak", "sk-ü"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The HTTP library would quote it in its complaint."""
    monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(MetamodelError, match="environment variable SOME_KEY") as caught:
        list(OpenAIEndpoint(model="m", api_key_env="SOME_KEY").generate(PROMPTS, Sampling()))
    assert not value.strip() or value not in str(caught.value)


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to export."""
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(MetamodelError, match="export SOME_KEY=YOUR_KEY"):
        ApiKey("SOME_KEY")


def test_redirects_do_not_carry_the_key(start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that points elsewhere gets neither a second request nor its target a first."""
    monkeypatch.setenv("SOME_KEY", KEY)
    thief = start_server()
    server = start_server(answer=lambda _headers, _body: (308, {"Location": f"{thief.url}/chat/completions"}, {}))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api_key_env="SOME_KEY", max_in_flight=1)
    with pytest.raises(MetamodelError, match="redirect"):
        list(endpoint.generate(PROMPTS, Sampling()))
    assert thief.requests == []
