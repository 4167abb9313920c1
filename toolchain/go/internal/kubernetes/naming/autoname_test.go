package naming_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"autoglm.dev/platform/toolchain/internal/kubernetes/naming"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

var (
	urn  = resource.NewURN("dev", "project", "", "kubernetes:core/v1:ConfigMap", "settings")
	seed = []byte("0123456789abcdef0123456789abcdef")
)

func inputs(metadata map[string]any) map[string]any { return map[string]any{"metadata": metadata} }

func assign(t *testing.T, tree map[string]any, options *pulumirpc.CheckRequest_AutonamingOptions) {
	t.Helper()
	if err := naming.Assign(tree, urn, seed, options); err != nil {
		t.Fatal(err)
	}
}

func TestUnnamedObjectIsNamedAfterItsResource(t *testing.T) {
	tree := inputs(map[string]any{})
	assign(t, tree, nil)
	suffix, ok := strings.CutPrefix(object.Name(tree), "settings-")
	if !ok || len(suffix) != 8 || strings.Trim(suffix, "0123456789abcdef") != "" {
		t.Errorf("name is %q", object.Name(tree))
	}
	if !object.IsTrue(tree, object.AnnotationAutonamed) {
		t.Error("not marked as autonamed")
	}
}

func TestGivenAndUnknownNamesAreLeftAlone(t *testing.T) {
	for _, metadata := range []map[string]any{{"name": "mine"}, {"name": object.Unknown{}}} {
		tree := inputs(metadata)
		assign(t, tree, nil)
		if object.IsTrue(tree, object.AnnotationAutonamed) {
			t.Errorf("%v was renamed", metadata)
		}
	}
}

func TestEngineSettingsOfAutonamingHold(t *testing.T) {
	tree := inputs(map[string]any{})
	assign(t, tree, &pulumirpc.CheckRequest_AutonamingOptions{Mode: pulumirpc.CheckRequest_AutonamingOptions_ENFORCE, ProposedName: "proposed"})
	if object.Name(tree) != "proposed" {
		t.Errorf("name is %q", object.Name(tree))
	}
	err := naming.Assign(inputs(map[string]any{}), urn, seed, &pulumirpc.CheckRequest_AutonamingOptions{Mode: pulumirpc.CheckRequest_AutonamingOptions_DISABLE})
	if err == nil {
		t.Error("disabled autonaming must ask for a name")
	}
}

func TestNameIsKeptOnUpdate(t *testing.T) {
	old := inputs(map[string]any{"name": "settings-1", "annotations": map[string]any{object.AnnotationAutonamed: "true"}})
	tree := inputs(map[string]any{})
	naming.Adopt(tree, old)
	if object.Name(tree) != "settings-1" || !object.IsTrue(tree, object.AnnotationAutonamed) {
		t.Errorf("got %v", tree)
	}
	given := inputs(map[string]any{})
	naming.Adopt(given, inputs(map[string]any{"name": "fixed"}))
	if object.HasName(given) {
		t.Error("a name that the program took away must not be adopted")
	}
}
