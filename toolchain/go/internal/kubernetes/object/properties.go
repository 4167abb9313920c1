// Package object converts between Pulumi property maps and Kubernetes objects.
//
// Objects with unknown values occur in previews. They are kept as plain JSON-like trees
// in which Unknown stands for such a value; only trees without unknowns may be handed to
// functions that deep-copy or serialise.
package object

import (
	"fmt"
	"math"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Unknown stands for a value that is not known before the update runs.
type Unknown struct{}

// maxExactInt is the largest integer up to which float64 holds every integer exactly.
const maxExactInt = 1 << 53

// SDKs cannot have dashes in property names, so the OpenAPI extension fields of CRD
// schemas travel with underscores.
const (
	dashedPrefix     = "x-kubernetes-"
	underscorePrefix = "x_kubernetes_"
)

func toFieldName(key string) string {
	if rest, ok := strings.CutPrefix(key, underscorePrefix); ok {
		return dashedPrefix + strings.ReplaceAll(rest, "_", "-")
	}
	return key
}

func toPropertyKey(field string) resource.PropertyKey {
	if rest, ok := strings.CutPrefix(field, dashedPrefix); ok {
		return resource.PropertyKey(underscorePrefix + strings.ReplaceAll(rest, "-", "_"))
	}
	return resource.PropertyKey(field)
}

// FromProperties turns a property map into an object tree: secrets are unwrapped, nulls
// dropped, whole numbers become int64 as the Kubernetes decoders make them.
func FromProperties(pm resource.PropertyMap) (map[string]any, error) {
	out := make(map[string]any, len(pm))
	for k, v := range pm {
		value, keep, err := fromValue(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if keep {
			out[toFieldName(string(k))] = value
		}
	}
	return out, nil
}

func fromValue(v resource.PropertyValue) (value any, keep bool, err error) {
	switch {
	case v.IsNull():
		return nil, false, nil
	case v.IsSecret():
		return fromValue(v.SecretValue().Element)
	case v.IsComputed():
		return Unknown{}, true, nil
	case v.IsOutput():
		if o := v.OutputValue(); o.Known {
			return fromValue(o.Element)
		}
		return Unknown{}, true, nil
	case v.IsBool():
		return v.BoolValue(), true, nil
	case v.IsString():
		return v.StringValue(), true, nil
	case v.IsNumber():
		n := v.NumberValue()
		if n == math.Trunc(n) && math.Abs(n) <= maxExactInt {
			return int64(n), true, nil
		}
		return n, true, nil
	case v.IsArray():
		list := make([]any, 0, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			item, ok, err := fromValue(e)
			if err != nil {
				return nil, false, fmt.Errorf("[%d]: %w", i, err)
			}
			if ok {
				list = append(list, item)
			}
		}
		return list, true, nil
	case v.IsObject():
		m, err := FromProperties(v.ObjectValue())
		return m, true, err
	case v.IsResourceReference():
		return string(v.ResourceReferenceValue().URN), true, nil
	default:
		return nil, false, fmt.Errorf("a value of type %s has no Kubernetes form", v.TypeString())
	}
}

// ToProperties turns an object tree into a property map.
func ToProperties(tree map[string]any) resource.PropertyMap {
	pm := make(resource.PropertyMap, len(tree))
	for k, v := range tree {
		pm[toPropertyKey(k)] = toValue(v)
	}
	return pm
}

func toValue(v any) resource.PropertyValue {
	switch v := v.(type) {
	case Unknown:
		return resource.MakeComputed(resource.NewProperty(""))
	case map[string]any:
		return resource.NewProperty(ToProperties(v))
	case []any:
		list := make([]resource.PropertyValue, len(v))
		for i, e := range v {
			list[i] = toValue(e)
		}
		return resource.NewProperty(list)
	default:
		return resource.NewPropertyValue(v)
	}
}

// HasUnknowns tells whether any value in the tree is unknown.
func HasUnknowns(v any) bool {
	switch v := v.(type) {
	case Unknown:
		return true
	case map[string]any:
		for _, e := range v {
			if HasUnknowns(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if HasUnknowns(e) {
				return true
			}
		}
	}
	return false
}

// Clone copies a tree deeply; unlike runtime.DeepCopyJSONValue it accepts unknowns.
func Clone[T any](v T) T {
	return clone(any(v)).(T)
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = clone(e)
		}
		return m
	case []any:
		if v == nil {
			return v
		}
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = clone(e)
		}
		return list
	default:
		return v
	}
}

// Equal compares two trees; numbers are equal when their values are, whatever their types.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		bm, ok := b.(map[string]any)
		if !ok || len(a) != len(bm) {
			return false
		}
		for k, v := range a {
			w, ok := bm[k]
			if !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		bl, ok := b.([]any)
		if !ok || len(a) != len(bl) {
			return false
		}
		for i := range a {
			if !Equal(a[i], bl[i]) {
				return false
			}
		}
		return true
	case Unknown:
		return false
	default:
		if x, ok := number(a); ok {
			y, ok := number(b)
			return ok && x == y
		}
		switch b.(type) {
		case map[string]any, []any:
			return false
		}
		return a == b
	}
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case int32:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}
