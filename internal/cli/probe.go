package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// madeUpToken is well-formed, long expired, and signed by nobody. Whoever takes it for a token is no BWS.
const madeUpToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbmlkIjoiY2FkZHktYndzLXByb2JlIiwibmJmIjoxLCJleHAiOjJ9.bm9ib2R5"

// probed is what was found out about a service.
type probed struct {
	Service  string           `json:"service"`
	Endpoint string           `json:"endpoint"`
	AppID    string           `json:"app_id"`
	OK       bool             `json:"ok"`
	Version  string           `json:"version"`
	Label    string           `json:"label"`
	Features []offeredFeature `json:"features"`
	Checks   []probeCheck     `json:"checks"`
}

type offeredFeature struct {
	Name       string `json:"name"`
	Traits     string `json:"traits"`
	Storage    string `json:"storage"`
	Partitions string `json:"partitions"`
}

// probeCheck is one thing that was tried.
type probeCheck struct {
	// Check is "configuration", or the API that was called: "status" or "result".
	Check   string  `json:"check"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	diagnosis
}

func (e *environment) probe() *cobra.Command {
	var flags configFlags
	var out output
	cmd := &cobra.Command{
		Use:   "probe [<service>] [--config <path> [--adapter <name>]] [--envfile <path>] [--json]",
		Short: "Asks BWS for its status, and whether it takes a service's credentials",
		Long: `
Reads the configuration as Caddy would, and asks BWS in the name of a service, or
of all that are configured, what it says about itself, and about a made-up token.
Neither costs anything or changes anything. Says what is wrong, and what to do.

Caddy need not run. Placeholders such as {env.BWS_APP_SECRET} take their values
from the environment of this command, which may be another one than Caddy's:
--envfile adds what a file has.

Exits with 0 if all is well, 3 if BWS refuses the credentials, and 1 for anything
else that is wrong.`,
		Example: `  caddy bws probe
  caddy bws probe --config /etc/caddy/Caddyfile --envfile /etc/caddy/bws.env
  caddy bws probe --json selfhosted`,
		Args: oneService,
		RunE: Run(func(cmd *cobra.Command, args []string) error {
			config, err := flags.load()
			if err != nil {
				return err
			}
			services, err := e.chosen(config, args)
			if err != nil {
				return err
			}
			found := make([]probed, len(services))
			for i := range services {
				found[i] = probe(cmd.Context(), &services[i])
			}
			if err := out.print(cmd, found, func(w io.Writer) { printProbed(w, found) }); err != nil {
				return err
			}
			return worst(found)
		}),
	}
	flags.add(cmd)
	out.add(cmd)
	return cmd
}

// chosen returns the service that is named, or all.
func (e *environment) chosen(config []byte, args []string) ([]Service, error) {
	if len(args) > 0 {
		service, err := e.pick(config, args[0])
		if err != nil {
			return nil, err
		}
		return []Service{*service}, nil
	}
	services, err := e.services(config)
	if err == nil && len(services) == 0 {
		err = errNoService
	}
	return services, err
}

// probe finds out about a service.
func probe(ctx context.Context, service *Service) probed {
	found := probed{Service: service.Name, Features: []offeredFeature{}}
	client, err := service.Connect()
	if err != nil {
		found.add("configuration", 0, diagnosis{Outcome: outcomeMisconfigured, Detail: err.Error(), Remedy: configurationRemedy})
		return found
	}
	defer client.CloseIdleConnections()
	found.Endpoint, found.AppID = client.Endpoint(), client.AppID()

	start := time.Now()
	status, err := client.Status(ctx)
	d := diagnose(err)
	found.add("status", time.Since(start), d)
	found.Version, found.Label = status.Version, status.Label
	for _, f := range status.Features {
		found.Features = append(found.Features, offeredFeature(f))
	}
	if d.Outcome == outcomeUnavailable || d.Outcome == outcomeTimedOut {
		found.Checks = append(found.Checks, probeCheck{Check: "result", diagnosis: diagnosis{Outcome: outcomeSkipped}})
		return found
	}
	start = time.Now()
	_, err = client.Result(ctx, madeUpToken)
	found.add("result", time.Since(start), diagnoseMadeUp(err))
	found.OK = found.exit() == 0
	return found
}

func (p *probed) add(check string, took time.Duration, d diagnosis) {
	p.Checks = append(p.Checks, probeCheck{
		Check: check, OK: d.Outcome == outcomeOK, Seconds: took.Round(100 * time.Microsecond).Seconds(), diagnosis: d,
	})
}

// diagnoseMadeUp explains what became of a token that BWS must reject.
func diagnoseMadeUp(err error) diagnosis {
	switch {
	case errors.Is(err, bws.ErrTokenRejected):
		return diagnosis{Outcome: outcomeOK}
	case err == nil, errors.Is(err, bws.ErrNoResult):
		d := diagnose(bws.ErrInvalidResponse)
		d.Detail = "bws result: it accepts a made-up token, which BWS never does"
		return d
	}
	return diagnose(err)
}

// exit is what the worst of the checks ends with.
func (p *probed) exit() (code int) {
	for i := range p.Checks {
		code = worse(code, p.Checks[i].exit())
	}
	return code
}

// worst ends the command with what the worst of the services ends with, unless all is well.
func worst(found []probed) error {
	code := 0
	for i := range found {
		code = worse(code, found[i].exit())
	}
	if code == 0 {
		return nil
	}
	return notWell(code)
}

// worse returns the exit code that counts: a fault before a refusal, since it may hide one.
func worse(a, b int) int {
	if a == exitFault || b == exitFault {
		return exitFault
	}
	return max(a, b)
}

func printProbed(w io.Writer, found []probed) {
	for i := range found {
		p := &found[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		row(w, "service", p.Service)
		if p.Endpoint != "" {
			row(w, "endpoint", p.Endpoint)
			row(w, "app_id", plain(p.AppID))
		}
		for j := range p.Checks {
			c := &p.Checks[j]
			row(w, c.Check, c.words(p))
			if c.Remedy != "" && (j == 0 || p.Checks[j-1].Remedy != c.Remedy) {
				row(w, "", "to do: "+c.Remedy)
			}
		}
		for _, f := range p.Features {
			row(w, "offers", fmt.Sprintf("%s (%s) for %s/%s/*", plain(f.Name), plain(f.Traits), plain(f.Storage), plain(f.Partitions)))
		}
	}
}

// words says in a line what came of a check.
func (c *probeCheck) words(p *probed) string {
	switch {
	case c.Outcome == outcomeSkipped:
		return "not asked"
	case !c.OK:
		return "NOT OK: " + c.Detail
	case c.Check == "status":
		return fmt.Sprintf("ok, in %gs: version %s, %s", c.Seconds, plain(p.Version), orNone(p.Label))
	}
	return fmt.Sprintf("ok, in %gs: the credentials are accepted, a made-up token is not", c.Seconds)
}
