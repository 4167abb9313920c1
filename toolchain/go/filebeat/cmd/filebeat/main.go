// Command filebeat is Filebeat with the one input that the platform's configuration uses.
//
// Everything between the input and the output is the module's own: queue, processors, registry.
package main

import (
	"os"

	"github.com/elastic/beats/v7/filebeat/beater"
	"github.com/elastic/beats/v7/filebeat/cmd"
	"github.com/elastic/beats/v7/filebeat/input/filestream"
	v2 "github.com/elastic/beats/v7/filebeat/input/v2"
	"github.com/elastic/beats/v7/libbeat/beat"
	"github.com/elastic/beats/v7/libbeat/logp"
)

func inputs(_ beat.Info, log *logp.Logger, components beater.StateStore) []v2.Plugin {
	return []v2.Plugin{filestream.Plugin(log, components)}
}

func main() {
	if err := cmd.Filebeat(inputs, cmd.FilebeatSettings()).Execute(); err != nil {
		os.Exit(1)
	}
}
