package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

// apiServer answers discovery of core/v1 and hands everything else to the handler.
func apiServer(t *testing.T, handler http.HandlerFunc) *cluster.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api":
			answer(w, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
		case "/apis":
			answer(w, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
		case "/api/v1":
			answer(w, metav1.APIResourceList{
				TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1",
				APIResources: []metav1.APIResource{{Name: "configmaps", Namespaced: true, Kind: "ConfigMap", Verbs: []string{"get"}}},
			})
		default:
			handler(w, r)
		}
	}))
	t.Cleanup(server.Close)
	client, err := cluster.Connect(&rest.Config{Host: server.URL, QPS: 100, Burst: 100}, 2*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, err *apierrors.StatusError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(err.ErrStatus.Code))
	_ = json.NewEncoder(w).Encode(err.ErrStatus)
}

var configMap = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x", "namespace": "n"}}

func TestBusyServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]*apierrors.StatusError{
		"429": apierrors.NewTooManyRequests("busy", 0),
		"500": apierrors.NewInternalError(errors.New("etcdserver: leader changed")),
		"503": apierrors.NewServiceUnavailable("starting"),
		"504": apierrors.NewTimeoutError("slow", 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
				if calls.Add(1) <= 2 {
					fail(w, refusal)
					return
				}
				answer(w, configMap)
			})
			if _, err := client.Apply(t.Context(), configMap, cluster.ApplyOptions{FieldManager: "test"}); err != nil || calls.Load() != 3 {
				t.Errorf("%v after %d calls", err, calls.Load())
			}
		})
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	client := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		fail(w, apierrors.NewBadRequest("no"))
	})
	if _, err := client.Apply(t.Context(), configMap, cluster.ApplyOptions{FieldManager: "test"}); !apierrors.IsBadRequest(err) || calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

func TestOnlyTheMarkedClusterIsWrittenTo(t *testing.T) {
	t.Parallel()
	marker := func(purpose string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"purpose": purpose}}
	}
	notFound := apierrors.NewNotFound(metav1.SchemeGroupVersion.WithResource("configmaps").GroupResource(), "autoglm-embedded")
	for name, c := range map[string]struct {
		respond http.HandlerFunc
		ours    bool
	}{
		"marked":    {func(w http.ResponseWriter, _ *http.Request) { answer(w, marker("embedded")) }, true},
		"otherwise": {func(w http.ResponseWriter, _ *http.Request) { answer(w, marker("production")) }, false},
		"not":       {func(w http.ResponseWriter, _ *http.Request) { fail(w, notFound) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := apiServer(t, c.respond).RequireEmbedded(t.Context())
			var foreign *cluster.ForeignServerError
			if c.ours && err != nil || !c.ours && !errors.As(err, &foreign) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOwnersOfFields(t *testing.T) {
	t.Parallel()
	entry := func(manager, fields string) any {
		return map[string]any{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": json.RawMessage(fields)}
	}
	var live map[string]any
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": []any{
		entry("me", `{"f:spec":{"f:template":{"f:spec":{}}}}`), entry("autoscaler", `{"f:spec":{"f:replicas":{}}}`),
	}}})
	if err == nil {
		err = json.Unmarshal(text, &live)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !cluster.OwnedByOthers(live, "me", []string{"spec", "replicas"}) {
		t.Error("replicas belong to the autoscaler")
	}
	if cluster.OwnedByOthers(live, "me", []string{"spec", "template"}) || cluster.OwnedByOthers(live, "me", []string{"spec", "other"}) {
		t.Error("the rest does not")
	}
}

func TestKubeconfigErrorsNeverRepeatTheContent(t *testing.T) {
	t.Parallel()
	const secret = "token: very-secret"
	for _, text := range []string{"clusters: [\n" + secret, "{" + secret, "no-such-file"} {
		_, err := cluster.ParseKubeconfig(text)
		if err == nil || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestUnreachableErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	err := &cluster.UnreachableError{Server: "https://x", Budget: 30 * time.Second, Err: fmt.Errorf("refused")}
	if !strings.Contains(err.Error(), "https://x did not answer within 30s: refused; start the cluster") {
		t.Error(err)
	}
}
