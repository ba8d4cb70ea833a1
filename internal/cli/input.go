package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws"
)

// tokenVariable is the variable of the environment that may hold a token.
const tokenVariable = "BWS_TOKEN"

// maxInput is more than any token with blanks around it has.
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
		file, err := os.Open(f.file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		return readShort(file)
	case f.file == "" && os.Getenv(tokenVariable) != "":
		return os.Getenv(tokenVariable), nil
	}
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); ok && isTerminal(file) {
		cmd.PrintErrln("Paste the token, press Enter, and then Ctrl-D:")
	}
	return readShort(in)
}

// readShort reads what is to be short.
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
