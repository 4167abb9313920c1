package main

import (
	"context"
	"fmt"
	"regexp"
	"sort"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"autoglm.dev/platform/toolchain/internal/planned"
)

// typeToken is package:module:Type, such as aws:ec2/vpc:Vpc.
var typeToken = regexp.MustCompile(`^([a-z][a-z0-9-]*):([^:\s]*):([A-Za-z_][A-Za-z0-9_]*)$`)

// planner answers what a preview asks of a provider and refuses everything else.
type planner struct {
	pulumirpc.UnimplementedResourceProviderServer

	name    string
	version string
}

func (p *planner) refuse(what string) error {
	return status.Errorf(codes.FailedPrecondition,
		"%s: the installed plugin resource-%s-v%s only plans (`pulumi preview`); install the provider's own plugin "+
			"under PULUMI_HOME/plugins in its place to deploy", what, p.name, p.version)
}

func (p *planner) Handshake(
	context.Context, *pulumirpc.ProviderHandshakeRequest,
) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true, AcceptOutputs: true}, nil
}

func (p *planner) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

func (p *planner) GetSchema(
	context.Context, *pulumirpc.GetSchemaRequest,
) (*pulumirpc.GetSchemaResponse, error) {
	return nil, status.Errorf(codes.Unimplemented, "resource-%s-v%s only plans and has no schema", p.name, p.version)
}

func (p *planner) Configure(
	context.Context, *pulumirpc.ConfigureRequest,
) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{
		AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: true,
	}, nil
}

func (p *planner) CheckConfig(
	_ context.Context, request *pulumirpc.CheckRequest,
) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: request.GetNews()}, nil
}

func (p *planner) DiffConfig(
	_ context.Context, request *pulumirpc.DiffRequest,
) (*pulumirpc.DiffResponse, error) {
	return diff(request)
}

// Check accepts inputs that can be read and whose type belongs to this provider.
func (p *planner) Check(_ context.Context, request *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	response := &pulumirpc.CheckResponse{Inputs: request.GetNews()}
	token := typeOf(request)
	parts := typeToken.FindStringSubmatch(token)
	switch {
	case parts == nil:
		return fail(response, "", fmt.Sprintf("%q is no resource type: want %s:module:Type", token, p.name)), nil
	case parts[1] != p.name:
		return fail(response, "", fmt.Sprintf("%s belongs to provider %s, not to %s", token, parts[1], p.name)), nil
	}
	inputs, err := read(request.GetNews())
	if err != nil {
		return fail(response, "", err.Error()), nil
	}
	for _, key := range inputs.StableKeys() {
		if key == "" {
			return fail(response, "", "an input has an empty name"), nil
		}
	}
	return response, nil
}

func typeOf(request *pulumirpc.CheckRequest) string {
	if request.GetType() != "" {
		return request.GetType()
	}
	return string(resource.URN(request.GetUrn()).Type())
}

func fail(response *pulumirpc.CheckResponse, property, reason string) *pulumirpc.CheckResponse {
	response.Failures = append(response.Failures, &pulumirpc.CheckFailure{Property: property, Reason: reason})
	return response
}

// Diff compares inputs; without a schema, nothing is known to force a replacement.
func (p *planner) Diff(_ context.Context, request *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return diff(request)
}

func diff(request *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	before := request.GetOldInputs()
	if before == nil {
		before = request.GetOlds()
	}
	olds, err := read(before)
	if err != nil {
		return nil, err
	}
	news, err := read(request.GetNews())
	if err != nil {
		return nil, err
	}
	changed := olds.Diff(news)
	if changed == nil {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}
	for _, key := range changed.ChangedKeys() {
		response.Diffs = append(response.Diffs, string(key))
	}
	sort.Strings(response.Diffs)
	return response, nil
}

// Create answers a preview with the inputs; what it does not name stays unknown.
func (p *planner) Create(
	_ context.Context, request *pulumirpc.CreateRequest,
) (*pulumirpc.CreateResponse, error) {
	if !request.GetPreview() {
		return nil, p.refuse("cannot create " + request.GetUrn())
	}
	return &pulumirpc.CreateResponse{Properties: request.GetProperties()}, nil
}

func (p *planner) Update(
	_ context.Context, request *pulumirpc.UpdateRequest,
) (*pulumirpc.UpdateResponse, error) {
	if !request.GetPreview() {
		return nil, p.refuse("cannot update " + request.GetUrn())
	}
	return &pulumirpc.UpdateResponse{Properties: request.GetNews()}, nil
}

func (p *planner) Delete(_ context.Context, request *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	return nil, p.refuse("cannot delete " + request.GetUrn())
}

func (p *planner) Read(_ context.Context, request *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	return nil, p.refuse("cannot read " + request.GetUrn())
}

func (p *planner) Invoke(
	_ context.Context, request *pulumirpc.InvokeRequest,
) (*pulumirpc.InvokeResponse, error) {
	return nil, p.refuse("cannot look up " + request.GetTok())
}

func (p *planner) Call(_ context.Context, request *pulumirpc.CallRequest) (*pulumirpc.CallResponse, error) {
	return nil, p.refuse("cannot call " + request.GetTok())
}

// Construct plans a component, such as a Helm chart, without what is in it.
func (p *planner) Construct(
	ctx context.Context, request *pulumirpc.ConstructRequest,
) (*pulumirpc.ConstructResponse, error) {
	if request.GetDryRun() {
		return planned.Component(ctx, request)
	}
	return nil, p.refuse("cannot construct " + request.GetType())
}

// Cancel has nothing to stop.
func (p *planner) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func read(properties *structpb.Struct) (resource.PropertyMap, error) {
	if properties == nil {
		return resource.PropertyMap{}, nil
	}
	return plugin.UnmarshalProperties(properties, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true,
	})
}
