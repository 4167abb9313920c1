// Command local-volume-provisioner serves the embedded cluster's storage classes with directories of the one node.
//
// Class parameters: without any, each claim gets an empty directory of its own below --root, removed with the claim;
// with `sharedPath`, every claim of the class gets that existing directory, read-only, and it is never removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// provisionerName is what a StorageClass names.
	provisionerName = "autoglm.dev/local"
	// sharedPathParameter is the class parameter and the volume annotation of directories that claims share.
	sharedPathParameter  = "sharedPath"
	sharedPathAnnotation = "autoglm.dev/shared-path"
	// recycleLabel marks static volumes that may be bound again as soon as their claim is gone.
	recycleLabel = "autoglm.dev/rebind"
)

type provisioner struct {
	// root is the directory below which claims get theirs; the same path on the node and in this container.
	root string
	node string
}

// Provision implements controller.Provisioner.
func (p *provisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume,
	controller.ProvisioningState, error) {
	if mode := o.PVC.Spec.VolumeMode; mode != nil && *mode == v1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("volumeMode Block is not supported; use Filesystem")
	}
	if o.SelectedNodeName != "" && o.SelectedNodeName != p.node {
		return nil, controller.ProvisioningReschedule,
			fmt.Errorf("node %s has no storage; only %s has", o.SelectedNodeName, p.node)
	}
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{
					Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.node},
				}},
			}}}},
		},
	}
	path := filepath.Join(p.root, strings.Join([]string{o.PVC.Namespace, o.PVC.Name, o.PVName}, "_"))
	if shared := o.StorageClass.Parameters[sharedPathParameter]; shared != "" {
		path = shared
		volume.Annotations = map[string]string{sharedPathAnnotation: shared}
	} else {
		if err := os.MkdirAll(path, 0o777); err != nil {
			return nil, controller.ProvisioningFinished, err
		}
		// Pods of any user id write here; the directory above is closed to other users of the machine.
		if err := os.Chmod(path, 0o777); err != nil {
			return nil, controller.ProvisioningFinished, err
		}
	}
	volume.Spec.Local = &v1.LocalVolumeSource{Path: path}
	return volume, controller.ProvisioningFinished, nil
}

// Delete implements controller.Provisioner.
func (p *provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	if volume.Annotations[sharedPathAnnotation] != "" {
		return nil
	}
	if volume.Spec.Local == nil {
		return &controller.IgnoredError{Reason: "not a local volume"}
	}
	path := filepath.Clean(volume.Spec.Local.Path)
	if filepath.Dir(path) != filepath.Clean(p.root) {
		return fmt.Errorf("refusing to remove %s: not directly below %s", path, p.root)
	}
	return os.RemoveAll(path)
}

// rebind frees released volumes that carry recycleLabel: their content outlives claims, so the next claim may have them.
func rebind(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) error {
	free := func(object any) {
		volume, ok := object.(*v1.PersistentVolume)
		if !ok || volume.Labels[recycleLabel] != "true" || volume.Status.Phase != v1.VolumeReleased {
			return
		}
		patch := []byte(fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"spec":{"claimRef":null}}`, volume.ResourceVersion))
		_, err := client.CoreV1().PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			klog.Warningf("volume %s stays released: %v", volume.Name, err)
		}
	}
	_, err := factory.Core().V1().PersistentVolumes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    free,
		UpdateFunc: func(_, current any) { free(current) },
	})
	return err
}

func run() error {
	klog.InitFlags(nil)
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file; empty means the pod's service account")
	root := flag.String("root", "", "directory that holds the volumes, the same path on the node and here")
	node := flag.String("node-name", os.Getenv("NODE_NAME"), "name of the node that has the directory")
	flag.Parse()
	if *root == "" || *node == "" {
		return errors.New("--root and --node-name are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	factory := informers.NewSharedInformerFactory(client, 0)
	if err := rebind(ctx, client, factory); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	controller.NewProvisionController(ctx, client, provisionerName, &provisioner{root: *root, node: *node},
		controller.LeaderElection(false)).Run(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "local-volume-provisioner:", err)
		os.Exit(1)
	}
}
