package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

const (
	// adminPatience is how long an answer of the admin API may take. Caddy's own request would wait for ever.
	adminPatience = 30 * time.Second
	// maxAnswer is more than the admin API has to say.
	maxAnswer = 4 << 20
)

// adminHelp is the part of a help text that says which Caddy is asked.
const adminHelp = `
Asks the Caddy that runs, at its admin API: the address that --address gives, or
else that of the configuration that --config names, or else localhost:2019.
`

// adminFlags say where the admin API is, as those of `caddy stop` do.
type adminFlags struct {
	address, config, adapter string
	patience                 time.Duration
}

func (f *adminFlags) add(cmd *cobra.Command) {
	f.patience = adminPatience
	cmd.Flags().StringVar(&f.address, "address", "", "Address of the admin API")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "Configuration file that has the address")
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply")
}

// adminAnswer is what the admin API says.
type adminAnswer struct {
	status int
	body   []byte
}

// call calls an endpoint of the admin API. The error is that of a call without an answer.
func (f *adminFlags) call(method, path string, body any) (*adminAnswer, error) {
	if err := quieten(); err != nil {
		return nil, err
	}
	address, err := caddycmd.DetermineAdminAPIAddress(f.address, nil, f.config, f.adapter)
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	type outcome struct {
		answer *adminAnswer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		answer, err := request(address, method, path, content)
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, fmt.Errorf("the admin API at %s: %w; is Caddy running, and is that its address?", address, o.err)
		}
		return o.answer, nil
	case <-time.After(f.patience):
		return nil, fmt.Errorf("the admin API at %s does not answer within %s: see Caddy's log", address, f.patience)
	}
}

// refused is how Caddy's function reports any status that is an error.
var refused = regexp.MustCompile(`(?s)^caddy responded with error: HTTP (\d{3}): (.*)$`)

func request(address, method, path string, body io.Reader) (*adminAnswer, error) {
	response, err := caddycmd.AdminAPIRequest(address, method, path, nil, body)
	if err != nil {
		parts := refused.FindStringSubmatch(err.Error())
		if parts == nil {
			return nil, err
		}
		status, _ := strconv.Atoi(parts[1])
		return &adminAnswer{status, []byte(parts[2])}, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return &adminAnswer{response.StatusCode, text}, err
}

// read reads the answer to a call that succeeded. An answer that refuses is the error.
func (a *adminAnswer) read(into any) error {
	if a.status >= http.StatusBadRequest {
		return a.refusal()
	}
	if json.Unmarshal(a.body, into) != nil {
		return errors.New("the admin API gives an answer of another form: is that Caddy older or newer than this one?")
	}
	return nil
}

func (a *adminAnswer) refusal() error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.body, &said) != nil || said.Error == "" {
		if a.status == http.StatusNotFound {
			return negative("that Caddy knows no services: was it built with this module?")
		}
		return negative("Caddy refuses, with status %d", a.status)
	}
	return negative("Caddy refuses: %s", plain(said.Error))
}
