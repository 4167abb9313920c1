//go:build tools

package tools

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/etcdutl/v3"
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "sigs.k8s.io/kwok/cmd/kwok"
	_ "github.com/fluxcd/pkg/ssa"
	_ "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	_ "github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/cloudnativelabs/kube-router/pkg/controllers/netpol"
	_ "github.com/containernetworking/plugins/plugins/main/ptp"
	_ "github.com/containernetworking/plugins/plugins/main/bridge"
	_ "github.com/containernetworking/plugins/plugins/main/loopback"
	_ "github.com/containernetworking/plugins/plugins/meta/portmap"
	_ "github.com/containernetworking/plugins/plugins/ipam/host-local"
	_ "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)
