package caddybws

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/cli"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "bws", Usage: "<command>", Short: cli.Short, Long: cli.Long,
		CobraFunc: func(cmd *cobra.Command) { cli.Setup(cmd, configuredServices) },
	})
}

// written is what a configuration says of services, and of what their sources of certificates may need.
type written struct {
	Apps struct {
		BWS json.RawMessage `json:"bws"`
		PKI json.RawMessage `json:"pki"`
	} `json:"apps"`
	Storage json.RawMessage `json:"storage"`
}

// configuredServices returns the services of a configuration. None is set up.
func configuredServices(config []byte) ([]cli.Service, error) {
	var w written
	if err := json.Unmarshal(config, &w); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if isUnset(w.Apps.BWS) {
		return nil, nil
	}
	var app App
	if err := caddy.StrictUnmarshalJSON(w.Apps.BWS, &app); err != nil {
		return nil, fmt.Errorf("reading the app bws: %w", err)
	}
	services := make([]cli.Service, 0, len(app.Services))
	for _, name := range slices.Sorted(maps.Keys(app.Services)) {
		services = append(services, cli.Service{Name: name, Connect: func() (*bws.Client, error) {
			return w.connect(app.Services[name])
		}})
	}
	return services, nil
}

// connect returns a client of a service, with nothing else around it.
func (w *written) connect(s *Service) (*bws.Client, error) {
	if s == nil {
		return nil, errNullService
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	d, err := s.define()
	if err != nil {
		return nil, err
	}
	if isUnset(s.TLSTrustPoolRaw) {
		return d.connect(nil)
	}
	around := &caddy.Config{Logging: cli.QuietLogging(), StorageRaw: w.Storage}
	if !isUnset(w.Apps.PKI) {
		around.AppsRaw = caddy.ModuleMap{"pki": w.Apps.PKI}
	}
	ctx, err := caddy.ProvisionContext(around)
	if err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(ctx)
	defer cancel()
	rootCAs, err := s.trustPool(ctx)
	if err != nil {
		return nil, err
	}
	return d.connect(rootCAs)
}
