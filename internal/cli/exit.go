package cli

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What commands exit with, apart from 0. The help of `caddy bws` says when.
const (
	exitFault    = 1
	exitUsage    = 2
	exitNegative = 3
)

// failure is an error with what to exit with. Any other error is a fault.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

// Usage is an error in how a command is used.
func Usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...)}
}

func negative(format string, args ...any) error {
	return &failure{exitNegative, fmt.Sprintf(format, args...)}
}

// notWell ends a command whose output says all.
func notWell(code int) error { return &failure{code: code} }

// ended is a failure that has been reported.
type ended struct {
	*failure
	// status is the error from which Caddy takes the exit code; nil for 1.
	status error
}

func (e *ended) Unwrap() []error {
	if e.status == nil {
		return []error{e.failure}
	}
	return []error{e.failure, e.status}
}

// Run makes a command of a function. Its error is printed; it is a fault unless it says otherwise.
func Run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return end(cmd, f(cmd, args)) }
}

// end reports an error, if there is one, and makes Caddy exit with its code.
func end(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{exitFault, err.Error()}
	}
	if text := err.Error(); text != "" {
		cmd.PrintErrf("%s: %s\n", cmd.CommandPath(), text)
	}
	exit := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return f.code, nil })
	return &ended{f, exit(cmd, nil)}
}

// flagError says what is wrong with a flag, without its value: that may be a secret that was meant for the standard input.
func flagError(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := invalid.GetFlag()
		if flag.Value.Type() == "bool" {
			return Usage("--%s takes no value", flag.Name)
		}
		return Usage("--%s: not a valid value; see --help", flag.Name)
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return Usage("--%s: the value is missing", missing.GetFlag().Name)
	}
	return Usage("there is no such flag; see --help")
}

// NoArguments refuses arguments.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return end(cmd, Usage("no argument is expected; tokens and secrets are none, since every process can read them"))
}

// oneService accepts the name of a service, or nothing.
func oneService(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return end(cmd, Usage("one argument is expected at most, the name of a service"))
	case len(args) == 1 && args[0] == "":
		return end(cmd, Usage("the name of the service is empty: is a variable unset?"))
	}
	return nil
}
