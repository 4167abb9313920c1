package object_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

type tree = map[string]any

func urn(token tokens.Type) resource.URN { return resource.NewURN("dev", "p", "", token, "x") }

func TestTypeTokensNameKinds(t *testing.T) {
	for token, want := range map[tokens.Type]string{
		"kubernetes:core/v1:ConfigMap":                       "/v1, Kind=ConfigMap",
		"kubernetes:apps/v1:Deployment":                      "apps/v1, Kind=Deployment",
		"kubernetes:monitoring.coreos.com/v1:ServiceMonitor": "monitoring.coreos.com/v1, Kind=ServiceMonitor",
		"kubernetes:apps/v1:DeploymentPatch":                 "apps/v1, Kind=Deployment",
	} {
		got, err := object.ParseType(urn(token), "")
		if err != nil || got.GVK.String() != want || got.Patch != strings.HasSuffix(string(token), "Patch") {
			t.Errorf("%s: %v %v", token, got, err)
		}
	}
	own, err := object.ParseType(urn("kubernetes:x.dev/v1:BigPatch"), "BigPatch")
	if err != nil || own.Patch {
		t.Errorf("a custom kind that ends in Patch is no Patch resource: %v %v", own, err)
	}
	for _, token := range []tokens.Type{
		"kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart", "kubernetes:yaml/v2:ConfigGroup", "kubernetes:yaml:ConfigFile",
		"kubernetes:kustomize/v2:Directory",
	} {
		if _, err := object.ParseType(urn(token), ""); err == nil || !strings.Contains(err.Error(), "official plugin") {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestPropertiesAndTreesConvertBothWays(t *testing.T) {
	pm := resource.PropertyMap{
		"whole": resource.NewProperty(3.0), "fraction": resource.NewProperty(1.5), "null": resource.NewNullProperty(),
		"secret":  resource.MakeSecret(resource.NewProperty("s")),
		"unknown": resource.MakeComputed(resource.NewProperty("")),
		"x_kubernetes_list_map_keys": resource.NewProperty([]resource.PropertyValue{
			resource.NewProperty("name"),
		}),
	}
	got, err := object.FromProperties(pm)
	if err != nil {
		t.Fatal(err)
	}
	want := tree{
		"whole": int64(3), "fraction": 1.5, "secret": "s", "x-kubernetes-list-map-keys": []any{"name"},
	}
	if _, unknown := got["unknown"].(object.Unknown); !unknown || !object.HasUnknowns(got) {
		t.Errorf("unknown is lost: %v", got)
	}
	delete(got, "unknown")
	if !object.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	back := object.ToProperties(got)
	if !back.HasValue("x_kubernetes_list_map_keys") || back["whole"].NumberValue() != 3 {
		t.Errorf("got %v", back)
	}
}

func TestNormalizedInputsLookAsTheServerReturnsThem(t *testing.T) {
	secret := object.Normalize(tree{
		"apiVersion": "v1", "kind": "Secret", "stringData": tree{"p": "word"}, "data": tree{"q": "d29y\nZA=="},
	})
	if !object.Equal(secret, tree{"apiVersion": "v1", "kind": "Secret", "data": tree{"p": "d29yZA==", "q": "d29yZA=="}}) {
		t.Errorf("secret: %v", secret)
	}
	claim := object.Normalize(tree{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": tree{"name": "x", "uid": "u", "resourceVersion": "1"},
		"spec": tree{"resources": tree{"requests": tree{"storage": "1024Mi"}}, "typo": "kept", "accessModes": []any{}},
	})
	if !object.Equal(claim, tree{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": tree{"name": "x"},
		"spec": tree{"resources": tree{"requests": tree{"storage": "1Gi"}}, "typo": "kept", "accessModes": []any{}},
	}) {
		t.Errorf("claim: %v", claim)
	}
	unknown := tree{"apiVersion": "v1", "kind": "Secret", "stringData": tree{"p": object.Unknown{}}}
	if got := object.Normalize(unknown); !object.HasUnknowns(got) {
		t.Errorf("unknown: %v", got)
	}
}

func TestProjectKeepsTheShapeOfTheInputs(t *testing.T) {
	live := tree{
		"a": "live", "default": 1,
		"containers": []any{tree{"name": "sidecar"}, tree{"name": "main", "image": "2", "policy": "x"}},
		"list":       []any{"x", "y"},
	}
	inputs := tree{"a": "in", "gone": 1, "containers": []any{tree{"name": "main", "image": "1"}}, "list": []any{"x"}}
	want := tree{"a": "live", "containers": []any{tree{"name": "main", "image": "2"}}, "list": []any{"x", "y"}}
	if got := object.Project(live, inputs); !object.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestStateIsRecordedAsTheOfficialPluginDoes(t *testing.T) {
	state := object.State{
		Live:   tree{"kind": "ConfigMap", "data": tree{"a": "s3cret", "b": "plain"}},
		Inputs: tree{"kind": "ConfigMap", "data": tree{"a": "s3cret", "b": "plain"}}, InitialAPIVersion: "v1", FieldManager: "pulumi-kubernetes-1",
	}
	from := resource.PropertyMap{"data": resource.NewProperty(resource.PropertyMap{
		"a": resource.MakeSecret(resource.NewProperty("s3cret")), "b": resource.NewProperty("plain"),
	})}
	pm := state.Encode(from)
	for name, data := range map[string]resource.PropertyValue{"live": pm["data"], "inputs": pm["__inputs"].ObjectValue()["data"]} {
		if !data.ObjectValue()["a"].IsSecret() || data.ObjectValue()["b"].IsSecret() {
			t.Errorf("%s: %v", name, data)
		}
	}
	back, err := object.DecodeState(pm)
	if err != nil || !object.Equal(back.Live, state.Live) || !object.Equal(back.Inputs, state.Inputs) ||
		back.InitialAPIVersion != "v1" || back.FieldManager != "pulumi-kubernetes-1" {
		t.Errorf("%v %v", back, err)
	}
}

func TestRedactorHidesSecretsInAnyForm(t *testing.T) {
	r := object.NewRedactor(resource.PropertyMap{
		"kind": resource.NewProperty("Secret"),
		"data": resource.NewProperty(resource.PropertyMap{"p": resource.NewProperty("aHVudGVyMg==")}),
		"x":    resource.MakeSecret(resource.NewProperty("swordfish")), "y": resource.NewProperty("visible"),
	})
	if got := r.Redact("aHVudGVyMg== hunter2 swordfish visible"); got != "[secret] [secret] [secret] visible" {
		t.Errorf("got %q", got)
	}
}

func TestTimeoutOrder(t *testing.T) {
	annotated := tree{"metadata": tree{"annotations": tree{object.AnnotationTimeoutSeconds: "30"}}}
	for _, c := range []struct {
		custom float64
		tree   tree
		want   time.Duration
	}{{5, annotated, 5 * time.Second}, {0, annotated, 30 * time.Second}, {0, tree{}, time.Minute}} {
		if got, err := object.Timeout(c.custom, c.tree, time.Minute); err != nil || got != c.want {
			t.Errorf("%v: %v %v", c, got, err)
		}
	}
	if _, err := object.Timeout(0, tree{"metadata": tree{"annotations": tree{object.AnnotationTimeoutSeconds: "5m"}}}, 0); err == nil {
		t.Error("5m must be refused")
	}
}
