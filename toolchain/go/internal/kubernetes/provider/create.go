package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Create applies an object and waits until it is ready.
func (p *Provider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	d, err := parseDesired(req.GetUrn(), req.GetProperties())
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(ctx, d.urn)
	defer done()
	manager, err := fieldManager(d.inputs, "")
	if err != nil {
		return nil, err
	}
	state := object.State{Inputs: d.inputs, FieldManager: manager}
	state.InitialAPIVersion, _ = d.inputs["apiVersion"].(string)
	if req.GetPreview() {
		return p.previewCreate(planning(ctx), d, state, req)
	}
	client, err := p.writeClient(ctx)
	if err != nil {
		return nil, err
	}
	live, err := p.create(ctx, client, d, manager)
	if err != nil {
		return nil, d.hide(err)
	}
	state.Live = live
	state.Live, err = p.wait(ctx, client, d, live, req.GetTimeout())
	if err != nil {
		return nil, p.initFailed(d, idOf(live), state, "the object was created but is not ready", err)
	}
	if isCRD(d.inputs) {
		client.Forget()
	}
	properties, err := marshal("state", state.Encode(d.props))
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CreateResponse{Id: idOf(live), Properties: properties}, nil
}

func (p *Provider) create(ctx context.Context, client *cluster.Client, d *desired, manager string) (map[string]any, error) {
	ref := d.ref()
	if !d.kind.Patch && !p.settings.Upsert {
		_, err := client.Get(ctx, ref)
		switch {
		case err == nil:
			return nil, fmt.Errorf("%s already exists: adopt it with `pulumi import`, manage only some of its fields with %sPatch, "+
				"or set upsertExistingObjects on the provider to take it over", ref, ref.GVK.Kind)
		case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		default:
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
	}
	live, err := client.Apply(ctx, d.inputs, cluster.ApplyOptions{
		FieldManager: manager, Force: p.force(d.inputs), Settle: true,
	})
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("%s: the API server does not know %s; create its CustomResourceDefinition first: %w", ref, ref.GVK, err)
	}
	if err != nil {
		return nil, cluster.Explain(ref, "was not created", err)
	}
	return live, nil
}

// wait until a live object is ready, with progress.
func (p *Provider) wait(
	ctx context.Context, client *cluster.Client, d *desired, live map[string]any, custom float64,
) (map[string]any, error) {
	limit, err := timeout(custom, d.inputs)
	if err != nil {
		return live, err
	}
	return await.Waiter{
		Client: client, Inputs: d.inputs, Timeout: limit,
		Report: func(message string) { p.progress(ctx, d.urn, d.redact.Redact(message)) },
	}.Ready(ctx, live)
}

// previewCreate asks the API server what a creation would give. Where it cannot tell, because
// the namespace or kind do not exist yet or the object is about to be replaced, the inputs
// stand for the result.
func (p *Provider) previewCreate(
	ctx context.Context, d *desired, state object.State, req *pulumirpc.CreateRequest,
) (*pulumirpc.CreateResponse, error) {
	asInputs := &pulumirpc.CreateResponse{Properties: req.GetProperties()}
	client := p.planClient(ctx)
	if client == nil || d.kind.Patch || object.HasUnknowns(d.inputs) || !client.Serves(d.ref().GVK) {
		return asInputs, nil
	}
	if _, err := client.Get(ctx, d.ref()); !apierrors.IsNotFound(err) {
		return asInputs, nil
	}
	live, err := client.Apply(ctx, d.inputs, cluster.ApplyOptions{FieldManager: state.FieldManager, Force: true, DryRun: true})
	var unreachable *cluster.UnreachableError
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), errors.As(err, &unreachable):
		if apierrors.IsForbidden(err) {
			p.note(ctx, diag.Debug, d.urn, "dry run refused: "+d.redact.Redact(err.Error()))
		}
		return asInputs, nil
	case err != nil:
		return nil, d.hide(fmt.Errorf("%s would be refused: %w", d.ref(), err))
	}
	// A dry run knows nothing of the status, and programs must not read it as known.
	delete(live, "status")
	hideAllocated(d, live)
	state.Live = live
	properties, err := marshal("preview", state.Encode(d.props))
	return &pulumirpc.CreateResponse{Properties: properties}, err
}

// hideAllocated makes what the server assigns at creation unknown: a dry run answers with
// placeholders, such as the first address of the range for every Service.
func hideAllocated(d *desired, live map[string]any) {
	if d.kind.GVK.GroupKind() != (schema.GroupKind{Kind: "Service"}) {
		return
	}
	given, _ := d.inputs["spec"].(map[string]any)
	spec, _ := live["spec"].(map[string]any)
	for _, field := range []string{"clusterIP", "clusterIPs"} {
		if _, isGiven := given[field]; !isGiven && given["clusterIP"] == nil && spec[field] != nil {
			spec[field] = object.Unknown{}
		}
	}
}
