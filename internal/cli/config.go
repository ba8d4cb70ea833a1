package cli

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// configFlags say where a configuration is, as those of `caddy run` do.
type configFlags struct {
	config, adapter string
	envfiles        []string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "Configuration file (default: the Caddyfile in this directory)")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply")
	cmd.Flags().StringSliceVar(&f.envfiles, "envfile", nil, "Environment file(s) to load")
}

// load reads the configuration and adapts it to JSON. Nothing of it is set up.
func (f *configFlags) load() ([]byte, error) {
	for _, name := range f.envfiles {
		if err := loadEnvfile(name); err != nil {
			return nil, err
		}
	}
	if err := quieten(); err != nil {
		return nil, err
	}
	config, name, _, err := caddycmd.LoadConfig(f.config, f.adapter)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("there is no Caddyfile in this directory: name the configuration with --config")
	}
	return config, nil
}

// quieten keeps Caddy from logging what it does all the time: which file it reads, or that a Caddyfile is not formatted.
func quieten() error {
	_, err := caddy.ProvisionContext(&caddy.Config{Logging: QuietLogging()})
	return err
}

// QuietLogging is how a command logs: errors alone.
func QuietLogging() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
}

// serviceFlags choose a service of a configuration.
type serviceFlags struct {
	configFlags
	service string
}

func (f *serviceFlags) add(cmd *cobra.Command) {
	f.configFlags.add(cmd)
	cmd.Flags().StringVarP(&f.service, "service", "s", defaultService, "Name of the service")
}

// configurationRemedy is what to do if a service of a configuration is incomplete.
const configurationRemedy = "correct the configuration; placeholders take their values from the environment of this command, to which " +
	"--envfile adds"

// connect returns a client of the chosen service.
func (e *environment) connect(f *serviceFlags) (*bws.Client, error) {
	config, err := f.load()
	if err != nil {
		return nil, err
	}
	service, err := e.pick(config, f.service)
	if err != nil {
		return nil, err
	}
	client, err := service.Connect()
	if err != nil {
		return nil, fmt.Errorf("service %q: %w: %s", service.Name, err, configurationRemedy)
	}
	return client, nil
}
