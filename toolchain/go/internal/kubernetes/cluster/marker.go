package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The embedded cluster carries this ConfigMap (data.purpose=embedded).
const (
	markerNamespace = metav1.NamespaceSystem
	markerName      = "autoglm-embedded"
)

// marker remembers that the server was recognised; a refusal is never remembered, so that
// a cluster that is still starting can be tried again.
type marker struct{ embedded bool }

// ForeignServerError says that the API server is not the embedded cluster's.
type ForeignServerError struct{ Server string }

func (e *ForeignServerError) Error() string {
	return fmt.Sprintf("Kubernetes API server %s is not the embedded cluster (ConfigMap %s/%s is missing): "+
		"this build of the kubernetes plugin writes to no other cluster. Use the official plugin "+
		"(`pulumi plugin install resource kubernetes`) or point the provider's kubeconfig at the embedded cluster",
		e.Server, markerNamespace, markerName)
}

// RequireEmbedded fails with a ForeignServerError unless the server is the embedded one.
func (c *Client) RequireEmbedded(ctx context.Context) error {
	c.mu.Lock()
	known := c.marker.embedded
	c.mu.Unlock()
	if known {
		return nil
	}
	var found *corev1.ConfigMap
	err := c.retry(ctx, nil, func(ctx context.Context) (err error) {
		found, err = c.Typed.CoreV1().ConfigMaps(markerNamespace).Get(ctx, markerName, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return &ForeignServerError{c.server}
	case err != nil:
		return err
	case found.Data["purpose"] != "embedded":
		return &ForeignServerError{c.server}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marker.embedded = true
	return nil
}
