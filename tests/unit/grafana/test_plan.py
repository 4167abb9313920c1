"""Settings of Grafana: what is planned from them, and what is refused."""

from __future__ import annotations

from configparser import RawConfigParser
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.grafana.configuration import (
    ADMIN_KEYS,
    ADMIN_SECRET,
    DASHBOARDS,
    LOG_STORE_KEYS,
    LOG_STORE_SECRET,
)
from components.grafana.plan import GrafanaPlan
from tests.unit.grafana.examples import LOGS, PROMETHEUS, plan, problems, settings

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "no image": ({"images": {"prometheus": "x"}}, {}, "", "needs the image 'grafana'"),
    "a log store that the stack has not": ({"logs": None}, {}, "logStore", "leave it out"),
    "clients without TLS": ({}, {"rootUrl": "http://grafana.example.com"}, "rootUrl", "write https"),
    "another machine without TLS": (
        {},
        {"rootUrl": "http://grafana.example.com", "clients": None},
        "rootUrl",
        "http://localhost:3000 for a forwarded port",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_with_its_place_and_the_fix(case: str) -> None:
    inputs, changes, path, fix = REFUSED[case]
    (problem,) = problems(inputs, **changes)
    assert problem.path == path
    assert fix in problem.message


def test_all_problems_are_said_at_once() -> None:
    found = problems({"images": {"x": "y"}, "logs": None}, rootUrl="http://grafana.example.com")
    assert [problem.path for problem in found] == ["", "rootUrl", "logStore"]


def test_images_that_are_not_there_at_all_have_been_reported_already() -> None:
    assert problems({"images": {}}) == []


def test_a_forwarded_port_needs_no_tls() -> None:
    assert problems(rootUrl="http://localhost:3000", clients=None) == []
    assert problems({"protect": False}, rootUrl="http://grafana.example.com", clients=None) == []


@pytest.mark.parametrize("url", ["grafana.example.com", "https://x/", "https://x/grafana", "ftp://x"])
def test_an_address_is_scheme_host_and_port(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(rootUrl=url)


def test_a_password_cannot_be_written_down() -> None:
    with pytest.raises(ValidationError):
        settings(adminPassword="geheim")


@pytest.fixture(scope="module")
def configuration() -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(plan().files["grafana.ini"])
    return parser


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("auth.anonymous", "enabled", "false"),
        ("users", "allow_sign_up", "false"),
        ("users", "auto_assign_org_role", "Viewer"),
        ("analytics", "reporting_enabled", "false"),
        ("analytics", "check_for_updates", "false"),
        ("analytics", "check_for_plugin_updates", "false"),
        ("plugins", "preinstall_disabled", "true"),
        ("plugins", "plugin_admin_enabled", "false"),
        ("plugins", "public_key_retrieval_disabled", "true"),
        ("news", "news_feed_enabled", "false"),
        ("security", "disable_gravatar", "true"),
        ("security", "cookie_secure", "true"),
        ("security", "allow_embedding", "false"),
        ("snapshots", "external_enabled", "false"),
        ("public_dashboards", "enabled", "false"),
        ("unified_alerting", "enabled", "false"),
    ],
)
def test_nothing_is_open_and_nothing_is_told_or_fetched(
    configuration: RawConfigParser, section: str, key: str, value: str
) -> None:
    assert configuration[section][key] == value


def test_secrets_are_read_from_files_that_are_mounted(configuration: RawConfigParser) -> None:
    security = configuration["security"]
    found = {security[key] for key in ("admin_user", "admin_password", "secret_key")}
    assert found == {f"$__file{{{ADMIN_SECRET}/{key}}}" for key in ADMIN_KEYS}


def test_over_plain_http_cookies_are_not_marked_secure() -> None:
    planned = plan(rootUrl="http://localhost:3000", clients=None)
    assert "cookie_secure = false" in planned.files["grafana.ini"]


def sources(planned: GrafanaPlan) -> dict[str, Any]:
    document = yaml.safe_load(planned.files["provisioning/datasources/sources.yaml"])
    return {source["uid"]: source for source in document["datasources"]}


def test_data_come_from_prometheus_and_the_log_store() -> None:
    found = sources(plan())
    assert found["prometheus"]["url"] == PROMETHEUS.url
    assert found["prometheus"]["jsonData"]["timeInterval"] == "15s"
    store = found["elasticsearch"]
    assert (store["url"], store["jsonData"]["index"]) == (LOGS.source.url, LOGS.index)
    assert not any(source["editable"] for source in found.values())
    files = {store["basicAuthUser"], *store["secureJsonData"].values()}
    assert files == {f"$__file{{{LOG_STORE_SECRET}/{key}}}" for key in LOG_STORE_KEYS}


def test_without_credentials_the_log_store_is_not_asked() -> None:
    planned = plan(logStore=None)
    assert sources(planned).keys() == {"prometheus"}
    assert planned.logs is None
    assert "elasticsearch" not in planned.dashboards["audit"]


def test_dashboards_are_provisioned_and_cannot_be_changed_in_the_browser() -> None:
    document = yaml.safe_load(plan().files["provisioning/dashboards/provider.yaml"])
    (provider,) = document["providers"]
    assert provider["options"]["path"] == DASHBOARDS
    assert not provider["allowUiUpdates"]
    assert f"{DASHBOARDS}/service.json" in plan().files["grafana.ini"]
    assert "service" in plan().dashboards


def test_another_dashboard_or_setting_is_another_digest() -> None:
    digests = {plan().digest, plan(rootUrl="https://other.example.com").digest, plan(logStore=None).digest}
    assert len(digests) == 3
    assert plan().digest == plan(replicas=2).digest


def test_each_dashboard_has_a_page_and_room_in_an_object() -> None:
    planned = plan()
    assert planned.paths["service"] == "/d/autoglm-service"
    assert planned.paths.keys() == planned.dashboards.keys()
    # etcd takes no object beyond 1.5 MiB, and a ConfigMap none beyond one.
    assert max(len(text.encode()) for text in planned.dashboards.values()) < 256 * 1024
