//go:build tools

// Package tools names the commands of containerd that the embedded cluster runs.
//
// It is a module of its own because containerd follows a newer k8s.io/cri-api than the kubelet that is pinned next
// to it, and one module can hold only one of the two.
package tools

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
