// Package planned registers what a plan can only name.
package planned

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Component registers a component that a provider would construct, without the resources inside. The
// engine does the same for a provider whose settings are not known yet.
func Component(ctx context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	conn, err := grpc.NewClient(req.GetMonitorEndpoint(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		return nil, fmt.Errorf("connect to the engine: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// Without them, the engine takes every argument to depend on all that the component waits for.
	arguments := make(map[string]*pulumirpc.RegisterResourceRequest_PropertyDependencies, len(req.GetInputs().GetFields()))
	for name := range req.GetInputs().GetFields() {
		arguments[name] = &pulumirpc.RegisterResourceRequest_PropertyDependencies{
			Urns: req.GetInputDependencies()[name].GetUrns(),
		}
	}
	registered, err := pulumirpc.NewResourceMonitorClient(conn).RegisterResource(ctx, &pulumirpc.RegisterResourceRequest{
		Type: req.GetType(), Name: req.GetName(), Parent: req.GetParent(),
		// Its arguments are all that a reviewer has to see.
		Object: req.GetInputs(), Dependencies: req.GetDependencies(), PropertyDependencies: arguments,
		AcceptSecrets: true, AcceptResources: true,
	})
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", req.GetName(), err)
	}
	return &pulumirpc.ConstructResponse{Urn: registered.GetUrn()}, nil
}
