package object

import (
	"encoding/base64"

	"github.com/fluxcd/pkg/ssa/normalize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Normalize gives inputs the form in which the API server will return them, so that
// `1000m` and `1`, or stringData and data, do not count as differences. Inputs with
// unknowns are returned as they are, save read-only metadata.
//
// Fields that the Go types do not know are kept: the API server shall name them.
func Normalize(inputs map[string]any) map[string]any {
	tree := Clone(inputs)
	if !HasUnknowns(tree) {
		u := &unstructured.Unstructured{Object: tree}
		switch gvk := u.GroupVersionKind(); {
		case gvk.Group == "" && gvk.Kind == "Secret":
			normalizeSecret(tree)
		case gvk.Group == "rbac.authorization.k8s.io":
			// The Go types lose the difference between absent and empty rules.
		case IsBuiltin(gvk.GroupKind()):
			if typed, err := normalize.FromUnstructured(u); err == nil {
				if canonical, err := normalize.ToUnstructured(typed); err == nil {
					tree = canonicalLeaves(tree, canonical.Object).(map[string]any)
				}
			}
		}
	}
	DropReadOnly(tree)
	return tree
}

// canonicalLeaves replaces the leaves of tree by those that canonical has in the same place.
func canonicalLeaves(tree, canonical any) any {
	switch t := tree.(type) {
	case map[string]any:
		c, ok := canonical.(map[string]any)
		if !ok {
			return tree
		}
		for k, v := range t {
			if cv, ok := c[k]; ok {
				t[k] = canonicalLeaves(v, cv)
			}
		}
		return t
	case []any:
		c, ok := canonical.([]any)
		if !ok || len(c) != len(t) {
			return tree
		}
		for i, v := range t {
			t[i] = canonicalLeaves(v, c[i])
		}
		return t
	case nil:
		return tree
	default:
		switch canonical.(type) {
		case nil, map[string]any, []any:
			return tree
		}
		return canonical
	}
}

// normalizeSecret does what the API server does: stringData overwrites data, base64 is
// written without line breaks. Text that is not base64 is left for the server to refuse.
func normalizeSecret(tree map[string]any) {
	data, _ := tree["data"].(map[string]any)
	for k, v := range data {
		if s, ok := v.(string); ok {
			if raw, err := base64.StdEncoding.DecodeString(s); err == nil {
				data[k] = base64.StdEncoding.EncodeToString(raw)
			}
		}
	}
	stringData, ok := tree["stringData"].(map[string]any)
	if !ok {
		return
	}
	if data == nil {
		data = map[string]any{}
	}
	for k, v := range stringData {
		s, ok := v.(string)
		if !ok {
			return
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	if len(data) > 0 {
		tree["data"] = data
	}
	delete(tree, "stringData")
}
