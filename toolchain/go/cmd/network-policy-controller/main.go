// Command network-policy-controller enforces NetworkPolicy on its node with iptables and ipset. It runs kube-router's
// policy controller as a library, without kube-router's router and service proxy: kube-proxy does the latter.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// missedSyncs is how many periodic syncs in a row may fail to start before the controller calls itself unhealthy.
const missedSyncs = 3

type arguments struct {
	kubeconfig    string
	nodeName      string
	serviceCIDR   string
	healthAddress string
	syncPeriod    time.Duration
	cleanup       bool
}

func parse() arguments {
	var a arguments
	klog.InitFlags(nil)
	flag.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file; empty means the pod's service account")
	flag.StringVar(&a.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of the node whose pods are guarded")
	flag.StringVar(&a.serviceCIDR, "service-cluster-ip-range", "", "CIDR of the services' cluster IPs")
	flag.StringVar(&a.healthAddress, "health-address", "127.0.0.1:20244", "address that answers /healthz and /readyz")
	flag.DurationVar(&a.syncPeriod, "sync-period", time.Minute, "longest time between two full syncs")
	flag.BoolVar(&a.cleanup, "cleanup", false, "remove every chain and set the controller made, then exit")
	flag.Parse()
	return a
}

func run(a arguments) error {
	if a.nodeName == "" || a.serviceCIDR == "" {
		return errors.New("--node-name and --service-cluster-ip-range are required")
	}
	restConfig, err := clientcmd.BuildConfigFromFlags("", a.kubeconfig)
	if err != nil {
		return fmt.Errorf("client configuration: %w", err)
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}

	config := options.NewKubeRouterConfig()
	config.RunFirewall = true
	config.HostnameOverride = a.nodeName
	config.ClusterIPCIDR = a.serviceCIDR
	config.IPTablesSyncPeriod = a.syncPeriod
	// The library prefers NODE_NAME over the host's name, which may be the name of another node.
	if err := os.Setenv("NODE_NAME", a.nodeName); err != nil {
		return err
	}

	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(stop) {
		if !synced {
			return fmt.Errorf("cache of %v did not fill", kind)
		}
	}

	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("event handler: %w", err)
		}
	}

	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 16)
	var lastSync atomic.Int64
	go func() {
		for beat := range heartbeats {
			lastSync.Store(beat.LastHeartBeat.UnixNano())
		}
	}()
	go serveHealth(a.healthAddress, &lastSync, missedSyncs*a.syncPeriod)

	var running sync.WaitGroup
	running.Add(1)
	go controller.Run(heartbeats, stop, &running)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	// Rules stay in place: a restart of the controller must not open the pods it guards.
	close(stop)
	running.Wait()
	return nil
}

// serveHealth answers 200 while the last sync is younger than limit, else 503.
func serveHealth(address string, lastSync *atomic.Int64, limit time.Duration) {
	handler := func(response http.ResponseWriter, _ *http.Request) {
		age := time.Since(time.Unix(0, lastSync.Load()))
		if age > limit {
			http.Error(response, fmt.Sprintf("last sync %s ago, limit %s", age.Round(time.Second), limit),
				http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(response, "ok")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", handler)
	mux.HandleFunc("/readyz", handler)
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	klog.Fatalf("health server: %v", server.ListenAndServe())
}

func main() {
	a := parse()
	if a.cleanup {
		(&netpol.NetworkPolicyController{}).Cleanup()
		return
	}
	if err := run(a); err != nil {
		fmt.Fprintln(os.Stderr, "network-policy-controller:", strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
}
