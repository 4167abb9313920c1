package await

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// DefaultTimeout of creating, updating and deleting, as in the official plugin.
const DefaultTimeout = 10 * time.Minute

// recheck is how often an object is read again beside its watch: some states depend on
// other objects, such as a Service's on its endpoints.
const recheck = 2 * time.Second

// settle is how long a Deployment may report the failure of its previous rollout: its controller first notes that it
// has seen the change, and the new rollout's state a moment later.
const settle = 10 * time.Second

// Waiter waits for one object.
type Waiter struct {
	Client *cluster.Client
	// Inputs carry the annotations that steer waiting.
	Inputs map[string]any
	// Timeout of the whole wait.
	Timeout time.Duration
	// Report shows progress; it may be nil.
	Report func(message string)
}

// NotReadyError says that an object exists but did not become ready.
type NotReadyError struct {
	Ref     cluster.Ref
	Summary string
	// Details are the reasons found in pods, their logs and events, one a line.
	Details []string
}

func (e *NotReadyError) Error() string {
	return strings.Join(append([]string{e.Ref.String() + ": " + e.Summary}, e.Details...), "\n")
}

// Ready waits until a live object is ready. It returns the last state seen of it, with an
// error too; the error is a NotReadyError when the object failed or time ran out.
func (w Waiter) Ready(ctx context.Context, live map[string]any) (map[string]any, error) {
	if object.IsTrue(w.Inputs, object.AnnotationSkipAwait) {
		return live, nil
	}
	expressions, err := ParseWaitFor(w.Inputs)
	if err != nil {
		return live, err
	}
	check := func(ctx context.Context, live map[string]any) (Result, error) {
		if expressions != nil {
			return checkExpressions(expressions, live)
		}
		return Check(ctx, w.Client.Typed, live)
	}
	ref := cluster.RefOf(live)
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()

	follow := newFollower(w.Client, ref, resourceVersion(live))
	defer follow.stop()
	diagnosis := newDiagnosis(w.Client.Typed, ref)
	var result Result
	started := time.Now()
	for {
		now, err := check(ctx, live)
		switch {
		case err == nil:
			result = now
			if now.State == Failed && ref.GVK.Kind == "Deployment" && time.Since(started) < settle {
				result.State = Pending
			}
		case ctx.Err() == nil && !transient(err):
			return live, err
		}
		switch result.State {
		case Ready:
			w.report("")
			return live, nil
		case Failed:
			diagnosis.update(ctx, live, true)
			return live, &NotReadyError{ref, result.Message, diagnosis.details(result.Message)}
		}
		if diagnosis.update(ctx, live, false) {
			w.report(strings.Join(append([]string{result.Message}, diagnosis.latest()...), "; "))
		}
		next, err := follow.next(ctx)
		switch {
		case outer.Err() != nil:
			return live, &NotReadyError{ref, "waiting was cancelled: " + result.Message, diagnosis.details(result.Message)}
		case ctx.Err() != nil:
			final, stop := context.WithTimeout(outer, recheck)
			diagnosis.update(final, live, true)
			stop()
			return live, &NotReadyError{
				ref, fmt.Sprintf("not ready after %s: %s", w.Timeout, result.Message), diagnosis.details(result.Message),
			}
		case apierrors.IsNotFound(err):
			return live, &NotReadyError{ref, "was deleted while waiting for it", diagnosis.details(result.Message)}
		case err != nil:
			return live, err
		}
		live = next
	}
}

func (w Waiter) report(message string) {
	if w.Report != nil {
		w.Report(message)
	}
}

func transient(err error) bool {
	var unreachable *cluster.UnreachableError
	return errors.As(err, &unreachable) || !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err)
}

func resourceVersion(live map[string]any) string {
	return (&unstructured.Unstructured{Object: live}).GetResourceVersion()
}

// follower yields an object's states: from a watch as they come, and by reading now and then.
type follower struct {
	client  *cluster.Client
	ref     cluster.Ref
	version string
	watch   watch.Interface
}

func newFollower(client *cluster.Client, ref cluster.Ref, version string) *follower {
	return &follower{client: client, ref: ref, version: version}
}

func (f *follower) stop() {
	if f.watch != nil {
		f.watch.Stop()
		f.watch = nil
	}
}

// next returns the next state; a NotFound error when the object is gone.
func (f *follower) next(ctx context.Context) (map[string]any, error) {
	if f.watch == nil {
		// Without a watch reading alone still works, so its error may pass.
		if w, err := f.client.Watch(ctx, f.ref, f.version); err == nil {
			f.watch = w
		}
	}
	var events <-chan watch.Event
	if f.watch != nil {
		events = f.watch.ResultChan()
	}
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case event, ok := <-events:
		if u, isObject := event.Object.(*unstructured.Unstructured); ok && isObject &&
			(event.Type == watch.Added || event.Type == watch.Modified) {
			f.version = u.GetResourceVersion()
			return u.Object, nil
		}
		f.stop()
	case <-timer.C:
	}
	live, err := f.client.Get(ctx, f.ref)
	if err == nil {
		f.version = resourceVersion(live)
	}
	return live, err
}
