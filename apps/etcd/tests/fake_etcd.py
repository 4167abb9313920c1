"""A cluster that answers as etcd's gateway does, with faults to order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etcd_tools.cluster import Cluster
from etcd_tools.errors import ApiError, Unreachable
from etcd_tools.gateway import Credentials, Gateway, Json


@dataclass
class FakeMember:
    id: int
    name: str
    healthy: bool = True
    learner: bool = False
    started: bool = True
    size: int = 1000
    used: int = 1000
    answers: bool = True

    @property
    def endpoint(self) -> str:
        return f"https://{self.name}.peers:2379"

    @property
    def peer_url(self) -> str:
        return f"https://{self.name}.peers:2380"

    def listed(self) -> Json:
        entry: Json = {"ID": str(self.id), "name": self.name if self.started else ""}
        entry["peerURLs"] = [self.peer_url]
        entry["clientURLs"] = [self.endpoint] if self.started else []
        return entry | ({"isLearner": True} if self.learner else {})


@dataclass
class FakeEtcd:
    members: list[FakeMember]
    leader: int = 1
    alarms: list[Json] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(member, method) of everything that changes something."""
    fail: dict[str, list[Exception]] = field(default_factory=dict)
    """By method: raised instead of the next answers."""
    store: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Encoded value and lease by encoded key."""
    leases: set[int] = field(default_factory=set)
    after_remove: str = ""
    """Name under which a member that was added starts, once it is asked to be promoted."""

    def member(self, endpoint: str) -> FakeMember:
        return next(member for member in self.members if member.endpoint == endpoint)

    def call(self, endpoint: str, method: str, body: Mapping[str, Any]) -> Json:
        try:
            member = self.member(endpoint)
        except StopIteration:
            raise Unreachable(endpoint, "nobody listens there") from None
        if not member.answers:
            raise Unreachable(endpoint, "no answer")
        if self.fail.get(method):
            raise self.fail[method].pop(0)
        handler = getattr(self, "on_" + method.replace("/", "_"))
        answer: Json = handler(member, body)
        return answer

    def on_cluster_member_list(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        return {"members": [m.listed() for m in self.members]}

    def on_cluster_member_remove(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        self.calls.append((body["ID"], "remove"))
        self.members = [m for m in self.members if m.id != int(body["ID"])]
        return {}

    def on_cluster_member_add(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        name = body["peerURLs"][0].partition("://")[2].partition(".")[0]
        self.calls.append((name, "add learner" if body.get("isLearner") else "add"))
        self.members.append(
            FakeMember(max(m.id for m in self.members) + 10, name, learner=True, started=False)
        )
        return {}

    def on_cluster_member_promote(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        self.calls.append((body["ID"], "promote"))
        target = next(m for m in self.members if m.id == int(body["ID"]))
        target.learner, target.started = False, True
        return {}

    def on_maintenance_status(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        answer: Json = {
            "header": {"member_id": str(member.id), "revision": "7"},
            "version": "3.6.8",
            "dbSize": str(member.size),
            "dbSizeInUse": str(member.used),
            "isLearner": member.learner,
        }
        return answer | ({"leader": str(self.leader)} if member.healthy else {"errors": ["no leader"]})

    def on_maintenance_defragment(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        self.calls.append((member.name, "defragment"))
        member.size = member.used
        return {}

    def on_maintenance_alarm(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        if body["action"] == "DEACTIVATE":
            self.calls.append((body["memberID"], f"disarm {body['alarm']}"))
            self.alarms = [a for a in self.alarms if a["memberID"] != body["memberID"]]
        return {"alarms": self.alarms}

    def on_kv_range(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        kvs = [{"key": k, "value": v, "lease": str(lease)} for k, (v, lease) in sorted(self.store.items())]
        return {"header": {"revision": "7"}, "kvs": kvs}

    def on_kv_put(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        if int(body["lease"]) not in self.leases:
            raise ApiError(member.endpoint, 5, "etcdserver: requested lease not found")
        self.store[body["key"]] = (body["value"], int(body["lease"]))
        return {}

    def on_kv_compaction(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        self.calls.append((member.name, f"compact {body['revision']}"))
        return {}

    def on_lease_grant(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        lease = max(self.leases, default=100) + 1
        self.leases.add(lease)
        return {"ID": str(lease), "TTL": body["TTL"]}

    def on_lease_keepalive(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        # etcd leaves a time to live of 0 out.
        return {"ID": body["ID"], "TTL": "15"} if int(body["ID"]) in self.leases else {"ID": body["ID"]}

    def on_lease_revoke(self, member: FakeMember, body: Mapping[str, Any]) -> Json:
        if int(body["ID"]) not in self.leases:
            raise ApiError(member.endpoint, 5, "etcdserver: requested lease not found")
        self.expire(int(body["ID"]))
        return {}

    def expire(self, lease: int) -> None:
        """A lease runs out, and its keys with it."""
        self.leases.discard(lease)
        self.store = {key: item for key, item in self.store.items() if item[1] != lease}


class FakeGateway(Gateway):
    etcd: FakeEtcd

    def call(self, method: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> Json:
        return self.etcd.call(self.endpoint, method, body or {})


class FakeCluster(Cluster):
    """A Cluster whose gateways lead to a FakeEtcd, and whose time passes by itself."""

    def __init__(self, etcd: FakeEtcd) -> None:
        self.now = 0.0
        credentials = Credentials(Path("/none"))
        endpoints = [member.endpoint for member in etcd.members]
        super().__init__(endpoints, credentials, clock=lambda: self.now, sleep=self._pass)
        self._etcd = etcd

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def gateway(self, endpoint: str) -> Gateway:
        gateway = FakeGateway(endpoint, self._credentials)
        object.__setattr__(gateway, "etcd", self._etcd)
        return gateway
