// Command pulumi-resource-kubernetes is a Pulumi plugin for the embedded cluster. It stands
// in for the official plugin of the same name where that cannot be downloaded.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	kubernetes "autoglm.dev/platform/toolchain/internal/kubernetes/provider"
)

// version can be set by -ldflags "-X main.version=4.34.2"; otherwise the plugin is of the
// version that its directory says.
var version string

// unversioned is what a plugin outside a plugin directory calls itself.
const unversioned = "0.0.0"

// installedVersion reads PULUMI_HOME/plugins/resource-kubernetes-vX.Y.Z/. The path as it was
// called comes first: the program file may be a link to where it was built.
func installedVersion() string {
	paths := []string{os.Args[0]}
	if executable, err := os.Executable(); err == nil {
		paths = append(paths, executable)
	}
	for _, path := range paths {
		if v, ok := strings.CutPrefix(filepath.Base(filepath.Dir(path)), "resource-kubernetes-v"); ok {
			return v
		}
	}
	return unversioned
}

func main() {
	if version == "" {
		version = installedVersion()
	}
	err := provider.Main("kubernetes", func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		var log kubernetes.Logger
		if host != nil {
			log = host
		}
		return kubernetes.New(version, log), nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
