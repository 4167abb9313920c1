"""The deployed model answers as an OpenAI-compatible API should."""

from __future__ import annotations

import json

from tests.e2e.conftest import Deployment
from tests.harness import kube
from tests.harness.api import Client
from tests.harness.commands import run
from tests.harness.engine import Engine


def test_chat_completion_with_a_screenshot_is_answered(api: Client) -> None:
    response = api.chat()
    assert response.status == 200, response.body
    answer = response.json()
    assert answer["model"] == api.model
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] > 0
    # A picture of 540×1200 pixels in patches of 14, four merged into one token: (540 / 28) × (1200 / 28).
    assert answer["usage"]["prompt_tokens"] > 700


def test_answers_are_streamed_token_by_token(api: Client) -> None:
    response = api.chat(stream=True)
    assert response.status == 200
    assert response.content_type.startswith("text/event-stream")
    *chunks, end = response.events()
    assert end == "[DONE]"
    assert len(chunks) > 2
    assert {json.loads(chunk)["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_malformed_body_gets_400(api: Client) -> None:
    assert api.request("POST", "/v1/chat/completions", b'{"model": ').status == 400


def test_body_without_messages_gets_400(api: Client) -> None:
    body = json.dumps({"model": api.model}).encode()
    assert api.request("POST", "/v1/chat/completions", body).status == 400


def test_printed_curl_line_is_answered(deployment: Deployment) -> None:
    answer = json.loads(run(["bash", "-c", deployment.curl]).succeeded().stdout)
    assert answer["choices"], answer


def test_every_pod_is_running(deployment: Deployment) -> None:
    # A pod that was replaced a moment ago may still be ending.
    kube.wait_until("all pods running", lambda: not kube.unready_pods(), 60)


def test_engine_runs_with_the_flags_of_the_real_model(deployment: Deployment, namespace: str) -> None:
    (server,) = kube.items(
        "deployments", "--namespace", namespace, "-l", "app.kubernetes.io/name=model-server"
    )
    arguments = " ".join(server["spec"]["template"]["spec"]["containers"][0]["args"])
    for flag in (
        "--mm-encoder-tp-mode",
        "--mm-processor-cache-type",
        "--mm-processor-kwargs",
        "--max-model-len",
        "--chat-template-content-format",
        "--limit-mm-per-prompt",
    ):
        assert flag in arguments
    assert "--allowed-local-media-path" not in arguments


def test_stack_outputs_name_endpoint_namespace_and_verified_models(
    engine: Engine, deployment: Deployment, namespace: str
) -> None:
    outputs = json.loads(engine.run("stack", "output", "--json").succeeded().stdout)
    assert outputs["endpoint"] == deployment.endpoint
    (model,) = outputs["models"].values()
    assert model["revision"]
    assert model["digest"].startswith("sha256:")
    (pod,) = kube.items("pods", "--namespace", namespace, "-l", "app.kubernetes.io/name=model-server")
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    (weights,) = [mount for mount in mounts if mount["name"] == "weights"]
    assert weights["readOnly"]
    assert weights["subPath"].endswith(model["digest"].removeprefix("sha256:"))
