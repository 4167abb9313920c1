package diff

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Rules decide which changes need a replacement.
type Rules struct {
	GVK schema.GroupVersionKind
	// Patch resources are only replaced when they point at another object.
	Patch bool
	// MutableConfigMaps and MutableSecrets are provider settings: without them a change of
	// the payload makes a new object, so that pods roll.
	MutableConfigMaps, MutableSecrets bool
}

var identity = []string{"metadata.name", "metadata.namespace", "kind"}

// immutableFields are fields that the API server refuses to change, by group and kind.
// Source: pkg/apis/*/validation of Kubernetes v1.36; a field on which validation depends on
// the object's state is left to the answer of the dry run (see Refused).
var immutableFields = map[schema.GroupKind][]string{
	{Group: "apps", Kind: "DaemonSet"}:   {"spec.selector"},
	{Group: "apps", Kind: "Deployment"}:  {"spec.selector"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec.selector"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec.podManagementPolicy", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"},
	{Group: "batch", Kind: "Job"}: {
		"spec.backoffLimitPerIndex", "spec.completionMode", "spec.completions", "spec.managedBy", "spec.manualSelector",
		"spec.podFailurePolicy", "spec.selector", "spec.successPolicy", "spec.template",
	},
	{Kind: "PersistentVolumeClaim"}: {
		"spec.accessModes", "spec.dataSource", "spec.dataSourceRef", "spec.selector", "spec.storageClassName",
		"spec.volumeMode", "spec.volumeName",
	},
	{Kind: "PersistentVolume"}: {
		"spec.csi", "spec.fc", "spec.flexVolume", "spec.hostPath", "spec.iscsi", "spec.local", "spec.nfs",
		"spec.nodeAffinity", "spec.volumeMode",
	},
	{Kind: "Pod"}: {
		"spec.affinity", "spec.automountServiceAccountToken", "spec.containers[*].args", "spec.containers[*].command",
		"spec.containers[*].env", "spec.containers[*].image", "spec.containers[*].name", "spec.containers[*].ports",
		"spec.containers[*].resources", "spec.containers[*].securityContext", "spec.containers[*].volumeMounts",
		"spec.containers[*].livenessProbe", "spec.containers[*].readinessProbe", "spec.containers[*].startupProbe",
		"spec.dnsConfig", "spec.dnsPolicy", "spec.enableServiceLinks", "spec.hostAliases", "spec.hostIPC",
		"spec.hostNetwork", "spec.hostPID", "spec.hostname", "spec.imagePullSecrets", "spec.initContainers",
		"spec.nodeName", "spec.nodeSelector", "spec.overhead", "spec.preemptionPolicy", "spec.priority",
		"spec.priorityClassName", "spec.restartPolicy", "spec.runtimeClassName", "spec.schedulerName",
		"spec.securityContext", "spec.serviceAccountName", "spec.shareProcessNamespace", "spec.subdomain",
		"spec.terminationGracePeriodSeconds", "spec.volumes",
	},
	{Kind: "ResourceQuota"}: {"spec.scopes", "spec.scopeSelector"},
	{Kind: "Secret"}:        {"type"},
	{Kind: "Service"}:       {"spec.clusterIP", "spec.clusterIPs"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: {"roleRef"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        {"roleRef"},
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              {"preemptionPolicy", "value"},
	{Group: "storage.k8s.io", Kind: "StorageClass"}: {
		"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode",
	},
}

// Replaces returns the changes that need a replacement. live (may be nil) is the object as it
// is known: ConfigMaps and Secrets with `immutable: true` keep their payload for ever.
func (r Rules) Replaces(changes []Change, live map[string]any) []Change {
	patterns := slices.Clone(identity)
	if !r.Patch {
		gk := r.GVK.GroupKind()
		patterns = append(patterns, immutableFields[gk]...)
		frozen, _ := live["immutable"].(bool)
		switch {
		case gk == schema.GroupKind{Kind: "ConfigMap"} && (frozen || !r.MutableConfigMaps):
			patterns = append(patterns, "data", "binaryData")
		case gk == schema.GroupKind{Kind: "Secret"} && (frozen || !r.MutableSecrets):
			patterns = append(patterns, "data", "stringData")
		}
	}
	var out []Change
	for _, c := range changes {
		if slices.ContainsFunc(patterns, func(p string) bool { return touches(c.Path, p) }) {
			out = append(out, c)
		}
	}
	return out
}

// touches tells whether a changed path and a pattern are the same, or one lies within the
// other: replacing `spec` replaces `spec.selector` too.
func touches(path resource.PropertyPath, pattern string) bool {
	parts := strings.Split(strings.ReplaceAll(pattern, "[*]", ".*"), ".")
	for i := range min(len(path), len(parts)) {
		if parts[i] == "*" {
			continue
		}
		if key, ok := path[i].(string); !ok || key != parts[i] {
			return false
		}
	}
	return true
}

// refusal recognises how Kubernetes and CEL rules say that a field cannot be changed.
var refusal = regexp.MustCompile(`(?i)immutable|may not (be )?change|cannot (be )?change|updates to .* are forbidden|` +
	`updates? .*(may not change|for) fields other than`)

// Refused returns the changes that a dry-run update was refused for because the fields are
// immutable; nil where the error is of another kind.
func Refused(changes []Change, err error) []Change {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.Status().Details == nil {
		return nil
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		if !refusal.MatchString(cause.Message) {
			return nil // invalid for another reason as well: a replacement would not help
		}
		fields = append(fields, cause.Field)
	}
	if len(fields) == 0 {
		return nil
	}
	var out []Change
	for _, c := range changes {
		if slices.ContainsFunc(fields, func(f string) bool { return within(c.Path, f) }) {
			out = append(out, c)
		}
	}
	if out == nil {
		// The server names a field of its internal types, such as spec.persistentvolumesource.
		out = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool {
			return len(c.Path) > 0 && c.Path[0] == "metadata"
		})
	}
	return out
}

var index = regexp.MustCompile(`\[[^\]]*\]`)

func within(path resource.PropertyPath, field string) bool {
	return touches(path, index.ReplaceAllString(field, "[*]"))
}

// DeleteFirst tells whether the old object must go before its replacement can be made:
// both have the same name, which the program fixed.
func DeleteFirst(inputs, live map[string]any) bool {
	name := object.Name(inputs)
	return name != "" && !object.IsTrue(inputs, object.AnnotationAutonamed) &&
		name == object.Name(live) && object.Namespace(inputs) == object.Namespace(live)
}
