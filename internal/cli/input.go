package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// tokenVariable is the variable of the environment that may hold a token.
const tokenVariable = "BWS_TOKEN"

// maxInput is longer than any token with the blanks around it.
const maxInput = 2 * bws.MaxTokenLength

// tokenHelp is the part of a help text that says where the token comes from.
const tokenHelp = `
The token comes from the file that --token-file names, or else from the variable
BWS_TOKEN, or else from the standard input. It is never an argument, since every
process on the machine can read those.
`

// tokenFlags say where a token is.
type tokenFlags struct{ file string }

func (f *tokenFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "token-file", "f", "", "File with the token; - is the standard input")
}

// read returns the token without the blanks around it.
func (f *tokenFlags) read(cmd *cobra.Command) (string, error) {
	text, err := f.open(cmd)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(text)
	if token == "" {
		return "", Usage("there is no token: pipe it in, name its file with --token-file, or set %s", tokenVariable)
	}
	return token, nil
}

func (f *tokenFlags) open(cmd *cobra.Command) (string, error) {
	switch {
	case f.file != "" && f.file != "-":
		text, err := ReadFile("token-file", f.file)
		if err != nil {
			return "", err
		}
		return readShort(strings.NewReader(text))
	case f.file == "" && os.Getenv(tokenVariable) != "":
		return os.Getenv(tokenVariable), nil
	}
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); ok && isTerminal(file) {
		cmd.PrintErrln("Paste the token, press Enter, and then Ctrl-D:")
	}
	return readShort(in)
}

// ReadFile reads a file that a flag names. The error does not repeat the name, which may be what should have been in the file.
func ReadFile(flag, name string) (string, error) {
	text, err := os.ReadFile(name)
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		err = failure.Err
	}
	if err != nil {
		return "", fmt.Errorf("--%s: the file cannot be read: %w", flag, err)
	}
	return string(text), nil
}

// readShort reads a token, and refuses what is too long to be one.
func readShort(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	if len(text) > maxInput {
		return "", Usage("that is longer than a token can be")
	}
	return string(text), nil
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
