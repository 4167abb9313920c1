"""Workload Identity Federation for GKE: a Kubernetes service account as a principal of IAM.

https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
"""

from __future__ import annotations


def workload_pool(project: str) -> str:
    """The pool that GKE gives to a project's clusters."""
    return f"{project}.svc.id.goog"


def principal(project: str, project_number: str, namespace: str, service_account: str) -> str:
    """IAM's name of a Kubernetes service account: what a role is granted to.

    It names namespace and account, not the cluster: the same account in another cluster of the project is the
    same principal.
    """
    return (
        f"principal://iam.googleapis.com/projects/{project_number}/locations/global/workloadIdentityPools/"
        f"{workload_pool(project)}/subject/ns/{namespace}/sa/{service_account}"
    )
