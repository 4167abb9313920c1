package provider

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

// CheckConfig refuses settings of features that only the official plugin has. Settings of
// Helm are accepted and have no effect, as Helm resources are refused themselves.
func (p *Provider) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news, err := unmarshal("news", req.GetNews())
	if err != nil {
		return nil, err
	}
	var failures []*pulumirpc.CheckFailure
	fail := func(property, reason string) {
		failures = append(failures, &pulumirpc.CheckFailure{Property: property, Reason: reason})
	}
	if isFlag(news["enableServerSideApply"], false) {
		fail("enableServerSideApply", "false: this build of the kubernetes plugin applies on the server only; leave it out or use the official plugin")
	}
	if v := plain(news["renderYamlToDirectory"]); v.IsString() && v.StringValue() != "" {
		fail("renderYamlToDirectory", "is not supported by this build of the kubernetes plugin; use the official plugin")
	}
	if isFlag(news["alwaysRender"], true) {
		fail("alwaysRender", "is not supported by this build of the kubernetes plugin; use the official plugin")
	}
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: failures}, nil
}

func plain(v resource.PropertyValue) resource.PropertyValue {
	for v.IsSecret() {
		v = v.SecretValue().Element
	}
	return v
}

// isFlag compares a flag; the engine sends provider settings as strings too.
func isFlag(v resource.PropertyValue, want bool) bool {
	v = plain(v)
	return v.IsBool() && v.BoolValue() == want || v.IsString() && v.StringValue() == fmt.Sprint(want)
}

const clusterIdentifier = "clusterIdentifier"

// connectionKeys are the settings that may name another cluster.
var connectionKeys = []string{"cluster", "context", "kubeconfig"}

// DiffConfig decides whether resources must move with a changed provider. With an unchanged
// clusterIdentifier they never do; with a changed one they always do; without one they do
// when the kubeconfig names another cluster, or when that is not known yet.
func (p *Provider) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshalPlain("olds", req)
	if err != nil {
		return nil, err
	}
	news, err := plugin.UnmarshalProperties(req.GetNews(), plugin.MarshalOptions{KeepUnknowns: true})
	if err != nil {
		return nil, err
	}
	difference := olds.Diff(news)
	if difference == nil {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}
	for _, key := range difference.ChangedKeys() {
		response.Diffs = append(response.Diffs, string(key))
	}
	slices.Sort(response.Diffs)
	old, identified := olds[clusterIdentifier]
	switch identifier := news[clusterIdentifier]; {
	case identifier.HasValue() && !identifier.IsComputed() && identified && old.DeepEquals(identifier):
	case difference.Updated(clusterIdentifier):
		response.Replaces = []string{clusterIdentifier}
	default:
		response.Replaces = movedKeys(olds, news, response.Diffs)
	}
	return response, nil
}

func unmarshalPlain(label string, req *pulumirpc.DiffRequest) (resource.PropertyMap, error) {
	olds := req.GetOldInputs()
	if olds == nil {
		olds = req.GetOlds()
	}
	return plugin.UnmarshalProperties(olds, plugin.MarshalOptions{Label: label, KeepUnknowns: true})
}

// movedKeys returns the settings that make the provider point at another cluster.
func movedKeys(olds, news resource.PropertyMap, changed []string) []string {
	for _, key := range connectionKeys {
		if news[resource.PropertyKey(key)].IsComputed() {
			return []string{key}
		}
	}
	before, after := activeCluster(olds), activeCluster(news)
	if before == nil || after == nil || reflect.DeepEqual(before, after) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(connectionKeys), func(k string) bool { return !slices.Contains(changed, k) })
}

// activeCluster is the cluster entry that settings select; nil where they do not say.
func activeCluster(pm resource.PropertyMap) *clientcmdapi.Cluster {
	text := func(key resource.PropertyKey) string {
		if v := pm[key]; v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	kubeconfig := text("kubeconfig")
	if kubeconfig == "" {
		return nil
	}
	config, err := cluster.ParseKubeconfig(kubeconfig)
	if err != nil {
		return nil
	}
	name := text("cluster")
	if name == "" {
		selected := text("context")
		if selected == "" {
			selected = config.CurrentContext
		}
		if c, ok := config.Contexts[selected]; ok {
			name = c.Cluster
		}
	}
	found := config.Clusters[name]
	if found == nil {
		return nil
	}
	// The file that an entry came from does not make another cluster.
	found = found.DeepCopy()
	found.LocationOfOrigin = ""
	return found
}

// Configure prepares the connection. A kubeconfig that cannot be used is no error yet: plans
// need no cluster.
func (p *Provider) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	settings, err := parseSettings(req.GetVariables()) //nolint:staticcheck // every engine sends them, in plain form
	if err != nil {
		return nil, err
	}
	p.settings = settings
	if settings.Cluster.Kubeconfig == plugin.UnknownStringValue {
		p.loadErr = fmt.Errorf("kubeconfig is not known yet")
	} else if config, namespace, err := settings.Cluster.Load(); err != nil {
		p.namespace, p.loadErr = namespace, err
	} else {
		p.namespace = namespace
		p.client, p.loadErr = cluster.Connect(config, settings.Cluster.Timeout, p.warn)
	}
	return &pulumirpc.ConfigureResponse{
		AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, SupportsAutonamingConfiguration: true,
	}, nil
}

// warn shows a warning of the API server beside the resource that caused it.
func (p *Provider) warn(ctx context.Context, text string) {
	urn, ok := ctx.Value(urnKey{}).(resource.URN)
	if !ok || p.settings.SuppressWarnings || ctx.Value(planKey{}) != nil {
		return
	}
	p.note(ctx, diag.Warning, urn, "API server: "+text)
}
