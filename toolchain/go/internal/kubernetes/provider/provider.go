// Package provider serves Pulumi's `kubernetes` package for the embedded cluster, where the
// official plugin cannot be had. For a program it behaves as the official one: same types,
// settings, annotations, names, ids and recorded state.
//
// Not served, with a clear error: Helm, Kustomize and YAML resources (a plan may have Helm charts,
// see Construct), client-side apply, rendering to files, and functions. Writing to any API server but the embedded one is refused.
package provider

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Provider implements pulumirpc.ResourceProviderServer.
type Provider struct {
	pulumirpc.UnimplementedResourceProviderServer

	version string
	log     Logger

	cancelled context.Context //nolint:containedctx // ends with Cancel, not with a call
	cancel    context.CancelCauseFunc

	// Set by Configure, before any resource call.
	settings  Settings
	namespace string
	client    *cluster.Client
	loadErr   error

	mu         sync.Mutex
	planned    bool // the server answered and is the embedded one
	planErr    error
	planErrAt  time.Time
	planWarned bool
}

// New makes a provider that says it is of a version, without a leading v.
func New(version string, log Logger) *Provider {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Provider{version: version, log: log, cancelled: ctx, cancel: cancel}
}

// Handshake says which features of the protocol are understood.
func (p *Provider) Handshake(
	context.Context, *pulumirpc.ProviderHandshakeRequest,
) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{
		AcceptSecrets: true, AcceptResources: true, SupportsAutonamingConfiguration: true,
	}, nil
}

// GetPluginInfo answers the version that the plugin is installed as.
func (p *Provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

// GetSchema answers a schema without resources: programs bring the SDK of the official plugin.
func (p *Provider) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	schema, err := json.Marshal(map[string]any{
		"name": "kubernetes", "version": p.version, "resources": map[string]any{}, "functions": map[string]any{},
	})
	return &pulumirpc.GetSchemaResponse{Schema: string(schema)}, err
}

// Parameterize is not served.
func (p *Provider) Parameterize(context.Context, *pulumirpc.ParameterizeRequest) (*pulumirpc.ParameterizeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the kubernetes plugin takes no parameters")
}

// Invoke is not served.
func (p *Provider) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return nil, unsupported("function " + req.GetTok())
}

// Call is not served.
func (p *Provider) Call(_ context.Context, req *pulumirpc.CallRequest) (*pulumirpc.CallResponse, error) {
	return nil, unsupported("method " + req.GetTok())
}

func unsupported(what string) error {
	return status.Errorf(codes.Unimplemented,
		"%s is %v; declare the objects as typed resources, or use the official plugin", what, object.ErrUnsupported)
}

// GetMapping has nothing to convert from.
func (p *Provider) GetMapping(context.Context, *pulumirpc.GetMappingRequest) (*pulumirpc.GetMappingResponse, error) {
	return &pulumirpc.GetMappingResponse{}, nil
}

// GetMappings has nothing to convert from.
func (p *Provider) GetMappings(context.Context, *pulumirpc.GetMappingsRequest) (*pulumirpc.GetMappingsResponse, error) {
	return &pulumirpc.GetMappingsResponse{}, nil
}

// Attach is not served: the plugin is always started by the engine.
func (p *Provider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return nil, status.Error(codes.Unimplemented, "the kubernetes plugin cannot be attached to")
}

// Cancel ends all waiting. What was created by then is recorded as not ready.
func (p *Provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.cancel(errCancelled)
	return &emptypb.Empty{}, nil
}

var errCancelled = status.Error(codes.Canceled, "the update was cancelled")

// scope ties a call's context to Cancel and to the resource that warnings are about.
func (p *Provider) scope(ctx context.Context, urn resource.URN) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.cancelled, func() { cancel(errCancelled) })
	return context.WithValue(ctx, urnKey{}, urn), func() {
		stop()
		cancel(nil)
	}
}

type urnKey struct{}

// unmarshal reads properties with everything they can carry.
func unmarshal(label string, s *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(s, plugin.MarshalOptions{
		Label: label, KeepUnknowns: true, KeepSecrets: true, RejectAssets: true,
	})
}

func marshal(label string, pm resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(pm, plugin.MarshalOptions{Label: label, KeepUnknowns: true, KeepSecrets: true})
}
