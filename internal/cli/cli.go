// Package cli is the command `caddy bws`: what an operator asks of services, tokens and a running Caddy, in words, or as JSON for
// scripts. It starts nothing, and takes secrets from the environment, from files or from the standard input, never from the command
// line, which everybody on the machine can read.
package cli

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// Short says in a line what the command is for.
const Short = "Asks and controls the gates' services"

// Long is the help of the command itself.
const Long = `
Asks and controls what lets requests through only if the BioID Web Service (BWS)
says so.

  probe, token, result    talk to BWS with the credentials of a service that a
                          configuration holds; Caddy need not run
  inspect                 decodes a token, and talks to nobody
  check                   says what the gates of a configuration would decide
                          about a request, and why, and talks to nobody
  services, revoke,       talk to a Caddy that runs, through its admin API
  rotate

Secrets and tokens come from the environment, from files or from the standard
input. None is an argument: every process on the machine can read those.

Every command prints text, or with --json one JSON document with fixed names,
and exits with

  0   done; what was asked about is well
  1   fault: something could not be read, reached or understood
  2   usage: flags, arguments or input are missing or wrong
  3   answered, but not well: refused, rejected, pending, failed, not ready

With 1 and 2, the standard output stays empty, except that of probe.
`

// Services returns the services of a configuration in Caddy's JSON, in the order of their names. It resolves no placeholder.
type Services func(config []byte) ([]Service, error)

// Service is a service of a configuration.
type Service struct {
	Name string
	// Connect returns a client with the service's credentials, which sends nothing by itself.
	Connect func() (*bws.Client, error)
}

// defaultService is the service that commands use unless they are told otherwise, as gates do.
const defaultService = "default"

// environment is what commands take from outside.
type environment struct {
	services Services
	now      func() time.Time
}

// further are the commands that other packages have added.
var further []func() *cobra.Command

// Add adds a command to `caddy bws`, from an init function. It does not matter which of them comes first: commands are put together
// after all.
func Add(command func() *cobra.Command) { further = append(further, command) }

// Setup makes a command of Caddy's `caddy bws`.
func Setup(cmd *cobra.Command, services Services) {
	e := &environment{services: services, now: time.Now}
	e.setup(cmd)
}

func (e *environment) setup(cmd *cobra.Command) {
	cmd.Args = noCommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return end(cmd, flagError(err)) })
	cmd.AddCommand(
		e.probe(),
		e.token(),
		e.result(),
		e.inspect(),
		e.listServices(),
		e.revoke(),
		e.rotate(),
	)
	for _, command := range further {
		cmd.AddCommand(command())
	}
	for _, command := range cmd.Commands() {
		command.ValidArgsFunction = cobra.NoFileCompletions // no argument is a file
	}
}

// noCommand refuses what is no command. It does not repeat it, which may be a token.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); args[0] != "" && len(similar) > 0 {
		return end(cmd, Usage("there is no such command: is it %s?", strings.Join(similar, " or ")))
	}
	return end(cmd, Usage("there is no such command: see %s --help", cmd.CommandPath()))
}

// pick returns the service of a name.
func (e *environment) pick(config []byte, name string) (*Service, error) {
	services, err := e.services(config)
	if err != nil {
		return nil, err
	}
	if len(services) == 0 {
		return nil, errNoService
	}
	i := slices.IndexFunc(services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		names := make([]string, len(services))
		for i, s := range services {
			names[i] = s.Name
		}
		return nil, Usage("the configuration has no service of that name: choose one of %s", strings.Join(names, ", "))
	}
	return &services[i], nil
}

var errNoService = errors.New(`the configuration has no service: add the global option "bws" with app_id and app_secret`)
