package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"autoglm.dev/platform/toolchain/internal/kubernetes/provider"
)

func kubeconfig(server, token string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":%q}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"current-context":"c"}`, server, token)
}

func TestProviderIsReplacedOnlyForAnotherCluster(t *testing.T) {
	t.Parallel()
	one, rotated, two := kubeconfig("https://one", "a"), kubeconfig("https://one", "b"), kubeconfig("https://two", "a")
	unknown := resource.MakeComputed(resource.NewProperty(""))
	text := func(s string) resource.PropertyValue { return resource.NewProperty(s) }
	for name, c := range map[string]struct {
		old, new resource.PropertyMap
		replaces []string
	}{
		"rotated credentials":                    {resource.PropertyMap{"kubeconfig": text(one)}, resource.PropertyMap{"kubeconfig": text(rotated)}, nil},
		"another server":                         {resource.PropertyMap{"kubeconfig": text(one)}, resource.PropertyMap{"kubeconfig": text(two)}, []string{"kubeconfig"}},
		"unknown kubeconfig":                     {resource.PropertyMap{"kubeconfig": text(one)}, resource.PropertyMap{"kubeconfig": unknown}, []string{"kubeconfig"}},
		"another server of the same identifier":  {resource.PropertyMap{"kubeconfig": text(one), "clusterIdentifier": text("x")}, resource.PropertyMap{"kubeconfig": text(two), "clusterIdentifier": text("x")}, nil},
		"unknown one of the same identifier":     {resource.PropertyMap{"kubeconfig": text(one), "clusterIdentifier": text("x")}, resource.PropertyMap{"kubeconfig": unknown, "clusterIdentifier": text("x")}, nil},
		"another identifier":                     {resource.PropertyMap{"kubeconfig": text(one), "clusterIdentifier": text("x")}, resource.PropertyMap{"kubeconfig": text(one), "clusterIdentifier": text("y")}, []string{"clusterIdentifier"}},
		"an identifier where there was none yet": {resource.PropertyMap{"kubeconfig": text(one)}, resource.PropertyMap{"kubeconfig": text(one), "clusterIdentifier": text("y")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := provider.New("4.0.0", nil).DiffConfig(t.Context(), &pulumirpc.DiffRequest{Olds: wire(t, c.old), News: wire(t, c.new)})
			must(t, err)
			if response.GetChanges() != pulumirpc.DiffResponse_DIFF_SOME || !slices.Equal(response.GetReplaces(), c.replaces) {
				t.Errorf("got %v", response)
			}
		})
	}
}

func TestSettingsOfTheOfficialPluginOnlyAreRefused(t *testing.T) {
	t.Parallel()
	for _, settings := range []resource.PropertyMap{
		{"enableServerSideApply": resource.NewProperty("false")},
		{"enableServerSideApply": resource.NewProperty(false)},
		{"renderYamlToDirectory": resource.NewProperty("out")},
	} {
		response, err := provider.New("4.0.0", nil).CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: wire(t, settings)})
		must(t, err)
		if len(response.GetFailures()) != 1 || !strings.Contains(response.GetFailures()[0].GetReason(), "official plugin") {
			t.Errorf("%v: %v", settings, response.GetFailures())
		}
	}
	response, err := provider.New("4.0.0", nil).CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: wire(t, resource.PropertyMap{
		"enableServerSideApply": resource.NewProperty(true), "suppressHelmHookWarnings": resource.NewProperty(true),
		"helmReleaseSettings": resource.NewProperty("{}"),
	})})
	must(t, err)
	if len(response.GetFailures()) > 0 {
		t.Errorf("got %v", response.GetFailures())
	}
}

func TestPlanWithoutClusterUsesInputs(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "kubeconfig", "/does/not/exist")
	urn := e.urn(tokenConfigMap, "settings")
	program := props(object{"metadata": object{"name": "settings", "namespace": "n"}, "data": object{"a": "1"}})
	inputs := e.check(urn, program, nil)
	if checked := unwire(t, inputs); checked["kind"].StringValue() != "ConfigMap" || checked["apiVersion"].StringValue() != "v1" {
		t.Errorf("kind is not completed: %v", checked)
	}
	response, err := e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs, Preview: true})
	must(t, err)
	if unwire(t, response.GetProperties())["data"].ObjectValue()["a"].StringValue() != "1" {
		t.Errorf("got %v", response)
	}
	_, err = e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs})
	if err == nil || !strings.Contains(err.Error(), `there is no file "/does/not/exist"`) {
		t.Errorf("unhelpful: %v", err)
	}
}

func TestResourcesOfTheOfficialPluginOnlyAreRefused(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "kubeconfig", "/does/not/exist")
	for _, token := range []string{"kubernetes:helm.sh/v3:Release", "kubernetes:kustomize/v2:Directory"} {
		if _, err := e.tryCheck(e.urn(token, "x"), props(object{}), nil); err == nil || !strings.Contains(err.Error(), "official plugin") {
			t.Errorf("%s: %v", token, err)
		}
	}
	if _, err := e.tryCheck(e.urn("kubernetes:core/v1:ConfigMapList", "x"), props(object{"items": []any{object{}}}), nil); err == nil {
		t.Error("lists must be refused")
	}
	if _, err := e.provider.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "kubernetes:yaml:decode"}); err == nil || !strings.Contains(err.Error(), "kubernetes:yaml:decode") {
		t.Errorf("unhelpful: %v", err)
	}
}

func TestWrongInputsAreNamedByField(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "kubeconfig", "/does/not/exist")
	for field, metadata := range map[string]object{
		"metadata.generateName": {"generateName": "x-"},
		"metadata.annotations":  {"name": "x", "annotations": object{"pulumi.com/timeoutSeconds": "soon"}},
	} {
		response, err := e.tryCheck(e.urn(tokenConfigMap, "x"), props(object{"metadata": metadata}), nil)
		must(t, err)
		if len(response.GetFailures()) != 1 || response.GetFailures()[0].GetProperty() != field {
			t.Errorf("%s: %v", field, response.GetFailures())
		}
	}
	response, err := e.tryCheck(e.urn(tokenConfigMap+"Patch", "x"), props(object{"kind": "ConfigMap"}), nil)
	must(t, err)
	if len(response.GetFailures()) != 1 {
		t.Errorf("a patch without name: %v", response.GetFailures())
	}
}

func TestVersionIsTheInstalledOne(t *testing.T) {
	t.Parallel()
	info, err := provider.New("4.34.2", nil).GetPluginInfo(t.Context(), nil)
	must(t, err)
	if info.GetVersion() != "4.34.2" {
		t.Errorf("got %s", info.GetVersion())
	}
}
