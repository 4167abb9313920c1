package object

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations by which a program steers this plugin; the same as the official plugin's.
const (
	AnnotationAutonamed           = "pulumi.com/autonamed"
	AnnotationSkipAwait           = "pulumi.com/skipAwait"
	AnnotationWaitFor             = "pulumi.com/waitFor"
	AnnotationTimeoutSeconds      = "pulumi.com/timeoutSeconds"
	AnnotationReplaceUnready      = "pulumi.com/replaceUnready"
	AnnotationPatchForce          = "pulumi.com/patchForce"
	AnnotationPatchFieldManager   = "pulumi.com/patchFieldManager"
	AnnotationDeletionPropagation = "pulumi.com/deletionPropagationPolicy"
)

// readOnlyMetadata are the fields of ObjectMeta that only the API server sets.
var readOnlyMetadata = []string{
	"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
	"managedFields", "resourceVersion", "selfLink", "uid",
}

// Metadata returns the metadata of a tree, or nil where it is absent or unknown.
func Metadata(tree map[string]any) map[string]any {
	m, _ := tree["metadata"].(map[string]any)
	return m
}

// DropReadOnly removes metadata that only the API server sets.
func DropReadOnly(tree map[string]any) {
	if m := Metadata(tree); m != nil {
		for _, field := range readOnlyMetadata {
			delete(m, field)
		}
	}
}

// Name returns metadata.name, "" where absent or unknown.
func Name(tree map[string]any) string { return metadataString(tree, "name") }

// Namespace returns metadata.namespace, "" where absent or unknown.
func Namespace(tree map[string]any) string { return metadataString(tree, "namespace") }

func metadataString(tree map[string]any, field string) string {
	s, _ := Metadata(tree)[field].(string)
	return s
}

// HasName tells whether the program gives a name, be it known yet or not.
func HasName(tree map[string]any) bool {
	if _, unknown := tree["metadata"].(Unknown); unknown {
		return true
	}
	_, unknown := Metadata(tree)["name"].(Unknown)
	return unknown || Name(tree) != ""
}

// HasNamespace tells whether the program gives a namespace, be it known yet or not.
func HasNamespace(tree map[string]any) bool {
	if _, unknown := tree["metadata"].(Unknown); unknown {
		return true
	}
	_, unknown := Metadata(tree)["namespace"].(Unknown)
	return unknown || Namespace(tree) != ""
}

// Annotation returns one annotation, "" where absent or unknown.
func Annotation(tree map[string]any, key string) string {
	annotations, _ := Metadata(tree)["annotations"].(map[string]any)
	s, _ := annotations[key].(string)
	return s
}

// SetAnnotation sets an annotation, unless the annotations are unknown as a whole.
func SetAnnotation(tree map[string]any, key, value string) {
	m := Metadata(tree)
	if m == nil {
		return
	}
	if _, unknown := m["annotations"].(Unknown); unknown {
		return
	}
	annotations, ok := m["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		m["annotations"] = annotations
	}
	annotations[key] = value
}

// IsTrue tells whether an annotation is "true".
func IsTrue(tree map[string]any, key string) bool { return Annotation(tree, key) == "true" }

// Timeout of an operation on the object: customTimeouts (seconds, 0 when unset) before the
// pulumi.com/timeoutSeconds annotation before the fallback.
func Timeout(custom float64, tree map[string]any, fallback time.Duration) (time.Duration, error) {
	if custom > 0 {
		return time.Duration(custom * float64(time.Second)), nil
	}
	text := Annotation(tree, AnnotationTimeoutSeconds)
	if text == "" {
		return fallback, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds <= 0 {
		return 0, fmt.Errorf("metadata.annotations[%q]: %q is not a positive whole number of seconds",
			AnnotationTimeoutSeconds, text)
	}
	return time.Duration(seconds) * time.Second, nil
}

// Propagation of a deletion to dependents: foreground unless an annotation says otherwise.
func Propagation(tree map[string]any) metav1.DeletionPropagation {
	switch strings.ToLower(Annotation(tree, AnnotationDeletionPropagation)) {
	case "orphan":
		return metav1.DeletePropagationOrphan
	case "background":
		return metav1.DeletePropagationBackground
	default:
		return metav1.DeletePropagationForeground
	}
}

// ID is the Pulumi resource id of an object: `namespace/name`, or `name` without namespace.
func ID(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// ParseID is the inverse of ID.
func ParseID(id string) (namespace, name string) {
	if namespace, name, ok := strings.Cut(id, "/"); ok {
		return namespace, name
	}
	return "", id
}
