package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// defaultRequestTimeout bounds one request when the settings do not; client-go has no bound.
const defaultRequestTimeout = 20 * time.Second

// Client of one API server. It is safe for concurrent use; every operation is retried
// for RetryBudget while the server is down, busy or failing.
type Client struct {
	// Typed serves built-in kinds: pods, logs, events.
	Typed kubernetes.Interface

	server         string
	dynamic        dynamic.Interface
	mapper         meta.ResettableRESTMapper
	requestTimeout time.Duration
	budget         time.Duration
	marker         marker
	mu             sync.Mutex
}

// Connect makes a client; it sends nothing yet. Warnings of the server go to warn.
func Connect(config *rest.Config, timeout time.Duration, warn WarningFunc) (*Client, error) {
	if timeout <= 0 {
		timeout = defaultRequestTimeout
	}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = warn
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	return newClient(config.Host, typed, dyn, mapper, timeout), nil
}

func newClient(
	server string, typed kubernetes.Interface, dyn dynamic.Interface, mapper meta.ResettableRESTMapper, timeout time.Duration,
) *Client {
	return &Client{
		Typed: typed, server: server, dynamic: dyn, mapper: mapper, requestTimeout: timeout, budget: RetryBudget,
	}
}

// Server is the address of the API server.
func (c *Client) Server() string { return c.server }

// Ping asks once whether the server answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Typed.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	return err
}

// Forget drops what is known about the server's kinds, after a CRD came or went.
func (c *Client) Forget() { c.mapper.Reset() }

// Serves tells whether the server knows a kind.
func (c *Client) Serves(gvk schema.GroupVersionKind) bool {
	_, err := c.mapping(gvk)
	return err == nil
}

// Namespaced tells whether objects of a kind live in namespaces.
func (c *Client) Namespaced(gvk schema.GroupVersionKind) (bool, error) {
	mapping, err := c.mapping(gvk)
	if err != nil {
		return false, err
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// mapping looks a kind up; the mapper itself discovers again on a miss.
func (c *Client) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	return c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

func (c *Client) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapping(gvk)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return c.dynamic.Resource(mapping.Resource), nil
}

// Ref names one object.
type Ref struct {
	GVK             schema.GroupVersionKind
	Namespace, Name string
}

func (r Ref) String() string { return fmt.Sprintf("%s %s", r.GVK.Kind, object.ID(r.Namespace, r.Name)) }

// RefOf names the object that a tree describes.
func RefOf(tree map[string]any) Ref {
	u := unstructured.Unstructured{Object: tree}
	return Ref{u.GroupVersionKind(), object.Namespace(tree), object.Name(tree)}
}

// Get reads an object. The error is a NotFound or NoMatch error where there is none.
func (c *Client) Get(ctx context.Context, ref Ref) (map[string]any, error) {
	var live *unstructured.Unstructured
	err := c.retry(ctx, nil, func(ctx context.Context) error {
		client, err := c.resource(ref.GVK, ref.Namespace)
		if err != nil {
			return err
		}
		live, err = client.Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return live.Object, nil
}

// ApplyOptions of a server-side apply.
type ApplyOptions struct {
	FieldManager string
	// Force takes fields over that others own.
	Force bool
	// DryRun makes the server compute the result without keeping it.
	DryRun bool
	// Settle waits for namespaces, CRDs and quotas that are being created at the same time.
	Settle bool
}

// Apply sends a tree by server-side apply and returns the object that results.
func (c *Client) Apply(ctx context.Context, tree map[string]any, options ApplyOptions) (map[string]any, error) {
	body, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	patch := metav1.PatchOptions{FieldManager: options.FieldManager, Force: &options.Force}
	if options.DryRun {
		patch.DryRun = []string{metav1.DryRunAll}
	}
	var also func(error) bool
	if options.Settle {
		also = settling
	}
	return c.patch(ctx, RefOf(tree), types.ApplyPatchType, body, patch, also)
}

func (c *Client) patch(
	ctx context.Context, ref Ref, kind types.PatchType, body []byte, options metav1.PatchOptions, also func(error) bool,
) (map[string]any, error) {
	var live *unstructured.Unstructured
	err := c.retry(ctx, also, func(ctx context.Context) error {
		client, err := c.resource(ref.GVK, ref.Namespace)
		if err != nil {
			return err
		}
		live, err = client.Patch(ctx, ref.Name, kind, body, options)
		return err
	})
	if err != nil {
		return nil, err
	}
	return live.Object, nil
}

// Delete asks for an object's deletion; it does not wait for it.
func (c *Client) Delete(ctx context.Context, ref Ref, propagation metav1.DeletionPropagation) error {
	return c.retry(ctx, nil, func(ctx context.Context) error {
		client, err := c.resource(ref.GVK, ref.Namespace)
		if err != nil {
			return err
		}
		return client.Delete(ctx, ref.Name, metav1.DeleteOptions{PropagationPolicy: &propagation})
	})
}

// Watch one object from a resource version on. The channel closes when the server ends the
// watch, which is normal.
func (c *Client) Watch(ctx context.Context, ref Ref, resourceVersion string) (watch.Interface, error) {
	client, err := c.resource(ref.GVK, ref.Namespace)
	if err != nil {
		return nil, err
	}
	return client.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, ref.Name).String(),
		ResourceVersion: resourceVersion,
	})
}
