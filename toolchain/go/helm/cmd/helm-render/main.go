// Command helm-render prints the objects of a chart as Helm would install them: values checked against the
// chart's schema, templates run by Helm's own engine. It needs no cluster.
//
//	helm-render -chart DIRECTORY -values FILE.json -release NAME -namespace NAME -kubernetes v1.36.3
//
// Output: a JSON object of manifests by template.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "helm-render:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("helm-render", flag.ContinueOnError)
	directory := flags.String("chart", "", "directory of the chart")
	file := flags.String("values", "", "JSON file with the values")
	release := flags.String("release", "", "name of the release")
	namespace := flags.String("namespace", "", "namespace of the release")
	kubernetes := flags.String("kubernetes", "", "version of the cluster")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	chart, err := loader.Load(*directory)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	values := map[string]any{}
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	if err := chartutil.ProcessDependencies(chart, values); err != nil {
		return err
	}
	version, err := chartutil.ParseKubeVersion(*kubernetes)
	if err != nil {
		return err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: *release, Namespace: *namespace, Revision: 1, IsInstall: true}
	given, err := chartutil.ToRenderValues(chart, values, options, capabilities)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(chart, given)
	if err != nil {
		return err
	}
	manifests := map[string]string{}
	for _, definition := range chart.CRDObjects() {
		manifests[definition.Filename] = string(definition.File.Data)
	}
	for name, manifest := range rendered {
		if path.Ext(name) == ".yaml" && strings.TrimSpace(manifest) != "" {
			manifests[name] = manifest
		}
	}
	return json.NewEncoder(os.Stdout).Encode(manifests)
}
