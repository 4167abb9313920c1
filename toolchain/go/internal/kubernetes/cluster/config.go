// Package cluster talks to one Kubernetes API server: connection settings, retries,
// server-side apply and the check that the server is the embedded one.
package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Settings say which API server to use and how.
type Settings struct {
	// Kubeconfig is the content of a kubeconfig file or the path of one; empty means
	// $KUBECONFIG, ~/.kube/config or the pod's service account.
	Kubeconfig string
	// Context and Cluster override the kubeconfig's current context and its cluster.
	Context, Cluster string
	// Namespace is the default namespace; empty means the context's.
	Namespace string
	// QPS and Burst limit the rate of requests per second; Timeout bounds one request.
	QPS     float32
	Burst   int
	Timeout time.Duration
}

// ParseKubeconfig reads kubeconfig content, or the file it names. Errors never repeat the content.
func ParseKubeconfig(pathOrContent string) (*clientcmdapi.Config, error) {
	if path, ok := existingFile(pathOrContent); ok {
		return clientcmd.LoadFromFile(path)
	}
	config, err := clientcmd.Load([]byte(pathOrContent))
	if err != nil || (len(config.Clusters) == 0 && len(config.Contexts) == 0) {
		if !strings.ContainsAny(pathOrContent, "\n{") {
			return nil, fmt.Errorf("kubeconfig: there is no file %q; give a path that exists or the content itself", pathOrContent)
		}
		return nil, errors.New("kubeconfig: the content is not a kubeconfig (neither clusters nor contexts can be read from it)")
	}
	return config, nil
}

func existingFile(text string) (string, bool) {
	if strings.ContainsAny(text, "\n{") {
		return "", false
	}
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			text = filepath.Join(home, rest)
		}
	}
	info, err := os.Stat(text)
	return text, err == nil && !info.IsDir()
}

// Load resolves the settings to a client configuration and the default namespace.
func (s Settings) Load() (config *rest.Config, namespace string, err error) {
	overrides := &clientcmd.ConfigOverrides{
		CurrentContext: s.Context,
		Context:        clientcmdapi.Context{Cluster: s.Cluster, Namespace: s.Namespace},
	}
	var loader clientcmd.ClientConfig
	if s.Kubeconfig != "" {
		parsed, err := ParseKubeconfig(s.Kubeconfig)
		if err != nil {
			return nil, "", err
		}
		loader = clientcmd.NewDefaultClientConfig(*parsed, overrides)
	} else {
		loader = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			clientcmd.NewDefaultClientConfigLoadingRules(), overrides)
	}
	if namespace, _, err = loader.Namespace(); err != nil {
		return nil, "", fmt.Errorf("kubeconfig: %w", err)
	}
	if config, err = loader.ClientConfig(); err != nil {
		return nil, namespace, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS, config.Burst = s.QPS, s.Burst
	config.UserAgent = "pulumi-kubernetes"
	return config, namespace, nil
}
