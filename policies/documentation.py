"""docs/policies.md from the rules: `python -m policies.documentation > docs/policies.md`."""

from __future__ import annotations

import sys
from typing import Final

from policies.catalogue import RULES, STACK_RULES, SUBJECTS
from policies.rule import PUBLIC_SETS, Rule, StackRule

_INTRODUCTION: Final = """\
# Policies

<!-- Made from the rules by `python -m policies.documentation > docs/policies.md`; do not edit. -->

{count} rules, every one of them mandatory: `pulumi preview` fails and `pulumi up` changes nothing while
one is broken. {resource_count} judge single resources, before each is created or changed. {stack_count}
judge the stack as a whole, at the end of the preview; an update with `--skip-preview` would hear of
those only afterwards, so it is not used here.

- **Use.** `PULUMI_OPTION_POLICY_PACK=policies` makes `pulumi up` and `pulumi preview` use the pack;
  `make` and `.toolchain/env` set it. `pulumi policy analyze --file state.json --policy-pack policies`
  judges recorded state.
- **Every shape.** Pods, every kind with a pod template, `…Patch`, items of a `…List`, and pod templates
  anywhere in a custom resource; main, init and ephemeral containers. A `…Patch` is not blamed for what
  it leaves as it is, except that a container it names has to be complete.
- **Unknown values.** What only an update can tell is left out of the verdict, field by field; the rest
  of the rule stands in the preview, and the field is judged in the update, before the resource is
  changed.
- **Secrets.** Messages name the path and describe the value; free text is never repeated.
- **Levels per stack.** `policies/levels/<stack>.json` is passed as `--policy-pack-config`. It can lower
  a single rule with a reason: `{{"helm-release": {{"enforcementLevel": "advisory", "reason": "…"}}}}`.
  The pack refuses to start when a file there names no rule of the pack, or lowers one without a reason.
"""


def _entry(rule: Rule | StackRule) -> str:
    same_as = "; ".join(f"{PUBLIC_SETS[name]}: {ids}" for name, ids in rule.same_as.items())
    lines = [
        f"### {rule.id}",
        "",
        f"**{rule.title}.** Severity {rule.severity}.",
        f"{rule.rationale}",
        "",
        f"Fix: {rule.fix}.",
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


if __name__ == "__main__":
    sys.stdout.write(markdown())
