package cli

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/internal/adminapi"
)

// serving is how a service is doing, as the admin API tells.
type serving struct {
	adminapi.Service
	// Problems are what keeps the service from working, in the words of the denials it leads to.
	Problems []problem `json:"problems"`
}

type problem struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

func (e *environment) listServices() *cobra.Command {
	var admin adminFlags
	var out output
	cmd := &cobra.Command{
		Use:   "services [--address <address>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Lists the services of a running Caddy, and what is wrong with them",
		Long: `
Lists the services of the Caddy that runs: the state of the breaker, calls to BWS
under way, tokens that are remembered, keys for sessions and assertions, when the
storage was read last; and what keeps a service from working, in the words of the
denials that it leads to.
` + adminHelp + `
Exits with 0 if all services are ready, and with 3 if one is not.`,
		Example: `  caddy bws services
  caddy bws services --json --address localhost:2020`,
		Args: NoArguments,
		RunE: Run(func(cmd *cobra.Command, _ []string) error {
			services, err := admin.services()
			if err != nil {
				return err
			}
			if err := out.print(cmd, services, func(w io.Writer) { printServices(w, services, e.now()) }); err != nil {
				return err
			}
			for i := range services {
				if len(services[i].Problems) > 0 {
					return notWell(exitNegative)
				}
			}
			return nil
		}),
	}
	admin.add(cmd)
	out.add(cmd)
	return cmd
}

// services asks how the services are doing, and what is wrong with them.
func (f *adminFlags) services() ([]serving, error) {
	listed, err := f.call(http.MethodGet, "/bws/services", nil)
	if err != nil {
		return nil, err
	}
	var services []serving
	if err := listed.read(&services); err != nil {
		return nil, err
	}
	health, err := f.call(http.MethodGet, "/bws/health", nil)
	if err != nil {
		return nil, err
	}
	var ill adminapi.Health
	if health.status == http.StatusServiceUnavailable {
		if json.Unmarshal(health.body, &ill) != nil {
			return nil, health.refusal()
		}
	} else if err := health.read(&ill); err != nil {
		return nil, err
	}
	for i := range services {
		services[i].Problems = []problem{}
		for _, p := range ill.Problems {
			if p.Service == services[i].Name {
				services[i].Problems = append(services[i].Problems, problem{p.Reason, p.Detail})
			}
		}
	}
	return services, nil
}

func printServices(w io.Writer, services []serving, now time.Time) {
	if len(services) == 0 {
		fmt.Fprintln(w, "Caddy runs, but no service is configured.")
		return
	}
	for i := range services {
		s := &services[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		row(w, "service", plain(s.Name))
		row(w, "endpoint", plain(s.Endpoint))
		row(w, "breaker", plain(s.Breaker))
		row(w, "calls", fmt.Sprintf("%d of %d under way", s.Inflight, s.MaxInflight))
		row(w, "remembered", fmt.Sprintf("%d of %d tokens", s.Remembered, s.CacheSize))
		for _, k := range s.Keys {
			row(w, "key", fmt.Sprintf("%s of %ss, %s", plain(k.ID), plain(k.Purpose), use(k)))
		}
		if s.LastSync == nil {
			row(w, "storage", "never read")
		} else {
			row(w, "storage", "read "+span(now.Sub(*s.LastSync))+" ago")
		}
		if len(s.Problems) == 0 {
			row(w, "ready", "yes")
		}
		for _, p := range s.Problems {
			row(w, "NOT READY", fmt.Sprintf("%s: %s", plain(p.Reason), plain(p.Detail)))
		}
	}
}

// use is since when a key is used, or until when it is not.
func use(k adminapi.Key) string {
	age := time.Duration(k.Age) * time.Second
	if age < 0 {
		return "used in " + span(-age)
	}
	return "used for " + span(age)
}
