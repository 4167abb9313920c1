package provider

import (
	"context"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"autoglm.dev/platform/toolchain/internal/planned"
)

const chartType = "kubernetes:helm.sh/v4:Chart"

// Construct registers a Helm chart in a plan, without the objects that it holds: they lie in a
// registry, and a plan asks nobody. An update with a chart, and the other components (yaml.v2,
// kustomize.v2), need the official plugin.
func (p *Provider) Construct(ctx context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	if req.GetType() != chartType || !req.GetDryRun() {
		return nil, unsupported("component " + req.GetType())
	}
	return planned.Component(ctx, req)
}
