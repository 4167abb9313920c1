"""haproxy's configuration of one entry node.

Keywords and their meaning: haproxy's Configuration Manual, version 2.6, Debian 12's. `transparent` on a
bind line lets it listen on an address that the node does not have at the moment (IP_FREEBIND; that needs no
privilege).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from components.virtual_ip.plan import Member, VirtualIpPlan
from components.virtual_ip.settings import KubernetesApi, ModelApi
from components.virtual_ip.timing import PEER_CHECK_FALL, peer_check_ms

TLS_FOLDER: Final = "/etc/virtual-ip/tls"
ALIVE_PATH: Final = "/alive"
HEALTH_PATH: Final = "/healthz"
_CONNECT_SECONDS: Final = 5
_REQUEST_SECONDS: Final = 30
"""For all headers of a request: who takes longer holds connections on purpose."""
_CLIENT_SECONDS: Final = 60
"""Silence of a client that is sending."""
_API_SECONDS: Final = 4 * 3600
"""Silence of a Kubernetes watch or exec session; the API server's own default ends idle streams after 4 h
(streamingConnectionIdleTimeout of the kubelet)."""


def render_haproxy(
    plan: VirtualIpPlan, member: Member, servers: Sequence[str], *, tls_folder: str = TLS_FOLDER
) -> str:
    """haproxy.cfg of one member in front of `servers` (`host:port`)."""
    frontend = plan.settings.frontend
    sections = [_global(frontend), _health(plan), _peers(plan, member)]
    if isinstance(frontend, ModelApi):
        sections += [_model_api(plan, frontend, tls_folder), _model_servers(frontend, servers)]
    else:
        sections += [_kubernetes_api(plan, frontend), _api_servers(frontend, servers)]
    return "\n".join(sections)


def _global(frontend: ModelApi | KubernetesApi) -> str:
    # Peers and health checks come on top of the clients.
    return f"""\
global
    log stdout format raw local0
    maxconn {frontend.max_connections + 200}
    hard-stop-after 60s
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-load-extra-del-ext

defaults
    log global
    option dontlognull
    timeout connect {_CONNECT_SECONDS}s
    timeout client {_CLIENT_SECONDS}s
    timeout server {_CLIENT_SECONDS}s
"""


def _health(plan: VirtualIpPlan) -> str:
    minority = (
        f"\n    monitor fail if {{ nbsrv(entry_nodes) lt {plan.needed_peers} }}" if plan.needed_peers else ""
    )
    return f"""\
frontend health
    mode http
    no log
    bind 127.0.0.1:{plan.settings.health_port}
    monitor-uri {HEALTH_PATH}{minority}
    http-request return status 200 if {{ path {ALIVE_PATH} }}
    http-request deny deny_status 404
"""


def _peers(plan: VirtualIpPlan, member: Member) -> str:
    settings = plan.settings
    interval = peer_check_ms(settings.advert_interval_ms)
    sources = " ".join(str(peer.address) for peer in plan.peers(member))
    readers = " ".join(str(cidr) for cidr in settings.metrics_cidrs)
    metrics = (
        f"\n    http-request use-service prometheus-exporter if {{ path /metrics }} {{ src {readers} }}"
        if readers
        else ""
    )
    servers = "\n".join(
        f"    server {peer.name} {peer.address}:{settings.peer_port} check inter {interval}ms "
        f"fall {PEER_CHECK_FALL} rise 2"
        for peer in plan.peers(member)
    )
    return f"""\
frontend peer
    mode http
    no log
    bind {member.address}:{settings.peer_port} transparent
    tcp-request connection reject unless {{ src {f"{sources} {readers}".rstrip()} }}{metrics}
    http-request deny deny_status 404

backend entry_nodes
    mode tcp
    timeout connect {interval}ms
    timeout check {interval}ms
    # No log line for each change of a peer that is checked {1000 // interval} times a second.
    no log
{servers}
"""


def _model_api(plan: VirtualIpPlan, frontend: ModelApi, tls_folder: str) -> str:
    tls = f" ssl crt {tls_folder}/tls.crt alpn h2,http/1.1" if frontend.tls_secret_name else ""
    scheme = "https" if frontend.tls_secret_name else "http"
    return f"""\
frontend model_api
    mode http
    bind {plan.address.ip}:{frontend.port} transparent{tls}
    maxconn {frontend.max_connections}
    option httplog
    timeout http-request {_REQUEST_SECONDS}s
    timeout http-keep-alive {_CLIENT_SECONDS}s
    # Engines guard only /v1 by their API key: what else they serve changes weights or stops them.
    acl api path_beg /v1/
    acl health path /health
    acl disguised path_sub .. // \\\\
    acl disguised path_sub -i %2e %2f %5c
    http-request deny deny_status 404 if disguised
    http-request deny deny_status 404 if !api !health
    http-request deny deny_status 405 if !{{ method GET HEAD POST }}
    acl sized req.hdr(content-length) -m found
    http-request return status 411 content-type text/plain string length-required if {{ method POST }} !sized
    http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt {frontend.max_body} }}
    http-request del-header X-Forwarded-For
    http-request set-header X-Forwarded-Proto {scheme}
    option forwardfor
    # Tokens are passed on one by one.
    option http-no-delay
    default_backend model_servers
"""


def _model_servers(frontend: ModelApi, servers: Sequence[str]) -> str:
    lines = "\n".join(
        f"    server model-{index} {server} check inter 2s fall 2 rise 2 resolvers cluster init-addr none"
        for index, server in enumerate(servers)
    )
    return f"""\
resolvers cluster
    parse-resolv-conf
    hold valid 10s

backend model_servers
    mode http
    balance leastconn
    option httpchk GET /health
    http-check expect status 200
    timeout server {frontend.stream_timeout_seconds}s
    # A Service's address stands for several pods: each request is to find its own.
    option http-server-close
    http-reuse never
    # Only what cannot have reached a server: a completion must not run twice.
    retry-on conn-failure
    option redispatch
{lines}
"""


def _kubernetes_api(plan: VirtualIpPlan, frontend: KubernetesApi) -> str:
    return f"""\
frontend kubernetes_api
    mode tcp
    bind {plan.address.ip}:{frontend.port} transparent
    maxconn {frontend.max_connections}
    option tcplog
    timeout client {_API_SECONDS}s
    default_backend api_servers
"""


def _api_servers(frontend: KubernetesApi, servers: Sequence[str]) -> str:
    lines = "\n".join(
        f"    server api-{index} {server} check check-ssl verify none inter 2s fall 2 rise 2"
        for index, server in enumerate(servers)
    )
    return f"""\
backend api_servers
    mode tcp
    balance leastconn
    # The API server lets anonymous callers read its health (system:public-info-viewer).
    option httpchk GET /readyz
    http-check expect status 200
    timeout server {_API_SECONDS}s
    option redispatch
{lines}
"""
