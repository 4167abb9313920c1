package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// takeover lists the managers whose fields an update takes over, as the official plugin does:
// people's kubectl edits are undone by the next update instead of ending in a conflict.
var takeover = []ssa.FieldManager{
	{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
	{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "pulumi-kubernetes", OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "pulumi-resource-kubernetes", OperationType: metav1.ManagedFieldsOperationUpdate},
}

// TakeOver makes manager the owner of the fields that people's tools own.
func (c *Client) TakeOver(ctx context.Context, live map[string]any, manager string) error {
	patches, err := ssa.PatchReplaceFieldsManagers(&unstructured.Unstructured{Object: live}, takeover, manager)
	if err != nil || len(patches) == 0 {
		return err
	}
	body, err := json.Marshal(patches)
	if err != nil {
		return err
	}
	_, err = c.patch(ctx, RefOf(live), types.JSONPatchType, body, metav1.PatchOptions{FieldManager: manager}, nil)
	return err
}

// Relinquish gives up the ownership of all fields: those that nobody else owns return to
// their defaults. It is how a Patch resource is undone.
func (c *Client) Relinquish(ctx context.Context, ref Ref, manager string) error {
	u := unstructured.Unstructured{}
	u.SetGroupVersionKind(ref.GVK)
	u.SetName(ref.Name)
	if ref.Namespace != "" {
		u.SetNamespace(ref.Namespace)
	}
	// Applying to an object that is gone would create an empty one.
	if _, err := c.Get(ctx, ref); err != nil {
		return err
	}
	_, err := c.Apply(ctx, u.Object, ApplyOptions{FieldManager: manager})
	return err
}

// OwnedByOthers tells whether somebody else than manager owns a field, and manager does not.
func OwnedByOthers(live map[string]any, manager string, path []string) bool {
	elements := make([]any, len(path))
	for i, p := range path {
		elements[i] = p
	}
	field, err := fieldpath.MakePath(elements...)
	if err != nil {
		return false
	}
	others := false
	for _, entry := range (&unstructured.Unstructured{Object: live}).GetManagedFields() {
		if entry.FieldsV1 == nil || entry.Subresource == "status" {
			continue
		}
		set := fieldpath.Set{}
		if err := set.FromJSON(strings.NewReader(entry.FieldsV1.GetRawString())); err != nil {
			continue
		}
		owns := false
		set.Iterate(func(p fieldpath.Path) {
			owns = owns || (len(p) >= len(field) && p[:len(field)].Equals(field))
		})
		if !owns {
			continue
		}
		if entry.Manager == manager {
			return false
		}
		others = true
	}
	return others
}

// ConflictError says which fields others own.
type ConflictError struct {
	Ref Ref
	Err error
}

func (e *ConflictError) Error() string {
	return e.Ref.String() + ": server-side apply conflict: " + e.Err.Error() +
		"; take the fields over with the annotation " + object.AnnotationPatchForce + `: "true" or the provider's ` +
		"enablePatchForce, or leave them to their owner with ignoreChanges"
}

func (e *ConflictError) Unwrap() error { return e.Err }

// Explain names the object in an error of Apply; conflicts of field ownership also say what to do.
func Explain(ref Ref, what string, err error) error {
	if apierrors.IsConflict(err) && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		return &ConflictError{ref, err}
	}
	return fmt.Errorf("%s %s: %w", ref, what, err)
}
