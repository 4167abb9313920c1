package diff

import "autoglm.dev/platform/toolchain/internal/kubernetes/object"

// LiveInputs tells what inputs would have to be for the live object to be as it is.
//
// applied is the answer of the API server to a dry-run apply of the inputs. Where it equals
// the live object the inputs are returned word for word, so defaults, conversions and other
// people's fields can never look like drift; where applying would change something, the live
// value stands in.
func LiveInputs(inputs, applied, live map[string]any) map[string]any {
	return overlayMap(inputs, comparable(applied), comparable(live))
}

// comparable is the object without what changes on its own.
func comparable(tree map[string]any) map[string]any {
	out := object.Clone(tree)
	delete(out, "status")
	object.DropReadOnly(out)
	return out
}

func overlay(in, applied, live any) any {
	if object.Equal(applied, live) {
		return in
	}
	switch in := in.(type) {
	case map[string]any:
		a, aok := applied.(map[string]any)
		l, lok := live.(map[string]any)
		if aok && lok {
			return overlayMap(in, a, l)
		}
	case []any:
		a, aok := applied.([]any)
		l, lok := live.([]any)
		if aok && lok {
			return overlayList(in, a, l)
		}
	}
	return live
}

func overlayMap(in, applied, live map[string]any) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		a, inApplied := applied[k]
		l, inLive := live[k]
		switch {
		case !inApplied: // the server never stores it (stringData, empty values)
			out[k] = v
		case inLive:
			out[k] = overlay(v, a, l)
		}
	}
	for k, l := range live {
		_, isInput := in[k]
		if _, inApplied := applied[k]; !isInput && !inApplied {
			out[k] = l // applying would remove it
		}
	}
	return out
}

func overlayList(in, applied, live []any) []any {
	if key := object.IdentifyingKey(in, applied, live); key != "" {
		appliedBy, liveBy := object.IndexBy(applied, key), object.IndexBy(live, key)
		out := make([]any, 0, len(in))
		for _, e := range in {
			id := e.(map[string]any)[key]
			a, inApplied := appliedBy[id]
			l, inLive := liveBy[id]
			switch {
			case !inApplied:
				out = append(out, e)
			case inLive:
				out = append(out, overlay(e, a, l))
			}
		}
		for _, l := range live {
			if _, inApplied := appliedBy[l.(map[string]any)[key]]; !inApplied {
				out = append(out, l)
			}
		}
		return out
	}
	if len(in) == len(applied) && len(in) == len(live) {
		out := make([]any, len(in))
		for i := range in {
			out[i] = overlay(in[i], applied[i], live[i])
		}
		return out
	}
	return live
}
