package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

const (
	// planPatience is how long a plan waits for a server: it can do without one.
	planPatience = 5 * time.Second
	// planRetry is when a plan asks again a server that did not answer.
	planRetry = 30 * time.Second
)

type planKey struct{}

// planning marks a context whose requests change nothing, so their warnings are not shown twice.
func planning(ctx context.Context) context.Context { return context.WithValue(ctx, planKey{}, true) }

// planClient returns the client when the embedded server answers, else nil: then plans are
// made from inputs and recorded state alone. Why is said once.
func (p *Provider) planClient(ctx context.Context) *cluster.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.planned {
		return p.client
	}
	if p.planErr == nil || time.Since(p.planErrAt) > planRetry {
		p.planErr, p.planErrAt = p.probe(ctx), time.Now()
	}
	if p.planErr == nil {
		p.planned = true
		return p.client
	}
	if !p.planWarned && p.loadErr == nil {
		p.planWarned = true
		p.note(ctx, diag.Warning, "", fmt.Sprintf("planning without the cluster, so drift and refusals of the API server are not seen: %v", p.planErr))
	}
	return nil
}

func (p *Provider) probe(ctx context.Context) error {
	if p.loadErr != nil {
		return p.loadErr
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	if err := p.client.Ping(ctx); err != nil {
		return fmt.Errorf("Kubernetes API server %s does not answer: %w", p.client.Server(), err)
	}
	return p.client.RequireEmbedded(ctx)
}

// readClient returns the client for reading what exists.
func (p *Provider) readClient() (*cluster.Client, error) {
	if p.loadErr != nil {
		return nil, fmt.Errorf("cannot connect to a Kubernetes cluster: %w; set the provider's kubeconfig or $KUBECONFIG", p.loadErr)
	}
	return p.client, nil
}

// writeClient returns the client for changing things, after making sure that the server is
// the embedded one.
func (p *Provider) writeClient(ctx context.Context) (*cluster.Client, error) {
	client, err := p.readClient()
	if err != nil {
		return nil, err
	}
	return client, client.RequireEmbedded(ctx)
}
