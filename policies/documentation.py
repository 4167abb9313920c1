"""docs/policies.md and the schema of levels files, from the rules: `python -m policies.documentation`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

# Run as a script or as a module, from anywhere.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policies import levels
from policies.catalogue import ALL, RULES, STACK_RULES, SUBJECTS
from policies.public_sets import PUBLIC_SETS, SAME_AS
from policies.rule import AnyRule

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "policies.md"

_INTRODUCTION: Final = """\
# Policies

<!-- Made from the rules by `python -m policies.documentation`; do not edit. -->

{count} rules, every one of them mandatory: `pulumi preview` fails and `pulumi up` changes nothing while
one is broken. {resource_count} judge single resources, before each is created or changed. {stack_count}
judge the stack as a whole, at the end of the preview.

- **Use.** `PULUMI_OPTION_POLICY_PACK=policies` makes `pulumi up` and `pulumi preview` use the pack;
  `make` and `.toolchain/env` set it. `policies/analyzer` in its place starts sooner: the engine runs the pack
  itself, without a second language host. `pulumi policy analyze --file state.json --policy-pack policies`
  judges recorded state.
- **Previews.** An update is let through if the same run of the engine has previewed it and nothing
  mandatory was found (update-previewed), so a refused update changes nothing. With `--skip-preview` (or
  `-f`) the first resource is refused, before anything is made. The same goes for `up()` of the Automation
  API, which passes that flag, and for `pulumi watch`; a stack that is updated so lowers update-previewed
  in its levels file, with a reason. `pulumi up --yes` and `pulumi up --plan` do preview. `pulumi refresh`,
  `destroy` and `import` do not run policy packs. The pack knows the engine by its process: a preview that
  has passed leaves a file in `$XDG_RUNTIME_DIR/autoglm-platform-previews`, or
  `autoglm-platform-previews-<uid>` below `$TMPDIR` or `/tmp`, with the engine's process number and start,
  the stack's name and a digest of the levels; the update takes it away. Whatever goes wrong with that
  refuses the update and says why.
- **Every shape.** Pods, every kind with a pod template, `…Patch`, items of a `…List`, and pod templates
  anywhere in a custom resource (Argo Rollouts, LeaderWorkerSet, KServe, Ray, Knative); the pods that
  prometheus-operator and ECK make of theirs, completed as they complete them, also where a resource names no
  container (`spec.image`, `spec.resources`, `nodeSets[].podTemplate`); main, init and ephemeral containers. A
  `…Patch` is not blamed for what it leaves as it is, except that a container it names has to be complete.
  What a `helm.v4.Chart` renders is judged object by object, in the update that renders it, and in a preview
  with the official plugin and a cluster; a Helm v3 Release hides its objects and is refused. Resources of
  AWS, Google Cloud and Docker by their types.
- **Parts that are resources of their own.** Encryption, versioning, public access and policy of an S3 bucket
  are each judged before they are created; that a bucket has all four is a rule on the stack
  (bucket-complete), because no rule on a single resource can see it. The same goes for a VPC's flow log.
- **Unknown values.** What only an update can tell is left out of the verdict, field by field; the rest
  of the rule stands in the preview, and the field is judged in the update, before the resource is
  changed. What decides over isolation (images, security contexts, address ranges, policy documents, …) must
  not be unknown in a preview at all: known-in-preview refuses it.
- **Speed.** The pack judges a resource in a fifth of a millisecond of processor time, and 5,000 take at most
  five times as long as 1,000; half of what the pack adds to a preview is the engine's work for it. Figures,
  and how to measure them again: [Benchmarks](../benchmarks/README.md#previews).
- **Secrets.** Messages name the path and describe the value; free text is never repeated.
- **Levels per stack.** `policies/levels/<stack>.json` is passed as `--policy-pack-config`; its schema is
  `policies/levels/schema.json`. Without a file every rule holds with its strictest options. A file can
  configure a rule, lower it with a reason, or exempt resources from it:

  ```json
  {{
    "workload-replicas": {{"maximum": 16}},
    "helm-release": {{"enforcementLevel": "advisory", "reason": "moves to charts with the next release"}},
    "pod-host-path": {{
      "exemptions": [
        {{
          "resource": "kubernetes:apps/v1:DaemonSet::*device-plugin",
          "paths": ["/var/lib/kubelet/device-plugins"],
          "reason": "registers with the kubelet over its socket",
          "expires": "2027-06-30"
        }}
      ]
    }}
  }}
  ```

  `resource` is a pattern over URN, type, name or `type::name`. Every use of an exemption is reported in every
  run, as an advisory of `exemption`; one that has expired, reaches further than a year, or names everything
  is refused. So is a key that is no rule or option: the pack does not start. An exemption from
  container-capabilities lists the `capabilities`, one from pod-host-path the `paths` that it lets pass; more
  is refused as without it.
- **Ids in public sets** are checked against the sources named in `tests/policies/public_sets.json`.

## Compared with others

What somebody else has judged shows what the pack's own cases cannot. A policy of another set is compared
with the rules that name it as the same control. Every object on which the two differ has been looked at;
misses and false alarms of the pack's own have been mended.

| with | on | agreed | differ |
|---|---|---|---|
| Pod Security admission, API server v1.36 [1] | 4,241 pods of its test data | 8,482 verdicts | 0 |
| | 1,977 combinations of fields | 1,971 verdicts, 6 are no valid pods | 0 |
| | 756 pod templates of 8 kinds | 748, 8 are no valid pods | 0 |
| the test data's own verdicts [2] | 4,241 pods, every version | 4,241 | 0 |
| `github.com/aquasecurity/trivy-checks` v1.10.0 [3] | its tests and examples | 211, 121 denied | 37 |
| gatekeeper-library, commit 5c441fb6 [4] | samples of its suites | 138, 89 denied | 61 |
| Kyverno's policies, commit b9c4317c [4] | resources of their tests | 905, 502 denied | 113 |
| KubeLinter, commit 35de568d [5] | objects of its end-to-end tests | 61, 40 denied | 13 |
| Polaris, commit c0e23a23 [5] | files of its checks' tests | 125, 86 denied | 31 |
| Kubescape's rules, commit ce7ef32a [5] | inputs of their tests | 201, 157 denied | 51 |
| Kubescape's admission policies, commit fc2fb67f [5] | objects of their tests | 346, 206 denied | 52 |
| kube-score, commit 06dedc9c [5] | files of its tests | 27, 17 denied | 6 |
| Datree, commit 0c3b63e6 [5] | files of its rules' tests | 69, 37 denied | 17 |

1: `pytest tests/policies/test_pod_security_admission.py`. 2: `pytest
tests/policies/test_pod_security_standards.py`, through `pulumi policy analyze`, too. 3: `pytest
tests/policies/test_trivy_checks.py`, which lists each difference with its reason. 4: `python -m
tests.policies.public_objects FOLDER`, which prints each difference; FOLDER holds clones, named owner+name.
5: `PUBLIC_SETS=FOLDER pytest tests/policies/test_corpora.py`, which lists each difference with its reason,
and skips without such clones. The other tests download their Go modules and skip where these are not to be
had.

Where the pack is stricter: one rule for what others split (capabilities are to be dropped as well as not
added, `runAsNonRoot` is to be set as well as a number); the restricted standard for seccomp and capabilities
where theirs is the baseline; a wildcard in any field of a role; no parameters such as exempt images;
updates, which Gatekeeper leaves alone. Where it is silent: limits, registries and sysctls that a policy
takes as parameters; an annotation of one ingress controller; what a rule of another name refuses (a role of
wildcards, a hostPath, SYS_ADMIN); a binding to a role that is refused itself; requests equal to limits
beyond model servers; variables from Secrets, and words that only sound like credentials; and objects that no
API server takes as they are meant, or that allow nothing.

Manifests for use were judged too, and every kind of finding was looked at: 270 objects of the Kubernetes
examples, 118 of kube-prometheus, 250 of ingress-nginx and 30 of metrics-server by all rules; about 23,000 of
Argo CD, Kubeflow, Kyverno, ECK, Strimzi, Tekton, Knative, Rook, MetalLB, Longhorn and Kustomize by those on
credentials. Mended: PodSecurityPolicies and the patterns of Kyverno's policies say what pods may be and are
no longer taken for pods; a placeholder that an init container replaces is no credential. What is left is
what the rules mean, such as a password `changeme` in an example.
"""


def _entry(rule: AnyRule) -> str:
    same_as = "; ".join(
        f"{PUBLIC_SETS[name]}: {', '.join(ids)}" for name, ids in SAME_AS.get(rule.id, {}).items()
    )
    lines = [
        f"### {rule.id}",
        "",
        f"**{rule.title}.** Severity {rule.severity}.",
        f"{rule.rationale}",
        "",
        f"Fix: {rule.fix}.",
    ]
    if rule.options:
        lines += ["", "Options in the levels file:", ""]
        lines += [
            f"- `{name}` (default `{json.dumps(option.default)}`): {option.meaning}"
            for name, option in rule.options.items()
        ]
    return "\n".join([*lines, "", f"Same control: {same_as}."] if same_as else lines)


def markdown() -> str:
    """The page."""
    head = _INTRODUCTION.format(
        count=len(RULES) + len(STACK_RULES), resource_count=len(RULES), stack_count=len(STACK_RULES)
    )
    sections = [
        "\n\n".join([f"## {subject}", *(_entry(rule) for rule in rules)])
        for subject, rules in SUBJECTS.items()
    ]
    return "\n\n".join([head.rstrip(), *sections]) + "\n"


def schema_text() -> str:
    """The schema of levels files."""
    return json.dumps(levels.schema(ALL), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
    (levels.FOLDER / "schema.json").write_text(schema_text(), encoding="utf-8")
