package await_test

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

type tree = map[string]any

func condition(kind, status string) tree {
	return tree{"conditions": []any{tree{"type": kind, "status": status, "reason": "Because", "message": "of that"}}}
}

func TestStates(t *testing.T) {
	wait, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	world := []runtime.Object{
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "late", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}, VolumeBindingMode: &wait},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "now"}, VolumeBindingMode: &now},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "a-1", Namespace: "n", Labels: map[string]string{"kubernetes.io/service-name": "ready"}},
			Endpoints:  []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "b-1", Namespace: "n", Labels: map[string]string{"kubernetes.io/service-name": "starting"}},
			Endpoints:  []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}}},
		},
	}
	selector := tree{"selector": tree{"app": "x"}}
	for name, c := range map[string]struct {
		apiVersion, kind string
		body             tree
		want             await.State
	}{
		"a ConfigMap is ready":                                {"v1", "ConfigMap", tree{}, await.Ready},
		"a running Job is not":                                {"batch/v1", "Job", tree{"status": tree{"active": int64(1), "startTime": "2026-01-01T00:00:00Z"}}, await.Pending},
		"a completed Job is":                                  {"batch/v1", "Job", tree{"status": condition("Complete", "True")}, await.Ready},
		"a failed Job failed":                                 {"batch/v1", "Job", tree{"status": condition("Failed", "True")}, await.Failed},
		"a suspended Job is not awaited":                      {"batch/v1", "Job", tree{"spec": tree{"suspend": true}}, await.Ready},
		"a bound claim":                                       {"v1", "PersistentVolumeClaim", tree{"status": tree{"phase": "Bound"}}, await.Ready},
		"a claim of the default class that waits for its pod": {"v1", "PersistentVolumeClaim", tree{"status": tree{"phase": "Pending"}}, await.Ready},
		"a claim that is bound at once":                       {"v1", "PersistentVolumeClaim", tree{"spec": tree{"storageClassName": "now"}}, await.Pending},
		"a claim without class":                               {"v1", "PersistentVolumeClaim", tree{"spec": tree{"storageClassName": ""}}, await.Pending},
		"a Service with an endpoint":                          {"v1", "Service", tree{"metadata": tree{"name": "ready", "namespace": "n"}, "spec": selector}, await.Ready},
		"a Service whose pods start":                          {"v1", "Service", tree{"metadata": tree{"name": "starting", "namespace": "n"}, "spec": selector}, await.Pending},
		"a headless Service":                                  {"v1", "Service", tree{"spec": tree{"selector": tree{"app": "x"}, "clusterIP": "None"}}, await.Ready},
		"a Service without selector":                          {"v1", "Service", tree{"spec": tree{}}, await.Ready},
		"a load balancer without address":                     {"v1", "Service", tree{"spec": tree{"type": "LoadBalancer"}}, await.Pending},
		"a quota that is not counted yet":                     {"v1", "ResourceQuota", tree{"spec": tree{"hard": tree{"cpu": "1"}}}, await.Pending},
		"a counted quota":                                     {"v1", "ResourceQuota", tree{"spec": tree{"hard": tree{"cpu": "1000m"}}, "status": tree{"hard": tree{"cpu": "1"}}}, await.Ready},
		"a stuck Deployment": {"apps/v1", "Deployment", tree{"spec": tree{"replicas": int64(1)}, "status": tree{
			"conditions": []any{tree{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}},
		}}, await.Failed},
		"a paused Deployment":                            {"apps/v1", "Deployment", tree{"spec": tree{"paused": true}}, await.Ready},
		"a custom resource, whatever its conditions say": {"x.dev/v1", "Widget", tree{"status": condition("Ready", "False")}, await.Ready},
		"a crashed pod that is not restarted":            {"v1", "Pod", tree{"status": tree{"phase": "Failed"}}, await.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			live := tree{"apiVersion": c.apiVersion, "kind": c.kind, "metadata": tree{"name": "x", "namespace": "n"}}
			for k, v := range c.body {
				live[k] = v
			}
			got, err := await.Check(t.Context(), fake.NewClientset(world...), live)
			if err != nil || got.State != c.want {
				t.Errorf("got %v %v", got, err)
			}
		})
	}
}

func TestWaitForExpressions(t *testing.T) {
	inputs := func(text string) tree {
		return tree{"metadata": tree{"annotations": tree{object.AnnotationWaitFor: text}}}
	}
	for _, text := range []string{"condition=Ready", "jsonpath={.status.phase}=Running", `["condition=Ready=False","jsonpath={.status.x}"]`} {
		if got, err := await.ParseWaitFor(inputs(text)); err != nil || len(got) == 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"Ready", "jsonpath={.status", "[]"} {
		if _, err := await.ParseWaitFor(inputs(text)); err == nil {
			t.Errorf("%s must be refused", text)
		}
	}
}
