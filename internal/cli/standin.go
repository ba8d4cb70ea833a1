// Package cli is the command `caddy bws`.
package cli

// This file stands in for the rest of the package, which another branch has. It goes when that one comes.

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

const (
	exitFault    = 1
	exitUsage    = 2
	exitNegative = 3
)

var further []func() *cobra.Command

// Add adds a command to `caddy bws`.
func Add(command func() *cobra.Command) { further = append(further, command) }

// Setup makes a command of Caddy's `caddy bws`.
func Setup(cmd *cobra.Command) {
	for _, command := range further {
		cmd.AddCommand(command())
	}
}

type failure struct {
	code int
	text string
}

// Error is the text.
func (f *failure) Error() string { return f.text }

// Usage is an error in how a command is used.
func Usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...)}
}

func notWell(code int) error { return &failure{code: code} }

// Run makes a command of a function.
func Run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := f(cmd, args)
		if err == nil {
			return nil
		}
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		f, ok := errors.AsType[*failure](err)
		if !ok {
			f = &failure{exitFault, err.Error()}
		}
		if f.text != "" {
			cmd.PrintErrf("%s: %s\n", cmd.CommandPath(), f.text)
		}
		status := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return f.code, nil })(cmd, nil)
		if status == nil {
			return f
		}
		return errors.Join(f, status)
	}
}

// NoArguments refuses arguments.
func NoArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage("no argument is expected")
	}
	return nil
}

type configFlags struct{ config, adapter string }

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "Configuration file (default: the Caddyfile in this directory)")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply")
}

func (f *configFlags) load() ([]byte, error) {
	config, name, _, err := caddycmd.LoadConfig(f.config, f.adapter)
	if err == nil && name == "" {
		err = errors.New("there is no Caddyfile in this directory: name the configuration with --config")
	}
	return config, err
}

type output struct{ json bool }

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "Print one JSON document")
}

func (o *output) print(cmd *cobra.Command, document any, text func(w io.Writer)) error {
	if !o.json {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		text(w)
		return w.Flush()
	}
	encoded, err := json.Marshal(document, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(append(encoded, '\n'))
	return err
}

func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, cell := range cells {
		text[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

func plain(s string) string { return s }
