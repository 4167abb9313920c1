// Package naming gives objects names that the program left open.
package naming

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Assign names the object after its URN with a random suffix of 8 hex digits and marks it
// as autonamed, unless the program gave a name. An autonamed object can be replaced by a
// new one before the old one goes.
//
// seed makes the suffix reproducible within one update; options are the engine's
// autonaming settings and may be nil.
func Assign(
	inputs map[string]any, urn resource.URN, seed []byte, options *pulumirpc.CheckRequest_AutonamingOptions,
) error {
	metadata := object.Metadata(inputs)
	if object.HasName(inputs) || metadata == nil {
		return nil
	}
	name, err := resource.NewUniqueName(seed, urn.Name()+"-", 0, 0, nil)
	if err != nil {
		return err
	}
	if options != nil {
		switch options.Mode {
		case pulumirpc.CheckRequest_AutonamingOptions_DISABLE:
			return errors.New("metadata.name: automatic naming is disabled for this stack; give a name")
		case pulumirpc.CheckRequest_AutonamingOptions_ENFORCE, pulumirpc.CheckRequest_AutonamingOptions_PROPOSE:
			name = options.ProposedName
		}
	}
	metadata["name"] = name
	object.SetAnnotation(inputs, object.AnnotationAutonamed, "true")
	return nil
}

// Adopt keeps the name that an earlier update assigned.
func Adopt(inputs, oldInputs map[string]any) {
	metadata := object.Metadata(inputs)
	if metadata == nil || object.HasName(inputs) || !object.IsTrue(oldInputs, object.AnnotationAutonamed) {
		return
	}
	metadata["name"] = object.Name(oldInputs)
	object.SetAnnotation(inputs, object.AnnotationAutonamed, "true")
}
