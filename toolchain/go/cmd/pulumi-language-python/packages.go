package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// listPackages runs in the program's interpreter. It needs no pip, which `python -m venv --without-pip` leaves out.
//
//go:embed packages.py
var listPackages string

// installedPackage is one line of packages.py.
type installedPackage struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Plugin  *pluginFile `json:"plugin"`
}

// pluginFile is a package's pulumi-plugin.json.
type pluginFile struct {
	Resource         bool   `json:"resource"`
	Name             string `json:"name"`
	Version          string `json:"version"`
	Server           string `json:"server"`
	Parameterization *struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Value   []byte `json:"value"`
	} `json:"parameterization"`
}

func installedPackages(ctx context.Context, python toolchain.Toolchain) ([]installedPackage, error) {
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	command, err := python.Command(ctx, "-c", listPackages)
	if err != nil {
		return nil, err
	}
	output, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("list the packages of %s: %w", command.Path, err)
	}
	var packages []installedPackage
	if err := json.Unmarshal(output, &packages); err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", command.Path, err)
	}
	return packages, nil
}

func requiredPackages(ctx context.Context, python toolchain.Toolchain) ([]*pulumirpc.PackageDependency, error) {
	installed, err := installedPackages(ctx, python)
	if err != nil {
		return nil, err
	}
	var required []*pulumirpc.PackageDependency
	for _, one := range installed {
		if one.Plugin != nil && one.Plugin.Resource {
			required = append(required, dependency(one))
		}
	}
	return required, nil
}

func dependency(one installedPackage) *pulumirpc.PackageDependency {
	result := &pulumirpc.PackageDependency{
		Kind:    "resource",
		Name:    one.Plugin.Name,
		Version: "v" + one.Plugin.Version,
		Server:  one.Plugin.Server,
	}
	if parameters := one.Plugin.Parameterization; parameters != nil {
		result.Parameterization = &pulumirpc.PackageParameterization{
			Name: parameters.Name, Version: parameters.Version, Value: parameters.Value,
		}
	}
	return result
}
