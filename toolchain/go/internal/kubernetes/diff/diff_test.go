package diff_test

import (
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"autoglm.dev/platform/toolchain/internal/kubernetes/diff"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

type tree = map[string]any

func paths(changes []diff.Change) []string {
	out := make([]string, 0, len(changes))
	for _, c := range changes {
		out = append(out, c.Path.String())
	}
	slices.Sort(out)
	return out
}

func expect(t *testing.T, changes []diff.Change, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := paths(changes); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStructuralNamesTheSmallestParts(t *testing.T) {
	old := tree{"a": int64(1), "b": []any{"x", "y"}, "c": tree{"d.e": "1", "f": "1"}, "same": 1.0}
	now := tree{"a": int64(2), "b": []any{"x"}, "c": tree{"d.e": "2", "g": "1"}, "same": int64(1), "u": object.Unknown{}}
	expect(t, diff.Structural(old, now), "a", "b[1]", `c["d.e"]`, "c.f", "c.g", "u")
}

func TestIgnoredPathsAndWhatIsBelowThemAreDropped(t *testing.T) {
	changes := diff.Structural(tree{"spec": tree{"replicas": 1, "x": 1}}, tree{"spec": tree{"replicas": 2, "x": 2}})
	rest, err := diff.Ignore(changes, []string{"spec.replicas"})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, rest, "spec.x")
}

func container(name, image string) tree { return tree{"name": name, "image": image} }

func TestLiveInputs(t *testing.T) {
	for name, c := range map[string]struct {
		inputs, applied, live tree
		want                  []string
	}{
		"defaults of the server are no drift": {
			tree{"spec": tree{"a": "1000m"}}, tree{"spec": tree{"a": "1", "default": true}}, tree{"spec": tree{"a": "1", "default": true}}, nil,
		},
		"an edited field is": {
			tree{"spec": tree{"a": 1}}, tree{"spec": tree{"a": 1}}, tree{"spec": tree{"a": 2}}, []string{"spec.a"},
		},
		"a removed field is": {
			tree{"spec": tree{"a": 1}}, tree{"spec": tree{"a": 1}}, tree{"spec": tree{}}, []string{"spec.a"},
		},
		"a field that applying would remove is": {
			tree{"data": tree{"a": "1"}}, tree{"data": tree{"a": "1"}}, tree{"data": tree{"a": "1", "b": "2"}}, []string{"data.b"},
		},
		"a field of somebody else is not": {
			tree{"data": tree{"a": "1"}}, tree{"data": tree{"a": "1", "theirs": "2"}}, tree{"data": tree{"a": "1", "theirs": "2"}}, nil,
		},
		"containers are told apart by name, a foreign one is not ours": {
			tree{"c": []any{container("main", "1")}},
			tree{"c": []any{container("sidecar", "9"), container("main", "1")}},
			tree{"c": []any{container("sidecar", "9"), container("main", "edited")}},
			[]string{"c[0].image"},
		},
		"an additional element of an atomic list is drift": {
			tree{"l": []any{"Ingress"}}, tree{"l": []any{"Ingress"}}, tree{"l": []any{"Ingress", "Egress"}}, []string{"l[1]"},
		},
		"status and what the server counts are no drift": {
			tree{"metadata": tree{"name": "x"}},
			tree{"metadata": tree{"name": "x", "generation": 1, "resourceVersion": "1"}},
			tree{"metadata": tree{"name": "x", "generation": 2, "resourceVersion": "2"}, "status": tree{"ready": true}}, nil,
		},
		"what the server never stores stays as it is given": {
			tree{"stringData": tree{"p": "x"}, "empty": []any{}}, tree{"data": tree{"p": "eA=="}}, tree{"data": tree{"p": "other"}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, diff.Structural(diff.LiveInputs(c.inputs, c.applied, c.live), c.inputs), c.want...)
		})
	}
}

func gvk(group, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
}

func TestReplacementRules(t *testing.T) {
	change := func(path ...any) []diff.Change { return []diff.Change{{Path: path}} }
	for name, c := range map[string]struct {
		rules   diff.Rules
		live    tree
		changes []diff.Change
		replace bool
	}{
		"another name is another object":         {diff.Rules{GVK: gvk("", "Service")}, nil, change("metadata", "name"), true},
		"labels are not":                         {diff.Rules{GVK: gvk("", "Service")}, nil, change("metadata", "labels", "a"), false},
		"selector of a Deployment":               {diff.Rules{GVK: gvk("apps", "Deployment")}, nil, change("spec", "selector", "matchLabels", "a"), true},
		"template of a Deployment":               {diff.Rules{GVK: gvk("apps", "Deployment")}, nil, change("spec", "template"), false},
		"template of a Job":                      {diff.Rules{GVK: gvk("batch", "Job")}, nil, change("spec", "template", "spec", "containers", 0, "image"), true},
		"parallelism of a Job":                   {diff.Rules{GVK: gvk("batch", "Job")}, nil, change("spec", "parallelism"), false},
		"size of a claim":                        {diff.Rules{GVK: gvk("", "PersistentVolumeClaim")}, nil, change("spec", "resources", "requests", "storage"), false},
		"class of a claim":                       {diff.Rules{GVK: gvk("", "PersistentVolumeClaim")}, nil, change("spec", "storageClassName"), true},
		"claim templates of a StatefulSet":       {diff.Rules{GVK: gvk("apps", "StatefulSet")}, nil, change("spec", "volumeClaimTemplates", 0, "spec"), true},
		"role of a binding":                      {diff.Rules{GVK: gvk("rbac.authorization.k8s.io", "RoleBinding")}, nil, change("roleRef", "name"), true},
		"subjects of a binding":                  {diff.Rules{GVK: gvk("rbac.authorization.k8s.io", "RoleBinding")}, nil, change("subjects", 0, "name"), false},
		"parameters of a StorageClass":           {diff.Rules{GVK: gvk("storage.k8s.io", "StorageClass")}, nil, change("parameters", "x"), true},
		"source of a volume":                     {diff.Rules{GVK: gvk("", "PersistentVolume")}, nil, change("spec", "hostPath", "path"), true},
		"cluster IP":                             {diff.Rules{GVK: gvk("", "Service")}, nil, change("spec", "clusterIP"), true},
		"image of a Pod's container":             {diff.Rules{GVK: gvk("", "Pod")}, nil, change("spec", "containers", 0, "image"), true},
		"payload of a ConfigMap":                 {diff.Rules{GVK: gvk("", "ConfigMap")}, nil, change("data", "a"), true},
		"payload of a mutable ConfigMap":         {diff.Rules{GVK: gvk("", "ConfigMap"), MutableConfigMaps: true}, nil, change("data", "a"), false},
		"payload of a frozen mutable ConfigMap":  {diff.Rules{GVK: gvk("", "ConfigMap"), MutableConfigMaps: true}, tree{"immutable": true}, change("data", "a"), true},
		"payload of a mutable Secret":            {diff.Rules{GVK: gvk("", "Secret"), MutableSecrets: true}, nil, change("data", "a"), false},
		"type of a Secret":                       {diff.Rules{GVK: gvk("", "Secret"), MutableSecrets: true}, nil, change("type"), true},
		"patch of anything":                      {diff.Rules{GVK: gvk("batch", "Job"), Patch: true}, nil, change("spec", "template"), false},
		"patch of another object":                {diff.Rules{GVK: gvk("batch", "Job"), Patch: true}, nil, change("metadata", "name"), true},
		"a whole spec that contains an own rule": {diff.Rules{GVK: gvk("apps", "Deployment")}, nil, change("spec"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(c.rules.Replaces(c.changes, c.live)) > 0; got != c.replace {
				t.Errorf("replaces: %v", got)
			}
		})
	}
}

func invalid(causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Reason: metav1.StatusReasonInvalid, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

func TestServersRefusalTellsWhatToReplace(t *testing.T) {
	changes := []diff.Change{{Path: []any{"spec", "selector", "a"}}, {Path: []any{"spec", "ports", 0, "port"}}, {Path: []any{"metadata", "labels", "x"}}}
	expect(t, diff.Refused(changes, invalid(metav1.StatusCause{Field: "spec.selector", Message: "Invalid value: field is immutable"})), "spec.selector.a")
	expect(t, diff.Refused(changes, invalid(metav1.StatusCause{Field: "spec.ports[0].port", Message: "may not change once set"})), "spec.ports[0].port")
	expect(t, diff.Refused(changes, invalid(metav1.StatusCause{Field: "spec.persistentvolumesource", Message: "spec.persistentvolumesource is immutable after creation"})),
		"spec.selector.a", "spec.ports[0].port")
	expect(t, diff.Refused(changes, invalid(
		metav1.StatusCause{Field: "spec.selector", Message: "field is immutable"}, metav1.StatusCause{Field: "spec.ports[0].port", Message: "must be between 1 and 65535"})))
	expect(t, diff.Refused(changes, errors.New("spec.selector is immutable")))
}

func TestFixedNameIsFreedFirst(t *testing.T) {
	live := tree{"metadata": tree{"name": "x", "namespace": "n"}}
	for _, c := range []struct {
		metadata tree
		first    bool
	}{
		{tree{"name": "x", "namespace": "n"}, true},
		{tree{"name": "y", "namespace": "n"}, false},
		{tree{"name": "x", "namespace": "m"}, false},
		{tree{"name": "x", "namespace": "n", "annotations": tree{object.AnnotationAutonamed: "true"}}, false},
		{tree{"namespace": "n"}, false},
	} {
		if got := diff.DeleteFirst(tree{"metadata": c.metadata}, live); got != c.first {
			t.Errorf("%v: %v", c.metadata, got)
		}
	}
}
