// Package await waits until objects are ready or gone, and explains why they are not.
package await

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// State of an object on its way to readiness.
type State int

// The states. Failed is final: waiting longer would not help.
const (
	Pending State = iota
	Ready
	Failed
)

// Result is a state and why it is so.
type Result struct {
	State   State
	Message string
}

// checker tells the state of an object of one kind.
type checker func(ctx context.Context, client kubernetes.Interface, live map[string]any) (Result, error)

// checkers are the kinds for which kstatus is not enough: it looks at one object alone and
// calls a running Job current.
var checkers = map[schema.GroupKind]checker{
	{Group: "batch", Kind: "Job"}:   job,
	{Kind: "PersistentVolume"}:      persistentVolume,
	{Kind: "PersistentVolumeClaim"}: persistentVolumeClaim,
	{Kind: "Pod"}:                   pod,
	{Kind: "ResourceQuota"}:         resourceQuota,
	{Kind: "Secret"}:                secret,
	{Kind: "Service"}:               service,
	{Group: "apps", Kind: "Deployment"}: func(ctx context.Context, c kubernetes.Interface, live map[string]any) (Result, error) {
		if paused, _, _ := unstructured.NestedBool(live, "spec", "paused"); paused {
			return Result{Ready, "paused"}, nil
		}
		return byStatus(ctx, c, live)
	},
}

// Check tells the state of a live object. Custom resources are ready at once, as their
// conditions follow no common rules, unless PULUMI_K8S_AWAIT_ALL=true asks for kstatus' guess.
func Check(ctx context.Context, client kubernetes.Interface, live map[string]any) (Result, error) {
	gk := (&unstructured.Unstructured{Object: live}).GroupVersionKind().GroupKind()
	if check, ok := checkers[gk]; ok {
		return check(ctx, client, live)
	}
	if !object.IsBuiltin(gk) && os.Getenv("PULUMI_K8S_AWAIT_ALL") != "true" {
		return Result{State: Ready}, nil
	}
	return byStatus(ctx, client, live)
}

func byStatus(_ context.Context, _ kubernetes.Interface, live map[string]any) (Result, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: live})
	if err != nil {
		return Result{}, err
	}
	switch result.Status {
	case status.CurrentStatus:
		return Result{Ready, result.Message}, nil
	case status.FailedStatus:
		return Result{Failed, result.Message}, nil
	default:
		return Result{Pending, result.Message}, nil
	}
}

func typed(live map[string]any, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(live, into)
}

func job(_ context.Context, _ kubernetes.Interface, live map[string]any) (Result, error) {
	var j batchv1.Job
	if err := typed(live, &j); err != nil {
		return Result{}, err
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return Result{Ready, "completed"}, nil
		case batchv1.JobFailed:
			return Result{Failed, fmt.Sprintf("Job failed (%s): %s", c.Reason, c.Message)}, nil
		case batchv1.JobSuspended:
			return Result{Ready, "suspended"}, nil
		}
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		return Result{Ready, "suspended"}, nil
	}
	return Result{Pending, fmt.Sprintf("Job runs: %d active, %d succeeded, %d failed",
		j.Status.Active, j.Status.Succeeded, j.Status.Failed)}, nil
}

// pod is not ready when it has ended with an error; to kstatus it has reached its final state.
func pod(ctx context.Context, client kubernetes.Interface, live map[string]any) (Result, error) {
	if phase, _, _ := unstructured.NestedString(live, "status", "phase"); phase == string(corev1.PodFailed) {
		return Result{Failed, "Pod ended with an error"}, nil
	}
	return byStatus(ctx, client, live)
}

func persistentVolume(_ context.Context, _ kubernetes.Interface, live map[string]any) (Result, error) {
	switch phase, _, _ := unstructured.NestedString(live, "status", "phase"); corev1.PersistentVolumePhase(phase) {
	case corev1.VolumeAvailable, corev1.VolumeBound:
		return Result{Ready, phase}, nil
	case corev1.VolumeFailed:
		message, _, _ := unstructured.NestedString(live, "status", "message")
		return Result{Failed, message}, nil
	default:
		return Result{Pending, "PersistentVolume is " + phase}, nil
	}
}

// defaultClassAnnotation marks the StorageClass of claims that name none.
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"

// persistentVolumeClaim is ready when bound, or when its class binds only on first use.
func persistentVolumeClaim(ctx context.Context, client kubernetes.Interface, live map[string]any) (Result, error) {
	var claim corev1.PersistentVolumeClaim
	if err := typed(live, &claim); err != nil {
		return Result{}, err
	}
	if claim.Status.Phase == corev1.ClaimBound {
		return Result{Ready, "bound"}, nil
	}
	pending := Result{Pending, "PersistentVolumeClaim is not bound"}
	if claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == "" {
		return pending, nil
	}
	classes, err := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return Result{}, err
	}
	for _, class := range classes.Items {
		mine := claim.Spec.StorageClassName == nil && class.Annotations[defaultClassAnnotation] == "true" ||
			claim.Spec.StorageClassName != nil && class.Name == *claim.Spec.StorageClassName
		if mine && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
			return Result{Ready, "binds when a pod uses it"}, nil
		}
	}
	return pending, nil
}

// resourceQuota is ready once the controller has taken it up: objects created before that are
// refused with "status unknown for quota".
func resourceQuota(_ context.Context, _ kubernetes.Interface, live map[string]any) (Result, error) {
	var quota corev1.ResourceQuota
	if err := typed(live, &quota); err != nil {
		return Result{}, err
	}
	for name, hard := range quota.Spec.Hard {
		if seen, ok := quota.Status.Hard[name]; !ok || seen.Cmp(hard) != 0 {
			return Result{Pending, "quota is not counted yet"}, nil
		}
	}
	return Result{State: Ready}, nil
}

func secret(_ context.Context, _ kubernetes.Interface, live map[string]any) (Result, error) {
	kind, _, _ := unstructured.NestedString(live, "type")
	token, _, _ := unstructured.NestedString(live, "data", corev1.ServiceAccountTokenKey)
	if corev1.SecretType(kind) == corev1.SecretTypeServiceAccountToken && token == "" {
		return Result{Pending, "token is not issued yet"}, nil
	}
	return Result{State: Ready}, nil
}

// service is ready when a pod answers behind it and its load balancer has an address.
// Services without selector, headless ones and ExternalName have nothing to wait for.
func service(ctx context.Context, client kubernetes.Interface, live map[string]any) (Result, error) {
	var s corev1.Service
	if err := typed(live, &s); err != nil {
		return Result{}, err
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
		return Result{Pending, "load balancer has no address yet"}, nil
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName || len(s.Spec.Selector) == 0 || s.Spec.ClusterIP == corev1.ClusterIPNone {
		return Result{State: Ready}, nil
	}
	slices, err := client.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + s.Name,
	})
	if err != nil {
		return Result{}, err
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				return Result{Ready, "has endpoints"}, nil
			}
		}
	}
	return Result{Pending, fmt.Sprintf("no ready pod matches the selector %v", s.Spec.Selector)}, nil
}
