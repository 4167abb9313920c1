package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	sdk "github.com/pulumi/pulumi/sdk/v3"
)

const (
	executorName = "pulumi-language-python-exec"

	// reportedExitCode is how the executor says that the user has already been shown the error.
	reportedExitCode = 32
)

type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	engine  string
	tracing string
}

// Handshake tells the host which engine started it.
func (host *languageHost) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	host.engine = request.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

// GetPluginInfo answers with the version of the SDK that the host is built from.
func (*languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// GetRequiredPackages lists the provider plugins that the installed packages ask for.
func (*languageHost) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	python, err := resolve(request.GetInfo())
	if err != nil {
		return nil, err
	}
	packages, err := requiredPackages(ctx, python)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, nil
}

// GetRequiredPlugins is the older form of GetRequiredPackages, which the engine no longer asks for.
func (*languageHost) GetRequiredPlugins(
	context.Context, *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return nil, status.Error(codes.Unimplemented, "GetRequiredPackages replaces GetRequiredPlugins")
}

// Run executes a program until it has registered its resources.
func (host *languageHost) Run(
	ctx context.Context, request *pulumirpc.RunRequest,
) (*pulumirpc.RunResponse, error) {
	python, err := resolve(request.GetInfo())
	if err != nil {
		return nil, err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	executor, err := executorPath()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(orEmpty(request.GetConfig()))
	if err != nil {
		return nil, err
	}
	secretKeys, err := json.Marshal(append([]string{}, request.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	command, err := python.Command(ctx, append([]string{executor}, host.arguments(request)...)...)
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr // the engine shows a host's output as the program's
	command.Env = append(environment(command),
		"PULUMI_CONFIG="+string(config),
		"PULUMI_CONFIG_SECRET_KEYS="+string(secretKeys))
	return runResponse(entryPoint(request.GetInfo()), command.Run())
}

// arguments are the executor's, in the order that it documents.
func (host *languageHost) arguments(request *pulumirpc.RunRequest) []string {
	arguments := []string{
		"--monitor", request.GetMonitorAddress(),
		"--engine", host.engine,
		"--project", request.GetProject(),
		"--root_directory", request.GetInfo().GetRootDirectory(),
		"--stack", request.GetStack(),
		"--organization", request.GetOrganization(),
		"--parallel", strconv.Itoa(int(request.GetParallel())),
		"--pwd", request.GetPwd(),
	}
	if request.GetDryRun() {
		arguments = append(arguments, "--dry_run", "true")
	}
	if host.tracing != "" {
		arguments = append(arguments, "--tracing", host.tracing)
	}
	return append(append(arguments, entryPoint(request.GetInfo())), request.GetArgs()...)
}

func runResponse(program string, err error) (*pulumirpc.RunResponse, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == reportedExitCode:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program %s ended with %s", program, exit)}, nil
	default:
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
}

// RunPlugin executes a policy pack or a provider that is written in Python and streams its output.
func (host *languageHost) RunPlugin(
	request *pulumirpc.RunPluginRequest, server pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	ctx := server.Context()
	python, err := resolve(request.GetInfo())
	if err != nil {
		return err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(server, false)
	if err != nil {
		return err
	}
	defer closer.Close()

	program := entryPoint(request.GetInfo())
	if request.GetKind() != string(apitype.AnalyzerPlugin) {
		command, err := python.Command(ctx, append([]string{program}, request.GetArgs()...)...)
		if err != nil {
			return err
		}
		command.Dir, command.Stdout, command.Stderr = request.GetPwd(), stdout, stderr
		command.Env = append(environment(command), request.GetEnv()...)
		return sendExitCode(server, command.Run())
	}

	// The Python SDK reads the stack's settings from the environment when it starts, while the engine sends them in a
	// call to the running pack: the SDK's proxy takes that call, and the pack is started with what it said.
	proxy, packStdout, err := sdk.NewPolicyProxy(ctx, stdout)
	if err != nil {
		return err
	}
	stack, err := proxy.AwaitConfiguration(ctx)
	if err != nil {
		return fmt.Errorf("await the configuration of policy pack %s: %w", program, err)
	}
	variables, err := policyEnvironment(stack)
	if err != nil {
		return err
	}
	command, err := python.ModuleCommand(ctx, "pulumi.policy", append(request.GetArgs(), program)...)
	if err != nil {
		return err
	}
	command.Dir, command.Stdout, command.Stderr = request.GetInfo().GetProgramDirectory(), packStdout, stderr
	command.Env = append(append(environment(command), request.GetEnv()...), variables...)
	if err := command.Start(); err != nil {
		return fmt.Errorf("start policy pack %s: %w", program, err)
	}
	return sendExitCode(server, proxy.Attach(ctx, command))
}

// policyEnvironment is what a Python policy pack knows of the stack; stack is nil outside a deployment.
func policyEnvironment(stack *pulumirpc.AnalyzerStackConfigureRequest) ([]string, error) {
	if stack == nil {
		return nil, nil
	}
	config, err := json.Marshal(orEmpty(stack.GetConfig()))
	if err != nil {
		return nil, err
	}
	return []string{
		"PULUMI_CONFIG=" + string(config),
		"PULUMI_ORGANIZATION=" + stack.GetOrganization(),
		"PULUMI_PROJECT=" + stack.GetProject(),
		"PULUMI_STACK=" + stack.GetStack(),
		"PULUMI_DRY_RUN=" + strconv.FormatBool(stack.GetDryRun()),
	}, nil
}

func sendExitCode(server pulumirpc.LanguageRuntime_RunPluginServer, err error) error {
	var exit *exec.ExitError
	code := 0
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		return err
	}
	return server.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(code)},
	})
}

// InstallDependencies makes the virtual environment that the program's options name.
func (*languageHost) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	python, err := resolve(request.GetInfo())
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, request.GetIsTerminal())
	if err != nil {
		return err
	}
	defer closer.Close()
	return python.InstallDependencies(server.Context(), request.GetInfo().GetProgramDirectory(),
		request.GetUseLanguageVersionTools(), true /*showOutput*/, stdout, stderr)
}

// RuntimeOptionsPrompts asks for nothing: the options are in Pulumi.yaml.
func (*languageHost) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

// About answers `pulumi about`.
func (*languageHost) About(
	ctx context.Context, request *pulumirpc.AboutRequest,
) (*pulumirpc.AboutResponse, error) {
	python, err := resolve(request.GetInfo())
	if err != nil {
		return nil, err
	}
	about, err := python.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{
		Executable: about.PythonExecutable,
		Version:    about.PythonVersion.String(),
		Metadata:   map[string]string{},
	}, nil
}

// GetProgramDependencies answers `pulumi about` with the installed packages.
func (*languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	python, err := resolve(request.GetInfo())
	if err != nil {
		return nil, err
	}
	installed, err := installedPackages(ctx, python)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, one := range installed {
		response.Dependencies = append(response.Dependencies,
			&pulumirpc.DependencyInfo{Name: one.Name, Version: one.Version})
	}
	return response, nil
}

// executorPath finds the SDK's executor in the directory of this command.
func executorPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), executorName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s must lie next to %s: %w", executorName, self, err)
	}
	return path, nil
}

func environment(command *exec.Cmd) []string {
	if command.Env != nil {
		return command.Env
	}
	return os.Environ()
}

// orEmpty keeps a missing map from becoming null: the SDK reads it as a dictionary.
func orEmpty(values map[string]string) map[string]string {
	if values == nil {
		return map[string]string{}
	}
	return values
}
