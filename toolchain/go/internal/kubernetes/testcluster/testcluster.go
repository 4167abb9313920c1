// Package testcluster runs a bare Kubernetes control plane on loopback for tests: etcd,
// kube-apiserver and kube-controller-manager, without kubelet or scheduler.
package testcluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// BinariesVariable names a folder with the three programs; without it the checkout's own
// .toolchain/bin is used.
const BinariesVariable = "KUBERNETES_BINARIES"

const (
	startTimeout = 90 * time.Second
	adminToken   = "test-admin"
)

// ErrNoBinaries says that tests must be skipped, and why.
var ErrNoBinaries = errors.New("no control plane to test with")

// Cluster is a running control plane.
type Cluster struct {
	// Kubeconfig is the content of a kubeconfig of a cluster administrator.
	Kubeconfig string
	// Client is an administrator's client.
	Client kubernetes.Interface
	// Port of the API server.
	Port int

	dir       string
	processes []*exec.Cmd
	apiserver func() (*exec.Cmd, error)
}

// Binaries returns the folder of the control plane's programs.
func Binaries() (string, error) {
	dir := os.Getenv(BinariesVariable)
	if dir == "" {
		here, err := os.Getwd()
		if err != nil {
			return "", err
		}
		for ; ; here = filepath.Dir(here) {
			if dir = filepath.Join(here, ".toolchain", "bin"); isDir(dir) || here == filepath.Dir(here) {
				break
			}
		}
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%w: %s is not in %s; run `make up` once or set %s", ErrNoBinaries, name, dir, BinariesVariable)
		}
	}
	return dir, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Start runs a control plane below dir. Stop must be called, with an error too.
func Start(dir string) (*Cluster, error) {
	binaries, err := Binaries()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, Port: ports[2]}
	etcd, peer, secure, manager := ports[0], ports[1], ports[2], ports[3]
	keyFile := filepath.Join(dir, "service-account.key")
	if err := writeKey(keyFile); err != nil {
		return c, err
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(adminToken+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return c, err
	}
	if err := c.run(filepath.Join(binaries, "etcd"),
		"--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+local(etcd), "--advertise-client-urls="+local(etcd),
		"--listen-peer-urls="+local(peer), "--initial-advertise-peer-urls="+local(peer),
		"--initial-cluster=default="+local(peer)); err != nil {
		return c, err
	}
	c.apiserver = func() (*exec.Cmd, error) {
		return c.start(filepath.Join(binaries, "kube-apiserver"),
			"--etcd-servers="+local(etcd), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", secure),
			"--cert-dir="+filepath.Join(dir, "certificates"), "--authorization-mode=RBAC", "--token-auth-file="+tokens,
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+keyFile,
			"--service-account-signing-key-file="+keyFile, "--service-cluster-ip-range=10.0.0.0/24",
			"--endpoint-reconciler-type=none")
	}
	process, err := c.apiserver()
	if err != nil {
		return c, err
	}
	c.processes = append(c.processes, process)
	return c, c.finish(filepath.Join(binaries, "kube-controller-manager"), manager)
}

// finish waits for the API server, marks the cluster as embedded and starts the controllers.
func (c *Cluster) finish(controllerManager string, port int) error {
	c.Kubeconfig = fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`, c.Port, adminToken)
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(c.Kubeconfig))
	if err != nil {
		return err
	}
	if c.Client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := c.Await(); err != nil {
		return err
	}
	path := filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(path, []byte(c.Kubeconfig), 0o600); err != nil {
		return err
	}
	if err := c.run(controllerManager, "--kubeconfig="+path, "--authentication-kubeconfig="+path,
		"--authorization-kubeconfig="+path, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+filepath.Join(c.dir, "certificates"), "--leader-elect=false", "--use-service-account-credentials=false",
		"--service-account-private-key-file="+filepath.Join(c.dir, "service-account.key")); err != nil {
		return err
	}
	_, err = c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Create(context.Background(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "autoglm-embedded"}, Data: map[string]string{"purpose": "embedded"},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return c.until("the controllers run", func() error {
		_, err := c.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(context.Background(), "default", metav1.GetOptions{})
		return err
	})
}

// Await blocks until the API server is ready.
func (c *Cluster) Await() error {
	return c.until("the API server is ready", func() error {
		_, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		if err == nil {
			_, err = c.Client.CoreV1().Namespaces().Get(context.Background(), metav1.NamespaceSystem, metav1.GetOptions{})
		}
		return err
	})
}

func (c *Cluster) until(what string, check func() error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s: %w; logs are in %s", startTimeout, what, err, c.dir)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// StopAPIServer kills the API server; StartAPIServer runs it again on the same port.
func (c *Cluster) StopAPIServer() {
	process := c.processes[1]
	_ = process.Process.Kill()
	_ = process.Wait()
}

// StartAPIServer runs the API server again after StopAPIServer; it does not wait for it.
func (c *Cluster) StartAPIServer() (err error) {
	c.processes[1], err = c.apiserver()
	return err
}

// Stop ends all processes.
func (c *Cluster) Stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		_ = c.processes[i].Process.Kill()
		_ = c.processes[i].Wait()
	}
	c.processes = nil
}

func (c *Cluster) run(program string, args ...string) error {
	process, err := c.start(program, args...)
	if err == nil {
		c.processes = append(c.processes, process)
	}
	return err
}

func (c *Cluster) start(program string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, filepath.Base(program)+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	process := exec.Command(program, args...)
	process.Stdout, process.Stderr = log, log
	// A test that panics or is killed must leave nothing behind.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return process, process.Start()
}

func local(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// freePorts asks the kernel; all are held until all are known, so that they differ.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func writeKey(path string) error {
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := pem.Encode(&out, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}
