package object

import "github.com/pulumi/pulumi/sdk/v3/go/common/resource"

// Keys under which bookkeeping lies beside the live object in a resource's outputs. They
// are the official plugin's, so that a stack can move between both plugins.
const (
	keyInputs            = "__inputs"
	keyInitialAPIVersion = "__initialApiVersion"
	keyFieldManager      = "__fieldManager"
)

// State is what is recorded of a resource: the live object and how it came about.
type State struct {
	// Live is the object as the API server returned it last.
	Live map[string]any
	// Inputs are the checked inputs that made it.
	Inputs map[string]any
	// InitialAPIVersion is the apiVersion the object was created with.
	InitialAPIVersion string
	// FieldManager owns the object's fields in server-side apply.
	FieldManager string
}

// DecodeState reads recorded outputs.
func DecodeState(pm resource.PropertyMap) (State, error) {
	tree, err := FromProperties(pm)
	if err != nil {
		return State{}, err
	}
	s := State{Live: tree}
	s.Inputs, _ = tree[keyInputs].(map[string]any)
	s.InitialAPIVersion, _ = tree[keyInitialAPIVersion].(string)
	s.FieldManager, _ = tree[keyFieldManager].(string)
	for _, key := range []string{keyInputs, keyInitialAPIVersion, keyFieldManager} {
		delete(tree, key)
	}
	if s.Inputs == nil {
		s.Inputs = map[string]any{}
	}
	if s.InitialAPIVersion == "" {
		s.InitialAPIVersion, _ = s.Inputs["apiVersion"].(string)
	}
	return s, nil
}

// Encode makes the outputs to record. secretsFrom tells which inputs were secret.
func (s State) Encode(secretsFrom resource.PropertyMap) resource.PropertyMap {
	out, inputs := ToProperties(s.Live), ToProperties(s.Inputs)
	MarkSecrets(out, secretsFrom)
	MarkSecrets(inputs, secretsFrom)
	out[keyInputs] = resource.NewProperty(inputs)
	out[keyInitialAPIVersion] = resource.NewProperty(s.InitialAPIVersion)
	out[keyFieldManager] = resource.NewProperty(s.FieldManager)
	return out
}
