package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func options(parameters map[string]string) controller.ProvisionOptions {
	policy := v1.PersistentVolumeReclaimDelete
	return controller.ProvisionOptions{
		StorageClass:     &storagev1.StorageClass{ReclaimPolicy: &policy, Parameters: parameters},
		PVName:           "pvc-1",
		PVC:              &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "space", Name: "data"}},
		SelectedNodeName: "node",
	}
}

func TestAClaimGetsADirectoryThatAnyUserMayWrite(t *testing.T) {
	p := &provisioner{root: t.TempDir(), node: "node"}
	volume, _, err := p.Provision(context.Background(), options(nil))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.root, "space_data_pvc-1")
	if volume.Spec.Local.Path != path {
		t.Errorf("path %s, want %s", volume.Spec.Local.Path, path)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, error %v; want 0777", info.Mode(), err)
	}
	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestASharedDirectoryOutlivesItsVolume(t *testing.T) {
	shared := t.TempDir()
	p := &provisioner{root: t.TempDir(), node: "node"}
	volume, _, err := p.Provision(context.Background(), options(map[string]string{sharedPathParameter: shared}))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(shared); err != nil {
		t.Errorf("the shared directory is gone: %v", err)
	}
}

func TestNothingOutsideTheRootIsRemoved(t *testing.T) {
	p := &provisioner{root: t.TempDir(), node: "node"}
	outside := t.TempDir()
	for _, path := range []string{outside, p.root, filepath.Join(p.root, "a", "b"), p.root + "/../" + filepath.Base(outside)} {
		volume := &v1.PersistentVolume{Spec: v1.PersistentVolumeSpec{
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
		}}
		if err := p.Delete(context.Background(), volume); err == nil {
			t.Errorf("%s was removed", path)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheNodeWithTheDirectoryProvides(t *testing.T) {
	p := &provisioner{root: t.TempDir(), node: "node"}
	elsewhere := options(nil)
	elsewhere.SelectedNodeName = "simulated"
	if _, state, err := p.Provision(context.Background(), elsewhere); err == nil || state != controller.ProvisioningReschedule {
		t.Errorf("state %s, error %v; want a reschedule", state, err)
	}
}
