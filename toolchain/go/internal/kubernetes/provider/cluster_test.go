package provider_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"autoglm.dev/platform/toolchain/internal/kubernetes/provider"
	"autoglm.dev/platform/toolchain/internal/kubernetes/testcluster"
)

var (
	shared     *testcluster.Cluster
	skipReason string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "kubernetes-plugin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		cluster, err := testcluster.Start(dir)
		if cluster != nil {
			defer cluster.Stop()
		}
		switch {
		case errors.Is(err, testcluster.ErrNoBinaries):
			skipReason = err.Error()
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shared = cluster
		return m.Run()
	}())
}

// engine plays the part of Pulumi's engine for one provider.
type engine struct {
	t         *testing.T
	provider  *provider.Provider
	namespace string
	log       *recorder
}

type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Log(_ context.Context, s diag.Severity, _ resource.URN, m string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(s)+": "+m)
	return nil
}

func (r *recorder) LogStatus(ctx context.Context, _ diag.Severity, urn resource.URN, m string) error {
	return r.Log(ctx, "status", urn, m)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func onCluster(t *testing.T, settings ...string) *engine {
	t.Helper()
	if skipReason != "" {
		t.Skip(skipReason)
	}
	e := newEngine(t, append([]string{"kubeconfig", shared.Kubeconfig}, settings...)...)
	e.namespace = "test-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	if len(e.namespace) > 60 {
		e.namespace = e.namespace[:60]
	}
	_, err := shared.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: e.namespace},
	}, metav1.CreateOptions{})
	must(t, err)
	return e
}

func newEngine(t *testing.T, settings ...string) *engine {
	t.Helper()
	log := &recorder{}
	e := &engine{t: t, provider: provider.New("4.0.0", log), log: log}
	variables := map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		variables["kubernetes:config:"+settings[i]] = settings[i+1]
	}
	_, err := e.provider.Configure(t.Context(), &pulumirpc.ConfigureRequest{Variables: variables, AcceptSecrets: true})
	must(t, err)
	return e
}

// deployed is a resource as the engine records it.
type deployed struct {
	urn, id         string
	inputs, outputs *structpb.Struct
}

func (e *engine) urn(token, name string) string {
	return string(resource.NewURN("test", "project", "", resourceType(token), name))
}

func (e *engine) check(urn string, program resource.PropertyMap, old *deployed) *structpb.Struct {
	e.t.Helper()
	response, err := e.tryCheck(urn, program, old)
	must(e.t, err)
	if len(response.GetFailures()) > 0 {
		e.t.Fatalf("check: %v", response.GetFailures())
	}
	return response.GetInputs()
}

func (e *engine) tryCheck(urn string, program resource.PropertyMap, old *deployed) (*pulumirpc.CheckResponse, error) {
	var olds *structpb.Struct
	if old != nil {
		olds = old.inputs
	}
	return e.provider.Check(e.t.Context(), &pulumirpc.CheckRequest{
		Urn: urn, Olds: olds, News: wire(e.t, program), RandomSeed: []byte("0123456789abcdef0123456789abcdef"),
	})
}

func (e *engine) create(token, name string, program resource.PropertyMap) *deployed {
	e.t.Helper()
	d, err := e.tryCreate(token, name, program)
	must(e.t, err)
	return d
}

func (e *engine) tryCreate(token, name string, program resource.PropertyMap) (*deployed, error) {
	e.t.Helper()
	d := &deployed{urn: e.urn(token, name)}
	d.inputs = e.check(d.urn, program, nil)
	response, err := e.provider.Create(e.t.Context(), &pulumirpc.CreateRequest{Urn: d.urn, Properties: d.inputs})
	if err != nil {
		if failed := initFailure(err); failed != nil {
			d.id, d.outputs = failed.GetId(), failed.GetProperties()
			return d, err
		}
		return nil, err
	}
	d.id, d.outputs = response.GetId(), response.GetProperties()
	return d, nil
}

func initFailure(err error) *pulumirpc.ErrorResourceInitFailed {
	if rpc, ok := rpcerror.FromError(err); ok {
		for _, detail := range rpc.Details() {
			if failed, ok := detail.(*pulumirpc.ErrorResourceInitFailed); ok {
				return failed
			}
		}
	}
	return nil
}

func (e *engine) diff(d *deployed, program resource.PropertyMap, ignore ...string) *pulumirpc.DiffResponse {
	e.t.Helper()
	return e.diffInputs(d, e.check(d.urn, program, d), ignore...)
}

func (e *engine) diffInputs(d *deployed, inputs *structpb.Struct, ignore ...string) *pulumirpc.DiffResponse {
	e.t.Helper()
	response, err := e.provider.Diff(e.t.Context(), &pulumirpc.DiffRequest{
		Id: d.id, Urn: d.urn, Olds: d.outputs, OldInputs: d.inputs, News: inputs, IgnoreChanges: ignore,
	})
	must(e.t, err)
	return response
}

func (e *engine) update(d *deployed, program resource.PropertyMap, ignore ...string) *deployed {
	e.t.Helper()
	updated, err := e.tryUpdate(d, program, ignore...)
	must(e.t, err)
	return updated
}

func (e *engine) tryUpdate(d *deployed, program resource.PropertyMap, ignore ...string) (*deployed, error) {
	e.t.Helper()
	inputs := e.check(d.urn, program, d)
	response, err := e.provider.Update(e.t.Context(), &pulumirpc.UpdateRequest{
		Id: d.id, Urn: d.urn, Olds: d.outputs, OldInputs: d.inputs, News: inputs, IgnoreChanges: ignore,
	})
	if err != nil {
		return nil, err
	}
	return &deployed{d.urn, d.id, inputs, response.GetProperties()}, nil
}

// refresh reads the resource; nil means that it is gone.
func (e *engine) refresh(d *deployed) *deployed {
	e.t.Helper()
	response, err := e.provider.Read(e.t.Context(), &pulumirpc.ReadRequest{
		Id: d.id, Urn: d.urn, Properties: d.outputs, Inputs: d.inputs,
	})
	must(e.t, err)
	if response.GetId() == "" {
		return nil
	}
	return &deployed{d.urn, response.GetId(), response.GetInputs(), response.GetProperties()}
}

// refreshFinds compares as the engine's refresh does: the old inputs against the new state.
func (e *engine) refreshFinds(d *deployed) *pulumirpc.DiffResponse {
	e.t.Helper()
	return e.diffInputs(e.refresh(d), d.inputs)
}

func (e *engine) delete(d *deployed) {
	e.t.Helper()
	_, err := e.provider.Delete(e.t.Context(), &pulumirpc.DeleteRequest{
		Id: d.id, Urn: d.urn, Properties: d.outputs, OldInputs: d.inputs,
	})
	must(e.t, err)
}

func (d *deployed) output(t *testing.T) resource.PropertyMap {
	t.Helper()
	return unwire(t, d.outputs)
}

func wire(t *testing.T, pm resource.PropertyMap) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(pm, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	must(t, err)
	return s
}

func unwire(t *testing.T, s *structpb.Struct) resource.PropertyMap {
	t.Helper()
	pm, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	must(t, err)
	return pm
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expectNone(t *testing.T, what string, response *pulumirpc.DiffResponse) {
	t.Helper()
	if response.GetChanges() != pulumirpc.DiffResponse_DIFF_NONE {
		t.Errorf("%s: unexpected changes %v", what, response.GetDetailedDiff())
	}
}

func expectChange(t *testing.T, response *pulumirpc.DiffResponse, path string, kind pulumirpc.PropertyDiff_Kind) {
	t.Helper()
	change, ok := response.GetDetailedDiff()[path]
	if !ok || change.GetKind() != kind {
		t.Errorf("expected %s of %s, got %v", kind, path, response.GetDetailedDiff())
	}
}

// Programs.

type object = map[string]any

func props(o object) resource.PropertyMap { return resource.NewPropertyMapFromMap(o) }

func (e *engine) configMap(name string, data object, extra ...func(object)) resource.PropertyMap {
	return e.object("v1", "ConfigMap", name, object{"data": data}, extra...)
}

func (e *engine) object(apiVersion, kind, name string, body object, extra ...func(object)) resource.PropertyMap {
	metadata := object{"namespace": e.namespace}
	if name != "" {
		metadata["name"] = name
	}
	out := object{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	for k, v := range body {
		out[k] = v
	}
	for _, f := range extra {
		f(out)
	}
	return props(out)
}

func annotated(key, value string) func(object) {
	return func(o object) {
		metadata := o["metadata"].(object)
		if metadata["annotations"] == nil {
			metadata["annotations"] = object{}
		}
		metadata["annotations"].(object)[key] = value
	}
}

func pod(image string) object {
	return object{
		"containers": []any{object{
			"name": "main", "image": image,
			"resources": object{"requests": object{"cpu": "1000m", "memory": "1024Mi"}},
			"env":       []any{object{"name": "A", "value": "1"}, object{"name": "B", "value": "2"}},
			"ports":     []any{object{"containerPort": 8000}},
		}},
	}
}

func deployment(replicas int, image string, labels object) object {
	return object{"spec": object{
		"replicas": replicas, "selector": object{"matchLabels": labels},
		"template": object{"metadata": object{"labels": labels}, "spec": pod(image)},
	}}
}

func job(image string) object {
	spec := pod(image)
	spec["restartPolicy"] = "Never"
	return object{"spec": object{"backoffLimit": 0, "template": object{"spec": spec}}}
}

func resourceType(token string) tokens.Type { return tokens.Type(token) }

const quick = "1"

func shortTimeout(o object) { annotated("pulumi.com/timeoutSeconds", quick)(o) }

// patched changes an object as another manager than the program.
func (e *engine) patchConfigMap(name, manager, body string) {
	e.t.Helper()
	_, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Patch(e.t.Context(), name, types.MergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: manager})
	must(e.t, err)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 100 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("timed out: %s", what)
}

// failJob plays kubelet: the Job's pod ends with an error and a last word.
func failJob(ctx context.Context, namespace, lastWord string) {
	client := shared.Client.CoreV1().Pods(namespace)
	for ctx.Err() == nil {
		pods, err := client.List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel})
		if err == nil && len(pods.Items) > 0 {
			p := pods.Items[0]
			p.Status.Phase = corev1.PodFailed
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 1, Reason: "Error", Message: lastWord,
				}},
			}}
			if _, err := client.UpdateStatus(ctx, &p, metav1.UpdateOptions{}); err == nil || apierrors.IsNotFound(err) {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
