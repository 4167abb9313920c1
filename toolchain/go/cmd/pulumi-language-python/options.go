package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// parseOptions reads the runtime options of Pulumi.yaml or PulumiPolicy.yaml.
func parseOptions(info *pulumirpc.ProgramInfo) (toolchain.PythonOptions, error) {
	options := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	for key, value := range info.GetOptions().AsMap() {
		text, ok := value.(string)
		if !ok {
			return options, fmt.Errorf("runtime option %s: %v is not a string", key, value)
		}
		var allowed []string
		switch key {
		case "virtualenv":
			options.Virtualenv = text
		case "toolchain":
			allowed = []string{"auto", "pip", "poetry", "uv"}
			switch text {
			case "pip":
				options.Toolchain = toolchain.Pip
			case "poetry":
				options.Toolchain = toolchain.Poetry
			case "uv":
				options.Toolchain = toolchain.Uv
			}
		case "typechecker":
			allowed = []string{"none", "mypy", "pyright"}
			switch text {
			case "mypy":
				options.Typechecker = toolchain.TypeCheckerMypy
			case "pyright":
				options.Typechecker = toolchain.TypeCheckerPyright
			}
		default:
			return options, fmt.Errorf("unknown runtime option %q; known: toolchain, typechecker, virtualenv", key)
		}
		if allowed != nil && !slices.Contains(allowed, text) {
			return options, fmt.Errorf("runtime option %s: %q is not one of %v", key, text, allowed)
		}
	}
	return options, nil
}

func resolve(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options, err := parseOptions(info)
	if err != nil {
		return nil, err
	}
	return toolchain.ResolveToolchain(options)
}

// entryPoint is the path that Python runs: a directory with __main__.py, or a file.
func entryPoint(info *pulumirpc.ProgramInfo) string {
	return filepath.Join(info.GetProgramDirectory(), info.GetEntryPoint())
}
