package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// skipsAwaitOnDelete are the kinds whose skipAwait annotation holds for deletions too, as in
// the official plugin; a claim whose creation is not awaited must still be gone before a
// namesake can be made.
var skipsAwaitOnDelete = map[schema.GroupKind]bool{
	{Kind: "Namespace"}:                  true,
	{Kind: "Pod"}:                        true,
	{Kind: "ReplicationController"}:      true,
	{Group: "apps", Kind: "DaemonSet"}:   true,
	{Group: "apps", Kind: "Deployment"}:  true,
	{Group: "apps", Kind: "StatefulSet"}: true,
	{Group: "batch", Kind: "Job"}:        true,
}

// Delete removes an object with its dependents and waits until it is gone. Of a Patch
// resource only the fields are given up.
func (p *Provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	recorded, err := parseState(req.GetProperties(), req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	urn := resource.URN(req.GetUrn())
	ref, kind, err := readRef(urn, req.GetId(), recorded)
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(ctx, urn)
	defer done()
	err = p.remove(ctx, urn, ref, kind, recorded, req.GetTimeout())
	var unreachable *cluster.UnreachableError
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
	case errors.As(err, &unreachable) && p.settings.DeleteUnreachable:
		p.note(ctx, diag.Warning, urn, err.Error()+" (deleteUnreachable: dropped from the state)")
	case errors.As(err, &unreachable):
		return nil, fmt.Errorf("%w; if the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true drops its resources from the state", err)
	case err != nil:
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func (p *Provider) remove(
	ctx context.Context, urn resource.URN, ref cluster.Ref, kind object.Type, recorded object.State, custom float64,
) error {
	client, err := p.writeClient(ctx)
	if err != nil {
		return err
	}
	if kind.Patch {
		err := client.Relinquish(ctx, ref, recorded.FieldManager)
		if _, required := apierrors.StatusCause(err, metav1.CauseTypeFieldValueRequired); required {
			return fmt.Errorf("%s: the patch owns a required field; let somebody else own it first, or set retainOnDelete: %w", ref, err)
		}
		return err
	}
	limit, err := timeout(custom, recorded.Inputs)
	if err != nil {
		return err
	}
	if err := client.Delete(ctx, ref, object.Propagation(recorded.Inputs)); err != nil {
		return err
	}
	if isCRD(recorded.Inputs) {
		defer client.Forget()
	}
	if object.IsTrue(recorded.Inputs, object.AnnotationSkipAwait) && skipsAwaitOnDelete[ref.GVK.GroupKind()] {
		return nil
	}
	_, err = await.Waiter{
		Client: client, Inputs: recorded.Inputs, Timeout: limit,
		Report: func(message string) { p.progress(ctx, urn, message) },
	}.Gone(ctx, ref)
	return err
}
