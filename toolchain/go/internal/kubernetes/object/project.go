package object

// identifying are the keys by which Kubernetes lists tell their elements apart, the most
// common ones first (containers, env, volumes, volumeMounts).
var identifying = []string{"name", "mountPath", "containerPort"}

// Project reduces a live object to the fields that inputs has: what the inputs would be if
// the live values had been given. Elements that others added to lists with identifiable
// elements are left out, as they are not ours.
func Project(live, inputs map[string]any) map[string]any {
	out := make(map[string]any, len(inputs))
	for k, in := range inputs {
		if lv, ok := live[k]; ok {
			out[k] = projectValue(lv, in)
		}
	}
	return out
}

func projectValue(live, in any) any {
	switch in := in.(type) {
	case map[string]any:
		if m, ok := live.(map[string]any); ok {
			return Project(m, in)
		}
	case []any:
		if list, ok := live.([]any); ok {
			return projectList(list, in)
		}
	}
	return live
}

func projectList(live, in []any) []any {
	if key := IdentifyingKey(live, in); key != "" {
		byKey := IndexBy(live, key)
		out := make([]any, 0, len(in))
		for _, e := range in {
			if lv, ok := byKey[e.(map[string]any)[key]]; ok {
				out = append(out, projectValue(lv, e))
			}
		}
		return out
	}
	out := make([]any, len(live))
	for i, lv := range live {
		if i < len(in) {
			out[i] = projectValue(lv, in[i])
		} else {
			out[i] = lv
		}
	}
	return out
}

// IdentifyingKey returns the key that tells the elements of all given lists apart, or ""
// where there is none.
func IdentifyingKey(lists ...[]any) string {
	for _, key := range identifying {
		if identifies(key, lists) {
			return key
		}
	}
	return ""
}

func identifies(key string, lists [][]any) bool {
	for _, list := range lists {
		seen := make(map[any]bool, len(list))
		for _, e := range list {
			m, ok := e.(map[string]any)
			if !ok {
				return false
			}
			switch id := m[key].(type) {
			case string, int64:
				if seen[id] {
					return false
				}
				seen[id] = true
			default:
				return false
			}
		}
	}
	return true
}

// IndexBy maps the elements of a list by the value of key, which must identify them.
func IndexBy(list []any, key string) map[any]any {
	out := make(map[any]any, len(list))
	for _, e := range list {
		out[e.(map[string]any)[key]] = e
	}
	return out
}
