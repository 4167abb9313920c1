package provider

import (
	"google.golang.org/protobuf/types/known/structpb"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// parseState reads recorded outputs. The engine's own record of the inputs, where it sends
// it, counts more: it has what ignoreChanges kept.
func parseState(olds, oldInputs *structpb.Struct) (object.State, error) {
	props, err := unmarshal("olds", olds)
	if err != nil {
		return object.State{}, err
	}
	state, err := object.DecodeState(props)
	if err != nil || oldInputs == nil {
		return state, err
	}
	inputProps, err := unmarshal("oldInputs", oldInputs)
	if err != nil {
		return state, err
	}
	if inputs, err := object.FromProperties(inputProps); err == nil && len(inputs) > 0 {
		state.Inputs = inputs
	}
	return state, nil
}
