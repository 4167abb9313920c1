package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Type is what a Pulumi type token of the kubernetes package names.
type Type struct {
	// GVK of the API object. For a Patch resource it is the patched kind, without the suffix.
	GVK schema.GroupVersionKind
	// Patch is set for `<Kind>Patch` resources, which own only the fields they name.
	Patch bool
}

// unsupportedModules are served by the official plugin only.
var unsupportedModules = map[string]string{
	"helm.sh":   "Helm releases and charts",
	"kustomize": "Kustomize directories",
	"yaml":      "YAML manifests (ConfigFile, ConfigGroup)",
}

// ErrUnsupported is wrapped by errors about types that this plugin does not serve.
var ErrUnsupported = errors.New("not supported by this build of the kubernetes plugin")

// ParseType reads the type out of a URN, for instance
// `kubernetes:apps/v1:Deployment` or `kubernetes:core/v1:ConfigMapPatch`.
// The kind in the inputs decides whether a Patch suffix is part of the kind's own name.
func ParseType(urn resource.URN, inputsKind string) (Type, error) {
	token := urn.Type()
	if string(token.Package()) != "kubernetes" {
		return Type{}, fmt.Errorf("type %s: package %q is not served here", token, token.Package())
	}
	module := string(token.Module().Name())
	for prefix, what := range unsupportedModules {
		if module == prefix || strings.HasPrefix(module, prefix+"/") {
			return Type{}, fmt.Errorf("type %s: %s are %w; declare the objects as typed resources, or use the official plugin",
				token, what, ErrUnsupported)
		}
	}
	group, version, ok := strings.Cut(module, "/")
	if !ok || strings.Contains(version, "/") {
		return Type{}, fmt.Errorf("type %s: %q is not <group>/<version>", token, module)
	}
	if group == "core" {
		group = ""
	}
	kind := string(token.Name())
	t := Type{GVK: schema.GroupVersionKind{Group: group, Version: version, Kind: kind}}
	if base, found := strings.CutSuffix(kind, "Patch"); found && base != "" && inputsKind != kind {
		t.GVK.Kind, t.Patch = base, true
	}
	return t, nil
}

// IsList tells whether a type is one of the `<Kind>List` types, which exist in the SDK
// for YAML manifests only.
func IsList(urn resource.URN, inputs map[string]any) bool {
	_, hasItems := inputs["items"]
	return hasItems && strings.HasSuffix(string(urn.Type().Name()), "List")
}

// clusterScoped holds the built-in kinds without a namespace, by group. Source: the
// `+genclient:nonNamespaced` markers of k8s.io/api v0.36 and of the aggregated APIs.
var clusterScoped = map[string][]string{
	"":                             {"ComponentStatus", "Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"authentication.k8s.io":        {"SelfSubjectReview", "TokenReview"},
	"authorization.k8s.io":         {"SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"internal.apiserver.k8s.io":    {"StorageVersion"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io":              {"DeviceClass", "DeviceTaintRule", "ResourceSlice"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
	"storagemigration.k8s.io":      {"StorageVersionMigration"},
}

// builtinGroups are served by every API server of the pinned Kubernetes version.
var builtinGroups = []string{
	"apps", "autoscaling", "batch", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "policy",
}

// IsBuiltin tells whether Kubernetes itself serves the kind's group, as opposed to a CRD.
func IsBuiltin(gk schema.GroupKind) bool {
	_, scoped := clusterScoped[gk.Group]
	return scoped || slices.Contains(builtinGroups, gk.Group)
}

// BuiltinNamespaced tells whether a built-in kind lives in a namespace; known is false
// for kinds that only the API server can tell about (custom resources).
func BuiltinNamespaced(gk schema.GroupKind) (namespaced, known bool) {
	if !IsBuiltin(gk) {
		return false, false
	}
	return !slices.Contains(clusterScoped[gk.Group], gk.Kind), true
}
