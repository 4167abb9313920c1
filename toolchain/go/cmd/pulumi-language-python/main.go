// Command pulumi-language-python runs Pulumi programs and policy packs that are written in Python.
//
// It stands in for Pulumi's own host of the same name, which is not published as a Go module: same protocol, same
// options in Pulumi.yaml, and the same pulumi-language-python-exec (from the SDK's module), which is expected in the
// directory of this command. It only runs; it generates no code.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// engineCheckInterval is how often the host asks whether the engine that started it still lives.
const engineCheckInterval = time.Minute

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-python:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	flags := flag.NewFlagSet("pulumi-language-python", flag.ContinueOnError)
	tracing := flags.String("tracing", "", "endpoint for traces, handed on to programs")
	logFlow := flags.Bool("logflow", false, "hand log settings on to child processes")
	logToStderr := flags.Bool("logtostderr", false, "log to standard error")
	verbosity := flags.Int("v", 0, "log level")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *verbosity > 0 || *logToStderr {
		logging.InitLogging(*logToStderr, *verbosity, *logFlow)
	}

	// Ctrl-C does not reach the host, which the engine puts in a process group of its own: an interrupt is the
	// engine's way to end it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	host := &languageHost{engine: flags.Arg(0), tracing: *tracing}
	if host.engine != "" {
		if err := rpcutil.Healthcheck(ctx, host.engine, engineCheckInterval, stop); err != nil {
			return fmt.Errorf("watch the engine at %s: %w", host.engine, err)
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
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(server.Port) // the engine reads the port from the first line
	return <-server.Done
}
