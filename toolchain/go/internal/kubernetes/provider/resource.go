package provider

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// desired is what a call says about one resource.
type desired struct {
	urn    resource.URN
	kind   object.Type
	props  resource.PropertyMap
	inputs map[string]any
	// redact hides the secrets of the inputs in messages.
	redact *object.Redactor
}

func parseDesired(urn string, properties *structpb.Struct) (*desired, error) {
	props, err := unmarshal("inputs", properties)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	inputs, err := object.FromProperties(props)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	kindName, _ := inputs["kind"].(string)
	kind, err := object.ParseType(resource.URN(urn), kindName)
	if err != nil {
		return nil, err
	}
	return &desired{resource.URN(urn), kind, props, inputs, object.NewRedactor(props)}, nil
}

// ref names the object of the resource.
func (d *desired) ref() cluster.Ref { return cluster.RefOf(d.inputs) }

// hide takes the secrets out of an error.
func (d *desired) hide(err error) error {
	if err == nil {
		return nil
	}
	if text := d.redact.Redact(err.Error()); text != err.Error() {
		return fmt.Errorf("%s", text)
	}
	return err
}

// force tells whether an apply takes fields over from others.
func (p *Provider) force(inputs map[string]any) bool {
	return p.settings.PatchForce || object.IsTrue(inputs, object.AnnotationPatchForce)
}

// fieldManager is the name under which fields are owned: the program's, else the recorded
// one, else a new one of its own, so that a Patch resource never shares fields by accident.
func fieldManager(inputs map[string]any, recorded string) (string, error) {
	if name := object.Annotation(inputs, object.AnnotationPatchFieldManager); name != "" {
		return name, nil
	}
	if recorded != "" {
		return recorded, nil
	}
	return resource.NewUniqueName(nil, "pulumi-kubernetes-", 0, 0, nil)
}

// initFailed reports a resource that exists but is not ready, so that it is recorded.
func (p *Provider) initFailed(d *desired, id string, state object.State, summary string, cause error) error {
	properties, err := marshal("state", state.Encode(d.props))
	if err != nil {
		return err
	}
	text := d.redact.Redact(fmt.Sprintf("%s: %v", summary, cause))
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, text), &pulumirpc.ErrorResourceInitFailed{
		Id: id, Properties: properties, Reasons: []string{text},
	})
}

// timeout of waiting for an object.
func timeout(custom float64, inputs map[string]any) (time.Duration, error) {
	return object.Timeout(custom, inputs, await.DefaultTimeout)
}

// idOf names a live object.
func idOf(live map[string]any) string { return object.ID(object.Namespace(live), object.Name(live)) }

func isCRD(inputs map[string]any) bool {
	return (&unstructured.Unstructured{Object: inputs}).GroupVersionKind().Group == "apiextensions.k8s.io"
}
