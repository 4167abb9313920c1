"""The GkeKeys component."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import kms

from components.common.names import bounded_name
from components.common.outputs import known_after
from components.gke.plan import GkePlan

_DAY_SECONDS: Final = 86400
_USE: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
_ADMINISTER: Final = "roles/cloudkms.admin"


@dataclass(frozen=True)
class GkeKeysArgs:
    """Inputs of GkeKeys."""

    plan: GkePlan


class GkeKeys(pulumi.ComponentResource):
    """Keys of one cluster in Cloud KMS, each usable by the one service agent that encrypts with it.

    Cloud KMS never deletes a key ring: a cluster that is made anew under a name that was used before needs
    `pulumi import` for it.
    """

    secrets: pulumi.Output[str]
    """Path of the key that encrypts Secrets in etcd, once GKE may use it."""
    disks: pulumi.Output[str]
    """Path of the key of boot disks and persistent disks, once Compute Engine may use it."""
    files: pulumi.Output[str] | None
    """Path of the key of shared file systems, once Filestore may use it; None where the tier takes none."""

    def __init__(self, name: str, args: GkeKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:gke:GkeKeys", name, None, opts)
        self._name = name
        self._plan = args.plan
        settings = args.plan.settings
        ring = kms.KeyRing(
            name,
            name=settings.name,
            project=settings.project,
            location=settings.region,
            opts=pulumi.ResourceOptions(parent=self, protect=args.plan.protect, retain_on_delete=True),
        )
        self._ring = known_after(
            f"projects/{settings.project}/locations/{settings.region}/keyRings/{settings.name}", ring
        )
        for member in settings.key_administrators:
            kms.KeyRingIAMMember(
                bounded_name(name, "administrator", re.sub(r"[^a-z0-9]+", "-", member.lower())),
                key_ring_id=self._ring,
                role=_ADMINISTER,
                member=member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.secrets = self._key("secrets", "container-engine-robot")
        self.disks = self._key("disks", "compute-system")
        self.files = self._key("files", "cloud-filer") if args.plan.shared_storage_encrypted else None
        self.register_outputs({"secrets": self.secrets, "disks": self.disks, "files": self.files})

    def _key(self, purpose: str, agent: str) -> pulumi.Output[str]:
        """Path of a new key, for those that need its user to be admitted.

        https://cloud.google.com/iam/docs/service-agents lists the agents' addresses.
        """
        settings, protect = self._plan.settings, self._plan.protect
        kept = pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect)
        key = kms.CryptoKey(
            f"{self._name}-{purpose}",
            name=purpose,
            key_ring=self._ring,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=f"{settings.key_rotation_days * _DAY_SECONDS}s",
            # Time to think again: what the key encrypted cannot be read without it.
            destroy_scheduled_duration=f"{30 * _DAY_SECONDS}s",
            version_template=kms.CryptoKeyVersionTemplateArgs(
                algorithm="GOOGLE_SYMMETRIC_ENCRYPTION", protection_level=settings.key_protection
            ),
            labels=self._plan.labels,
            opts=kept,
        )
        path = (
            f"projects/{settings.project}/locations/{settings.region}/keyRings/{settings.name}"
            f"/cryptoKeys/{purpose}"
        )
        grant = kms.CryptoKeyIAMMember(
            f"{self._name}-{purpose}",
            crypto_key_id=known_after(path, key),
            role=_USE,
            member=f"serviceAccount:service-{settings.project_number}@{agent}.iam.gserviceaccount.com",
            # Without it nothing that the key encrypted can be read.
            opts=kept,
        )
        return known_after(path, key, grant)
