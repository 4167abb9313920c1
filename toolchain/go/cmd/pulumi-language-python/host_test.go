package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/protobuf/types/known/structpb"
)

func programInfo(t *testing.T, root string, options map[string]any) *pulumirpc.ProgramInfo {
	t.Helper()
	encoded, err := structpb.NewStruct(options)
	if err != nil {
		t.Fatal(err)
	}
	return &pulumirpc.ProgramInfo{RootDirectory: root, ProgramDirectory: root, EntryPoint: ".", Options: encoded}
}

func TestOptionsOfPulumiYaml(t *testing.T) {
	options, err := parseOptions(programInfo(t, "/project", map[string]any{
		"toolchain": "pip", "virtualenv": ".venv", "typechecker": "mypy",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := toolchain.PythonOptions{
		Root: "/project", ProgramDir: "/project", Virtualenv: ".venv",
		Toolchain: toolchain.Pip, Typechecker: toolchain.TypeCheckerMypy,
	}
	if options != want {
		t.Errorf("got %+v, want %+v", options, want)
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		message string
	}{
		"unknown option": {map[string]any{"virtual_env": "x"}, `unknown runtime option "virtual_env"`},
		"unknown value":  {map[string]any{"toolchain": "conda"}, `"conda" is not one of`},
		"not a string":   {map[string]any{"virtualenv": 3}, "is not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(programInfo(t, "/project", c.options))
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got error %v, want it to say %q", err, c.message)
			}
		})
	}
}

func TestExecutorArguments(t *testing.T) {
	host := &languageHost{engine: "127.0.0.1:1"}
	request := &pulumirpc.RunRequest{
		MonitorAddress: "127.0.0.1:2", Project: "p", Stack: "s", Organization: "o", Parallel: 4, Pwd: "/project",
		DryRun: true, Args: []string{"x"}, Info: programInfo(t, "/project", nil),
	}
	got := strings.Join(host.arguments(request), " ")
	want := "--monitor 127.0.0.1:2 --engine 127.0.0.1:1 --project p --root_directory /project --stack s " +
		"--organization o --parallel 4 --pwd /project --dry_run true /project x"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	request.DryRun = false
	if slices.Contains(host.arguments(request), "--dry_run") {
		t.Error("an update must not be marked as a dry run")
	}
}

func TestExitCodes(t *testing.T) {
	run := func(code string) error { return exec.Command("sh", "-c", "exit "+code).Run() }
	if r, err := runResponse("p", nil); err != nil || r.GetBail() || r.GetError() != "" {
		t.Errorf("success: %v, %v", r, err)
	}
	if r, err := runResponse("p", run("32")); err != nil || !r.GetBail() || r.GetError() != "" {
		t.Errorf("an error that was shown must not be shown again: %v, %v", r, err)
	}
	if r, err := runResponse("p", run("1")); err != nil || r.GetBail() || !strings.Contains(r.GetError(), "exit status 1") {
		t.Errorf("other failures carry the exit code: %v, %v", r, err)
	}
	if _, err := runResponse("p", errors.New("no such file")); err == nil {
		t.Error("a program that did not start is an error of the call")
	}
}

func TestPolicyPackKnowsItsStack(t *testing.T) {
	variables, err := policyEnvironment(&pulumirpc.AnalyzerStackConfigureRequest{
		Organization: "o", Project: "p", Stack: "s", DryRun: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PULUMI_CONFIG={}", "PULUMI_PROJECT=p", "PULUMI_STACK=s", "PULUMI_DRY_RUN=true"} {
		if !slices.Contains(variables, want) {
			t.Errorf("%v lacks %s", variables, want)
		}
	}
	if none, err := policyEnvironment(nil); err != nil || none != nil {
		t.Errorf("outside a deployment nothing is set: %v, %v", none, err)
	}
}

func TestRequiredPackagesComeFromInstalledDistributions(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on PATH")
	}
	root := t.TempDir()
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", filepath.Join(root, "venv")).CombinedOutput(); err != nil {
		t.Skipf("this python3 makes no virtual environments: %s", out)
	}
	site, err := filepath.Glob(filepath.Join(root, "venv", "lib", "python3*", "site-packages"))
	if err != nil || len(site) != 1 {
		t.Fatalf("site-packages: %v, %v", site, err)
	}
	install := func(name, module, plugin string) {
		for path, content := range map[string]string{
			filepath.Join(name+"-1.2.3.dist-info", "METADATA"): "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.2.3\n",
			filepath.Join(name+"-1.2.3.dist-info", "RECORD"):   module + "/pulumi-plugin.json,,\n",
			filepath.Join(module, "pulumi-plugin.json"):        plugin,
		} {
			file := filepath.Join(site[0], path)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	install("pulumi_cloud", "pulumi_cloud", `{"resource": true, "name": "cloud", "version": "4.5.6"}`)
	install("pulumi_plain", "pulumi_plain", `{"resource": false}`)
	install("pulumi_unversioned", "pulumi_unversioned", `{"resource": true}`)

	response, err := (&languageHost{}).GetRequiredPackages(context.Background(), &pulumirpc.GetRequiredPackagesRequest{
		Info: programInfo(t, root, map[string]any{"toolchain": "pip", "virtualenv": "venv"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range response.GetPackages() {
		got = append(got, one.GetKind()+" "+one.GetName()+" "+one.GetVersion())
	}
	want := []string{"resource cloud v4.5.6", "resource unversioned v1.2.3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
