package provider

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Update applies changed inputs and waits until the object is ready again. An object that
// was deleted meanwhile is created again.
func (p *Provider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	d, err := parseDesired(req.GetUrn(), req.GetNews())
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(ctx, d.urn)
	defer done()
	recorded, err := parseState(req.GetOlds(), req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	manager, err := fieldManager(d.inputs, recorded.FieldManager)
	if err != nil {
		return nil, err
	}
	state := object.State{Inputs: d.inputs, FieldManager: manager, InitialAPIVersion: recorded.InitialAPIVersion}
	if req.GetPreview() {
		return p.previewUpdate(planning(ctx), d, state, req)
	}
	client, err := p.writeClient(ctx)
	if err != nil {
		return nil, err
	}
	if state.Live, err = p.update(ctx, client, d, manager, req.GetIgnoreChanges()); err != nil {
		return nil, d.hide(err)
	}
	id := idOf(state.Live)
	if state.Live, err = p.wait(ctx, client, d, state.Live, req.GetTimeout()); err != nil {
		return nil, p.initFailed(d, id, state, "the object was updated but is not ready", err)
	}
	if recorded.FieldManager != "" && recorded.FieldManager != manager {
		if err := client.Relinquish(ctx, cluster.RefOf(state.Live), recorded.FieldManager); err != nil {
			return nil, p.initFailed(d, id, state, "the former field manager could not be released", err)
		}
	}
	if isCRD(d.inputs) {
		client.Forget()
	}
	properties, err := marshal("state", state.Encode(d.props))
	return &pulumirpc.UpdateResponse{Properties: properties}, err
}

func (p *Provider) update(
	ctx context.Context, client *cluster.Client, d *desired, manager string, ignore []string,
) (map[string]any, error) {
	ref := d.ref()
	live, err := client.Get(ctx, ref)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	send := d.inputs
	if live != nil {
		if send, err = withoutIgnored(d.inputs, live, manager, ignore); err != nil {
			return nil, err
		}
		if !d.kind.Patch {
			if err := client.TakeOver(ctx, live, manager); err != nil {
				return nil, fmt.Errorf("%s: field ownership: %w", ref, err)
			}
		}
	}
	live, err = client.Apply(ctx, send, cluster.ApplyOptions{FieldManager: manager, Force: p.force(d.inputs), Settle: live == nil})
	if err != nil {
		return nil, cluster.Explain(ref, "was not updated", err)
	}
	return live, nil
}

// withoutIgnored leaves fields of ignoreChanges to whoever owns them in the cluster; fields
// that nobody else owns keep their live value, as leaving them out would unset them.
func withoutIgnored(inputs, live map[string]any, manager string, ignore []string) (map[string]any, error) {
	out := object.Clone(inputs)
	for _, text := range ignore {
		path, err := resource.ParsePropertyPath(text)
		if err != nil {
			return nil, fmt.Errorf("ignoreChanges: %q: %w", text, err)
		}
		fields := make([]string, 0, len(path))
		for _, element := range path {
			if key, ok := element.(string); ok {
				fields = append(fields, key)
			}
		}
		if len(fields) != len(path) {
			continue // within a list the engine's substitution of the recorded value has to do
		}
		if cluster.OwnedByOthers(live, manager, fields) {
			unstructured.RemoveNestedField(out, fields...)
		} else if v, ok, err := unstructured.NestedFieldCopy(live, fields...); ok && err == nil {
			if err := unstructured.SetNestedField(out, v, fields...); err != nil {
				return nil, fmt.Errorf("ignoreChanges: %q: %w", text, err)
			}
		}
	}
	return out, nil
}

// previewUpdate asks the API server what an update would give; the inputs stand for the
// result where it cannot tell.
func (p *Provider) previewUpdate(
	ctx context.Context, d *desired, state object.State, req *pulumirpc.UpdateRequest,
) (*pulumirpc.UpdateResponse, error) {
	asInputs := &pulumirpc.UpdateResponse{Properties: req.GetNews()}
	client := p.planClient(ctx)
	if client == nil || object.HasUnknowns(d.inputs) || !client.Serves(d.ref().GVK) {
		return asInputs, nil
	}
	live, err := client.Apply(ctx, d.inputs, cluster.ApplyOptions{FieldManager: state.FieldManager, Force: true, DryRun: true})
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return nil, d.hide(fmt.Errorf("%s would be refused: %w", d.ref(), err))
	case err != nil:
		return asInputs, nil
	}
	state.Live = live
	properties, err := marshal("preview", state.Encode(d.props))
	return &pulumirpc.UpdateResponse{Properties: properties}, err
}
