// Command pulumi-resource-plan lets `pulumi preview` run where a provider's own plugin cannot be had.
//
// It is installed under a provider's name and version (resource-aws-v7.1.0/pulumi-resource-aws) and takes both from
// there. It accepts well-formed inputs and leaves every output unknown; it creates, changes, reads and looks up
// nothing, and says so when it is asked to.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

const engineCheckInterval = time.Minute

// installation is the directory that a plugin is installed in, by the engine's own layout.
var installation = regexp.MustCompile(`^resource-([a-z0-9-]+)-v(\d+\.\d+\.\d+\S*)$`)

func main() {
	if err := serve(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// identify reads a plugin's name and version from the path it was started by.
func identify(path string) (name, version string, err error) {
	found := installation.FindStringSubmatch(filepath.Base(filepath.Dir(path)))
	if found == nil {
		return "", "", fmt.Errorf("%s: install it as plugins/resource-NAME-vX.Y.Z/pulumi-resource-NAME", path)
	}
	return found[1], found[2], nil
}

func serve(argv []string) error {
	path, err := filepath.Abs(argv[0])
	if err != nil {
		return err
	}
	name, version, err := identify(path)
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet(filepath.Base(path), flag.ContinueOnError)
	flags.String("tracing", "", "ignored")
	flags.Bool("logflow", false, "ignored")
	flags.Bool("logtostderr", false, "ignored")
	flags.Int("v", 0, "ignored")
	if err := flags.Parse(argv[1:]); err != nil {
		return err
	}

	// An interrupt comes from the engine; Ctrl-C does not reach plugins, which have process groups of their own.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if engine := flags.Arg(0); engine != "" {
		if err := rpcutil.Healthcheck(ctx, engine, engineCheckInterval, stop); err != nil {
			return fmt.Errorf("watch the engine at %s: %w", engine, err)
		}
	}
	cancel := make(chan bool)
	go func() {
		<-ctx.Done()
		close(cancel)
	}()
	server, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(server, &planner{name: name, version: version})
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(server.Port) // the engine reads the port from the first line
	return <-server.Done
}
