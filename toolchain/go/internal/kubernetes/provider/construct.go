package provider

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const chartType = "kubernetes:helm.sh/v4:Chart"

// Construct registers a Helm chart in a plan, without the objects that it holds: they lie in a
// registry, and a plan asks nobody. The engine does the same for a provider whose settings are
// not known yet. An update with a chart, and the other components (yaml.v2, kustomize.v2), need
// the official plugin.
func (p *Provider) Construct(ctx context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	if req.GetType() != chartType || !req.GetDryRun() {
		return nil, unsupported("component " + req.GetType())
	}
	conn, err := grpc.NewClient(req.GetMonitorEndpoint(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		return nil, fmt.Errorf("connect to the engine: %w", err)
	}
	defer func() { _ = conn.Close() }()
	registered, err := pulumirpc.NewResourceMonitorClient(conn).RegisterResource(ctx, &pulumirpc.RegisterResourceRequest{
		Type: req.GetType(), Name: req.GetName(), Parent: req.GetParent(),
		// Chart, version and values are all that a reviewer has to see.
		Object: req.GetInputs(), Dependencies: req.GetDependencies(),
		AcceptSecrets: true, AcceptResources: true,
	})
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", req.GetName(), err)
	}
	return &pulumirpc.ConstructResponse{Urn: registered.GetUrn()}, nil
}
