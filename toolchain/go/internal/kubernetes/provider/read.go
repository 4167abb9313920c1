package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/diff"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// lastApplied is kubectl's own record on objects that it made.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Read gives the present state of an object: for a refresh with the inputs that would lead
// to it, for an import or a get with all that it says about itself.
func (p *Provider) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	recorded, err := parseState(req.GetProperties(), req.GetInputs())
	if err != nil {
		return nil, err
	}
	props, err := unmarshal("inputs", req.GetInputs())
	if err != nil {
		return nil, err
	}
	urn := resource.URN(req.GetUrn())
	ref, kind, err := readRef(urn, req.GetId(), recorded)
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(planning(ctx), urn)
	defer done()
	client, err := p.readClient()
	var live map[string]any
	if err == nil {
		live, err = client.Get(ctx, ref)
	}
	var unreachable *cluster.UnreachableError
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return &pulumirpc.ReadResponse{}, nil
	case errors.As(err, &unreachable) && p.settings.DeleteUnreachable:
		p.note(ctx, diag.Warning, urn, err.Error()+" (deleteUnreachable: dropped from the state)")
		return &pulumirpc.ReadResponse{}, nil
	case errors.As(err, &unreachable) && p.settings.SkipUpdateUnreachable:
		p.note(ctx, diag.Warning, urn, err.Error()+" (skipUpdateUnreachable: kept as recorded)")
		return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: req.GetProperties(), Inputs: req.GetInputs()}, nil
	case err != nil:
		return nil, err
	}

	state := object.State{Live: live, InitialAPIVersion: recorded.InitialAPIVersion}
	if state.FieldManager, err = fieldManager(recorded.Inputs, recorded.FieldManager); err != nil {
		return nil, err
	}
	if len(recorded.Inputs) == 0 {
		state.Inputs = importedInputs(live)
		state.InitialAPIVersion = ref.GVK.GroupVersion().String()
	} else {
		state.Inputs = p.liveInputs(ctx, client, recorded, live)
	}
	properties, err := marshal("state", state.Encode(props))
	if err != nil {
		return nil, err
	}
	inputProps := object.ToProperties(state.Inputs)
	object.MarkSecrets(inputProps, props)
	inputs, err := marshal("inputs", inputProps)
	if err != nil {
		return nil, err
	}
	id := req.GetId()
	if reason := p.unhealthy(ctx, client, kind, recorded.Inputs, live); reason != "" {
		text := object.NewRedactor(props).Redact(ref.String() + ": " + reason)
		return nil, rpcerror.WithDetails(rpcerror.New(codes.Unknown, text), &pulumirpc.ErrorResourceInitFailed{
			Id: id, Properties: properties, Inputs: inputs, Reasons: []string{text},
		})
	}
	return &pulumirpc.ReadResponse{Id: id, Properties: properties, Inputs: inputs}, nil
}

// readRef names the object to read: by its record, else by type and id.
func readRef(urn resource.URN, id string, recorded object.State) (cluster.Ref, object.Type, error) {
	kindName, _ := recorded.Inputs["kind"].(string)
	kind, err := object.ParseType(urn, kindName)
	if err != nil {
		return cluster.Ref{}, kind, err
	}
	namespace, name := object.ParseID(id)
	if name == "" {
		return cluster.Ref{}, kind, fmt.Errorf("id %q: expected `name` or `namespace/name`", id)
	}
	ref := cluster.Ref{GVK: kind.GVK, Namespace: namespace, Name: name}
	if gvk := cluster.RefOf(recorded.Inputs).GVK; gvk.Kind != "" && gvk.Version != "" {
		ref.GVK = gvk
	}
	return ref, kind, nil
}

// liveInputs are the inputs that would make the object what it is now.
func (p *Provider) liveInputs(ctx context.Context, client *cluster.Client, recorded object.State, live map[string]any) map[string]any {
	if plan := p.planClient(ctx); plan != nil {
		manager, err := fieldManager(recorded.Inputs, recorded.FieldManager)
		if err == nil {
			applied, err := client.Apply(ctx, recorded.Inputs, cluster.ApplyOptions{FieldManager: manager, Force: true, DryRun: true})
			if err == nil {
				return diff.LiveInputs(recorded.Inputs, applied, live)
			}
		}
	}
	return object.Project(live, object.Normalize(recorded.Inputs))
}

// importedInputs are all fields of an object that a program could have given.
func importedInputs(live map[string]any) map[string]any {
	inputs := object.Clone(live)
	delete(inputs, "status")
	object.DropReadOnly(inputs)
	if m := object.Metadata(inputs); m != nil {
		if annotations, ok := m["annotations"].(map[string]any); ok {
			delete(annotations, lastApplied)
			delete(annotations, "deployment.kubernetes.io/revision")
			if len(annotations) == 0 {
				delete(m, "annotations")
			}
		}
	}
	return inputs
}

// unhealthy tells why an object has failed for good; "" while there is hope.
func (p *Provider) unhealthy(
	ctx context.Context, client *cluster.Client, kind object.Type, inputs, live map[string]any,
) string {
	if kind.Patch || object.IsTrue(inputs, object.AnnotationSkipAwait) {
		return ""
	}
	if result, err := await.Check(ctx, client.Typed, live); err == nil && result.State == await.Failed {
		return result.Message
	}
	return ""
}
