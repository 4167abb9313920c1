package await

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

// Gone waits until an object does not exist any more. On timeout the error says what holds it.
func (w Waiter) Gone(ctx context.Context, ref cluster.Ref) (last map[string]any, err error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	last, err = w.Client.Get(ctx, ref)
	if err != nil {
		return nil, ignoreGone(err)
	}
	uid := (&unstructured.Unstructured{Object: last}).GetUID()
	follow := newFollower(w.Client, ref, resourceVersion(last))
	defer follow.stop()
	defer w.report("")
	start := time.Now()
	for {
		if time.Since(start) > recheck {
			w.report(holds(last))
		}
		next, err := follow.next(ctx)
		switch {
		case outer.Err() != nil:
			return last, fmt.Errorf("%s: waiting for its deletion was cancelled: %w", ref, context.Cause(outer))
		case ctx.Err() != nil:
			return last, &NotReadyError{Ref: ref, Summary: fmt.Sprintf("still exists %s after its deletion: %s", w.Timeout, holds(last))}
		case err != nil:
			return last, ignoreGone(err)
		case (&unstructured.Unstructured{Object: next}).GetUID() != uid:
			return nil, nil // somebody made a new one of the same name
		}
		last = next
	}
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

// holds says what keeps an object from going.
func holds(live map[string]any) string {
	u := &unstructured.Unstructured{Object: live}
	var parts []string
	if finalizers := u.GetFinalizers(); len(finalizers) > 0 {
		parts = append(parts, "finalizers "+strings.Join(finalizers, ", "))
	}
	conditions, _, _ := unstructured.NestedSlice(live, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["status"] == "True" && u.GetKind() == "Namespace" {
			parts = append(parts, fmt.Sprintf("%v: %v", m["reason"], m["message"]))
		}
	}
	if len(parts) == 0 {
		return "being deleted"
	}
	return strings.Join(parts, "; ")
}
