package provider_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	tokenConfigMap  = "kubernetes:core/v1:ConfigMap"
	tokenDeployment = "kubernetes:apps/v1:Deployment"
	tokenJob        = "kubernetes:batch/v1:Job"
	tokenSecret     = "kubernetes:core/v1:Secret"
	tokenService    = "kubernetes:core/v1:Service"
)

func TestConfigMapLivesFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	e := onCluster(t, "enableConfigMapMutable", "true")
	program := e.configMap("settings", object{"a": "1", "b": "2"})
	d := e.create(tokenConfigMap, "settings", program)
	if d.id != e.namespace+"/settings" {
		t.Errorf("id is %q", d.id)
	}
	out := d.output(t)
	for _, key := range []resource.PropertyKey{"__inputs", "__initialApiVersion", "__fieldManager"} {
		if !out.HasValue(key) {
			t.Errorf("state lacks %s, which the official plugin reads", key)
		}
	}
	expectNone(t, "same program", e.diff(d, program))
	expectNone(t, "refresh", e.refreshFinds(d))

	changed := e.configMap("settings", object{"a": "3"})
	response := e.diff(d, changed)
	expectChange(t, response, "data.a", pulumirpc.PropertyDiff_UPDATE)
	expectChange(t, response, "data.b", pulumirpc.PropertyDiff_DELETE)
	d = e.update(d, changed)
	live, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	must(t, err)
	if len(live.Data) != 1 || live.Data["a"] != "3" {
		t.Errorf("data is %v", live.Data)
	}
	expectNone(t, "after update", e.diff(d, changed))

	e.delete(d)
	_, err = shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
	e.delete(d) // deleting what is gone is no error
}

func TestEditByHandIsSeenAndRepaired(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"kubectl-edit", "kubectl-client-side-apply", "somebody"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			e := onCluster(t, "enableConfigMapMutable", "true", "enablePatchForce", "true")
			program := e.configMap("settings", object{"a": "1"})
			d := e.create(tokenConfigMap, "settings", program)
			e.patchConfigMap("settings", manager, `{"data":{"a":"edited"}}`)

			expectChange(t, e.diff(d, program), "data.a", pulumirpc.PropertyDiff_UPDATE) // without refresh
			expectChange(t, e.refreshFinds(d), "data.a", pulumirpc.PropertyDiff_UPDATE)
			refreshed := e.refresh(d)
			if got := unwire(t, refreshed.inputs)["data"].ObjectValue()["a"].StringValue(); got != "edited" {
				t.Errorf("refreshed input is %q", got)
			}
			repaired := e.update(refreshed, program)
			live, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
			must(t, err)
			if live.Data["a"] != "1" {
				t.Errorf("not repaired: %v", live.Data)
			}
			expectNone(t, "after repair", e.diff(repaired, program))
		})
	}
}

func TestConflictWithAnotherManagerSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	e := onCluster(t, "enableConfigMapMutable", "true")
	program := e.configMap("settings", object{"a": "1"})
	d := e.create(tokenConfigMap, "settings", program)
	e.patchConfigMap("settings", "autoscaler", `{"data":{"a":"theirs"}}`)
	_, err := e.tryUpdate(d, program)
	if err == nil || !strings.Contains(err.Error(), "autoscaler") || !strings.Contains(err.Error(), "ignoreChanges") {
		t.Errorf("unhelpful: %v", err)
	}
}

func TestIgnoredFieldStaysWithItsOwner(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	labels := object{"app": "x"}
	program := e.object("apps/v1", "Deployment", "server", deployment(1, "image:1", labels), annotated("pulumi.com/skipAwait", "true"))
	d := e.create(tokenDeployment, "server", program)
	_, err := shared.Client.AppsV1().Deployments(e.namespace).Patch(t.Context(), "server", types.MergePatchType,
		[]byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{FieldManager: "autoscaler"})
	must(t, err)
	expectNone(t, "autoscaled", e.diff(d, program, "spec.replicas"))
	changed := e.object("apps/v1", "Deployment", "server", deployment(1, "image:2", labels), annotated("pulumi.com/skipAwait", "true"))
	e.update(d, changed, "spec.replicas")
	live, err := shared.Client.AppsV1().Deployments(e.namespace).Get(t.Context(), "server", metav1.GetOptions{})
	must(t, err)
	if *live.Spec.Replicas != 5 || live.Spec.Template.Spec.Containers[0].Image != "image:2" {
		t.Errorf("replicas %d, image %s", *live.Spec.Replicas, live.Spec.Template.Spec.Containers[0].Image)
	}
}

func TestDeletionByHandIsSeenAndRepaired(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	program := e.configMap("settings", object{"a": "1"})
	d := e.create(tokenConfigMap, "settings", program)
	must(t, shared.Client.CoreV1().ConfigMaps(e.namespace).Delete(t.Context(), "settings", metav1.DeleteOptions{}))
	if e.refresh(d) != nil {
		t.Error("refresh still finds it")
	}
	if e.diff(d, program).GetChanges() != pulumirpc.DiffResponse_DIFF_SOME {
		t.Error("diff does not see that it is gone")
	}
	d = e.update(d, program)
	_, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	must(t, err)
	expectNone(t, "after repair", e.diff(d, program))
}

func TestAutonamedObjectKeepsItsNameAndIsReplacedByANewOne(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	d := e.create(tokenConfigMap, "settings", e.configMap("", object{"a": "1"}))
	_, name, _ := strings.Cut(d.id, "/")
	if len(name) != len("settings-")+8 {
		t.Errorf("name is %q", name)
	}
	expectNone(t, "same program", e.diff(d, e.configMap("", object{"a": "1"})))
	response := e.diff(d, e.configMap("", object{"a": "2"}))
	expectChange(t, response, "data.a", pulumirpc.PropertyDiff_UPDATE_REPLACE)
	if response.GetDeleteBeforeReplace() {
		t.Error("an autonamed object need not go first")
	}
	named := e.create(tokenConfigMap, "named", e.configMap("named", object{"a": "1"}))
	if !e.diff(named, e.configMap("named", object{"a": "2"})).GetDeleteBeforeReplace() {
		t.Error("an object with a fixed name must go before its replacement")
	}
}

func TestDefaultsAndConversionsOfTheServerAreNoChanges(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	quiet := annotated("pulumi.com/skipAwait", "true")
	resources := map[string]resource.PropertyMap{
		tokenDeployment: e.object("apps/v1", "Deployment", "server", deployment(2, "image:1", object{"app": "x"}), quiet),
		tokenJob:        e.object("batch/v1", "Job", "task", job("image:1"), quiet),
		tokenService: e.object("v1", "Service", "server", object{"spec": object{
			"selector": object{"app": "x"}, "ports": []any{object{"port": 80, "targetPort": "http"}},
		}}, quiet),
		tokenSecret: e.object("v1", "Secret", "password", object{"stringData": object{"password": "secret word"}}),
		"kubernetes:networking.k8s.io/v1:NetworkPolicy": e.object("networking.k8s.io/v1", "NetworkPolicy", "deny", object{
			"spec": object{"podSelector": object{}, "policyTypes": []any{"Ingress", "Egress"}, "ingress": []any{}},
		}),
		"kubernetes:core/v1:ResourceQuota": e.object("v1", "ResourceQuota", "quota", object{
			"spec": object{"hard": object{"requests.cpu": "2000m", "requests.nvidia.com/gpu": "0", "pods": 10}},
		}),
		"kubernetes:core/v1:LimitRange": e.object("v1", "LimitRange", "limits", object{
			"spec": object{"limits": []any{object{"type": "Container", "default": object{"cpu": "0.5", "memory": "0.5Gi"}}}},
		}),
		"kubernetes:core/v1:PersistentVolumeClaim": e.object("v1", "PersistentVolumeClaim", "data", object{
			"spec": object{"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "none", "resources": object{"requests": object{"storage": "1024Mi"}}},
		}, quiet),
		"kubernetes:core/v1:ServiceAccount":        e.object("v1", "ServiceAccount", "workload", object{"automountServiceAccountToken": false}),
		"kubernetes:policy/v1:PodDisruptionBudget": e.object("policy/v1", "PodDisruptionBudget", "pdb", object{"spec": object{"minAvailable": 1, "selector": object{"matchLabels": object{"app": "x"}}}}),
		"kubernetes:rbac.authorization.k8s.io/v1:Role": e.object("rbac.authorization.k8s.io/v1", "Role", "reader", object{
			"rules": []any{object{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"get"}}},
		}),
	}
	for token, program := range resources {
		t.Run(strings.ReplaceAll(token, ":", "-"), func(t *testing.T) {
			e := &engine{t, e.provider, e.namespace, e.log}
			d := e.create(token, "x", program)
			expectNone(t, "same program", e.diff(d, program))
			expectNone(t, "refresh", e.refreshFinds(d))
			expectNone(t, "after refresh", e.diff(e.refresh(d), program))
		})
	}
}

func TestImmutableFieldsReplace(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	quiet := annotated("pulumi.com/skipAwait", "true")
	server := e.create(tokenDeployment, "server", e.object("apps/v1", "Deployment", "server", deployment(0, "image:1", object{"app": "x"}), quiet))
	response := e.diff(server, e.object("apps/v1", "Deployment", "server", deployment(0, "image:1", object{"app": "y"}), quiet))
	expectChange(t, response, "spec.selector.matchLabels.app", pulumirpc.PropertyDiff_UPDATE_REPLACE)
	response = e.diff(server, e.object("apps/v1", "Deployment", "server", deployment(0, "image:2", object{"app": "x"}), quiet))
	expectChange(t, response, "spec.template.spec.containers[0].image", pulumirpc.PropertyDiff_UPDATE)

	task := e.create(tokenJob, "task", e.object("batch/v1", "Job", "task", job("image:1"), quiet))
	response = e.diff(task, e.object("batch/v1", "Job", "task", job("image:2"), quiet))
	expectChange(t, response, "spec.template.spec.containers[0].image", pulumirpc.PropertyDiff_UPDATE_REPLACE)

	// Not in the table: the server's answer to the dry run tells.
	frozen := func(v string) resource.PropertyMap {
		return props(object{"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": object{"name": e.namespace}, "handler": v})
	}
	class := e.create("kubernetes:node.k8s.io/v1:RuntimeClass", "class", frozen("one"))
	expectChange(t, e.diff(class, frozen("two")), "handler", pulumirpc.PropertyDiff_UPDATE_REPLACE)
	e.delete(class)
}

func TestFailedJobFailsAtOnceWithThePodsLastWord(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	const refused = "weights: refused: model.safetensors: SHA-256 differs"
	go failJob(t.Context(), e.namespace, refused)
	start := time.Now()
	program := e.object("batch/v1", "Job", "fetch", job("image:1"), annotated("pulumi.com/replaceUnready", "true"))
	d, err := e.tryCreate(tokenJob, "fetch", program)
	if err == nil || !strings.Contains(err.Error(), refused) || !strings.Contains(err.Error(), "BackoffLimitExceeded") {
		t.Fatalf("error lacks the reason: %v", err)
	}
	if d == nil || d.id == "" {
		t.Fatal("the failed Job must be recorded")
	}
	if passed := time.Since(start); passed > 20*time.Second {
		t.Errorf("took %s", passed)
	}
	response := e.diff(d, program)
	if len(response.GetReplaces()) == 0 || !response.GetDeleteBeforeReplace() {
		t.Errorf("a failed Job with replaceUnready is replaced: %v", response)
	}
	read, err := e.provider.Read(t.Context(), &pulumirpc.ReadRequest{Id: d.id, Urn: d.urn, Properties: d.outputs, Inputs: d.inputs})
	if initFailure(err) == nil {
		t.Errorf("refresh must say that the Job failed: %v %v", read, err)
	}
}

func TestTimeoutNamesThePodsTrouble(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	d, err := e.tryCreate(tokenDeployment, "server", e.object("apps/v1", "Deployment", "server",
		deployment(1, "image:1", object{"app": "x"}), annotated("pulumi.com/timeoutSeconds", "3")))
	if err == nil || !strings.Contains(err.Error(), "not ready after 3s") {
		t.Fatalf("unexpected: %v", err)
	}
	if initFailure(err) == nil || d.id == "" {
		t.Error("a Deployment that is not ready must be recorded")
	}
}

func TestRefusedPodsAreExplained(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	e.create("kubernetes:core/v1:ResourceQuota", "none", e.object("v1", "ResourceQuota", "none", object{"spec": object{"hard": object{"pods": "0"}}}))
	_, err := e.tryCreate(tokenDeployment, "server", e.object("apps/v1", "Deployment", "server",
		deployment(1, "image:1", object{"app": "x"}), annotated("pulumi.com/timeoutSeconds", "3")))
	if err == nil || !strings.Contains(err.Error(), "exceeded quota: none") {
		t.Errorf("the quota is not named: %v", err)
	}
}

func TestServiceWaitsForAnEndpoint(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	_, err := e.tryCreate(tokenService, "server", e.object("v1", "Service", "server", object{"spec": object{
		"selector": object{"app": "nobody"}, "ports": []any{object{"port": 80}},
	}}, shortTimeout))
	if err == nil || !strings.Contains(err.Error(), "no ready pod matches") {
		t.Errorf("unexpected: %v", err)
	}
	e.create(tokenService, "headless", e.object("v1", "Service", "headless", object{"spec": object{
		"selector": object{"app": "nobody"}, "clusterIP": "None", "ports": []any{object{"port": 80}},
	}}))
}

func TestSecretsAreMarkedAndNeverShown(t *testing.T) {
	t.Parallel()
	e := onCluster(t, "enableSecretMutable", "true")
	const word = "correct horse battery"
	program := e.object("v1", "Secret", "password", object{"stringData": object{"password": word}})
	d := e.create(tokenSecret, "password", program)
	for name, pm := range map[string]resource.PropertyMap{"outputs": d.output(t), "inputs": unwire(t, d.inputs)} {
		if !pm["data"].IsSecret() {
			t.Errorf("%s: data is not secret", name)
		}
	}
	if !d.output(t)["__inputs"].ObjectValue()["data"].IsSecret() {
		t.Error("__inputs.data is not secret")
	}
	_, err := e.tryCreate(tokenConfigMap, "bad", resource.PropertyMap{
		"apiVersion": resource.NewProperty("v1"), "kind": resource.NewProperty("ConfigMap"),
		"metadata": resource.NewProperty(props(object{"name": "bad", "namespace": e.namespace,
			"labels": object{"x": "y"}})),
		"data": resource.MakeSecret(resource.NewProperty(props(object{"not allowed: " + "key": word}))),
	})
	if err == nil || strings.Contains(err.Error(), word) {
		t.Errorf("error shows a secret or is missing: %v", err)
	}
	if strings.Contains(e.log.text(), word) {
		t.Error("log shows a secret")
	}
}

func TestPatchOwnsOnlyItsFieldsAndGivesThemBack(t *testing.T) {
	t.Parallel()
	e := onCluster(t, "enableConfigMapMutable", "true")
	base := e.create(tokenConfigMap, "settings", e.configMap("settings", object{"a": "1"}))
	patch := e.create(tokenConfigMap+"Patch", "patch", e.configMap("settings", object{"b": "2"}))
	expectNone(t, "base", e.diff(base, e.configMap("settings", object{"a": "1"})))
	expectNone(t, "patch", e.diff(patch, e.configMap("settings", object{"b": "2"})))
	e.delete(patch)
	live, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	must(t, err)
	if _, ok := live.Data["b"]; ok || live.Data["a"] != "1" {
		t.Errorf("data is %v", live.Data)
	}
}

func TestExistingObjectIsNotTakenOver(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	e.create(tokenConfigMap, "one", e.configMap("settings", object{"a": "1"}))
	_, err := e.tryCreate(tokenConfigMap, "two", e.configMap("settings", object{"a": "2"}))
	if err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("unexpected: %v", err)
	}
}

func TestImportGivesInputsThatChangeNothing(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	e.create(tokenDeployment, "server", e.object("apps/v1", "Deployment", "server", deployment(0, "image:1", object{"app": "x"}),
		annotated("pulumi.com/skipAwait", "true")))
	imported := e.refresh(&deployed{urn: e.urn(tokenDeployment, "imported"), id: e.namespace + "/server"})
	if imported == nil {
		t.Fatal("not found")
	}
	expectNone(t, "import", e.diff(imported, unwire(t, imported.inputs)))
}

func TestCustomResourceFollowsItsDefinition(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	definition := props(object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{"name": "widgets.test.autoglm.dev"},
		"spec": object{
			"group": "test.autoglm.dev", "scope": "Namespaced",
			"names": object{"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
			"versions": []any{object{"name": "v1", "served": true, "storage": true, "schema": object{
				"openAPIV3Schema": object{"type": "object", "properties": object{
					"spec": object{"type": "object", "x_kubernetes_preserve_unknown_fields": true},
				}},
			}}},
		},
	})
	widget := e.object("test.autoglm.dev/v1", "Widget", "w", object{"spec": object{"size": 1.5, "count": 2}})
	crd := e.create("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "widgets", definition)
	expectNone(t, "definition", e.diff(crd, definition))
	d := e.create("kubernetes:test.autoglm.dev/v1:Widget", "w", widget)
	expectNone(t, "same program", e.diff(d, widget))
	expectNone(t, "refresh", e.refreshFinds(d))
	e.delete(d)
	e.delete(crd)
}

func TestNamespaceIsAwaitedUntilGone(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	program := props(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": e.namespace + "-x"}})
	d := e.create("kubernetes:core/v1:Namespace", "ns", program)
	if d.id != e.namespace+"-x" {
		t.Errorf("id is %q", d.id)
	}
	expectNone(t, "same program", e.diff(d, program))
	e.delete(d)
	_, err := shared.Client.CoreV1().Namespaces().Get(t.Context(), e.namespace+"-x", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestCancelEndsWaitingAndRecordsTheObject(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	time.AfterFunc(2*time.Second, func() { _, _ = e.provider.Cancel(context.Background(), nil) })
	d, err := e.tryCreate(tokenDeployment, "server", e.object("apps/v1", "Deployment", "server", deployment(1, "image:1", object{"app": "x"})))
	if err == nil || !strings.Contains(err.Error(), "cancelled") || d == nil || d.id == "" {
		t.Errorf("unexpected: %v", err)
	}
}

func TestPreviewChangesNothing(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	urn := e.urn(tokenConfigMap, "settings")
	inputs := e.check(urn, e.configMap("settings", object{"a": "1"}), nil)
	response, err := e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs, Preview: true})
	must(t, err)
	if response.GetId() != "" || unwire(t, response.GetProperties())["data"].ObjectValue()["a"].StringValue() != "1" {
		t.Errorf("unexpected %v", response)
	}
	if _, err := shared.Client.CoreV1().ConfigMaps(e.namespace).Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("preview made it: %v", err)
	}
	bad := e.check(urn, e.object("apps/v1", "Deployment", "server", deployment(1, "", object{"app": "x"})), nil)
	_, err = e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: e.urn(tokenDeployment, "server"), Properties: bad, Preview: true})
	if err == nil || !strings.Contains(err.Error(), "spec.template.spec.containers[0].image") {
		t.Errorf("preview must show what the server would refuse: %v", err)
	}
	unknown := props(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"namespace": e.namespace}})
	unknown["data"] = resource.MakeComputed(resource.NewProperty(""))
	inputs = e.check(urn, unknown, nil)
	response, err = e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs, Preview: true})
	must(t, err)
	if !unwire(t, response.GetProperties())["data"].IsComputed() {
		t.Errorf("unknown data must stay unknown: %v", response)
	}
}

func TestAddressOfAServiceIsUnknownInPreview(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	urn := e.urn(tokenService, "server")
	inputs := e.check(urn, e.object("v1", "Service", "server", object{"spec": object{"ports": []any{object{"port": 80}}}}), nil)
	response, err := e.provider.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs, Preview: true})
	must(t, err)
	out := unwire(t, response.GetProperties())
	if !out["spec"].ObjectValue()["clusterIP"].IsComputed() {
		t.Errorf("a placeholder is shown as address: %v", out["spec"])
	}
	if name := out["metadata"].ObjectValue()["name"]; !name.IsString() {
		t.Errorf("the name is known: %v", name)
	}
}

func TestMissingNamespaceIsWaitedFor(t *testing.T) {
	t.Parallel()
	e := onCluster(t)
	late := e.namespace + "-late"
	time.AfterFunc(2*time.Second, func() {
		other := &engine{t, e.provider, e.namespace, e.log}
		other.create("kubernetes:core/v1:Namespace", "late", props(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": late}}))
	})
	program := e.configMap("settings", object{"a": "1"})
	program["metadata"].ObjectValue()["namespace"] = resource.NewProperty(late)
	e.create(tokenConfigMap, "settings", program)
}

func TestForeignClusterIsNeverWrittenTo(t *testing.T) {
	e := onCluster(t)
	configMaps := shared.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	marker, err := configMaps.Get(t.Context(), "autoglm-embedded", metav1.GetOptions{})
	must(t, err)
	must(t, configMaps.Delete(t.Context(), marker.Name, metav1.DeleteOptions{}))
	defer func() {
		marker.ResourceVersion, marker.UID = "", ""
		_, err := configMaps.Create(context.Background(), marker, metav1.CreateOptions{})
		must(t, err)
	}()
	_, err = e.tryCreate(tokenConfigMap, "settings", e.configMap("settings", object{"a": "1"}))
	if err == nil || !strings.Contains(err.Error(), "is not the embedded cluster") || !strings.Contains(err.Error(), "official plugin") {
		t.Errorf("unexpected: %v", err)
	}
	urn := e.urn(tokenConfigMap, "settings")
	_, err = e.provider.Create(t.Context(), &pulumirpc.CreateRequest{
		Urn: urn, Properties: e.check(urn, e.configMap("settings", object{"a": "1"}), nil), Preview: true,
	})
	must(t, err) // plans need no cluster
}

func TestAPIServerThatComesBackIsWaitedFor(t *testing.T) {
	e := onCluster(t)
	program := e.configMap("settings", object{"a": "1"})
	e.create(tokenConfigMap, "warm", e.configMap("warm", object{"a": "1"}))
	shared.StopAPIServer()
	time.AfterFunc(time.Second, func() {
		if err := shared.StartAPIServer(); err != nil {
			t.Error(err)
		}
	})
	e.create(tokenConfigMap, "settings", program)
	must(t, shared.Await())
}

func TestUnreachableServerIsNamed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the retry budget of 30 s; left out by -short")
	}
	e := newEngine(t, "kubeconfig", `{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`)
	e.namespace = "default"
	start := time.Now()
	_, err := e.tryCreate(tokenConfigMap, "settings", e.configMap("settings", object{"a": "1"}))
	if err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:1 did not answer within 30s") {
		t.Errorf("unexpected: %v", err)
	}
	if passed := time.Since(start); passed > 45*time.Second {
		t.Errorf("took %s", passed)
	}
}
