package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/cli"
	"github.com/caddy-bws/caddy-bws/internal/loopback"
)

func init() {
	cli.Add(emulateCommand)
}

// secretVariable is the variable of the environment that may hold the App-Secret.
const secretVariable = "BWS_APP_SECRET"

// emulateOptions are the flags of the command.
type emulateOptions struct {
	listen, appID, secretFile string
	enrolled                  []string
}

// emulateCommand returns the command `caddy bws emulate`.
func emulateCommand() *cobra.Command {
	var o emulateOptions
	cmd := &cobra.Command{
		Use:   "emulate [--listen <address>] [--app-id <id>] [--app-secret-file <path>] [--enrolled <bcid>]...",
		Short: "Runs an emulator of BWS, for development only",
		Long: `
Runs an emulator of the BioID Web Service (BWS) until it is interrupted. It has no
biometrics: whoever is enrolled is recognized, and whoever can reach it chooses the
outcome of every operation. It therefore listens on this machine only. What it
knows is gone when it ends.

The App-Secret comes from the file that --app-secret-file names, or else from the
variable BWS_APP_SECRET. It is never an argument, since every process on the machine
can read those.

This command exists only in builds with the emulator, which are for development.`,
		Example: `  BWS_APP_SECRET=demo-secret caddy bws emulate --enrolled bws/1/42
  caddy bws emulate --listen localhost:9090 --app-id demo --app-secret-file secret`,
		Args: cli.NoArguments,
		RunE: cli.Run(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.emulate(ctx, cmd)
		}),
	}
	cmd.Flags().StringVarP(&o.listen, "listen", "l", "localhost:9080", "Loopback address to listen on")
	cmd.Flags().StringVar(&o.appID, "app-id", "demo", "The only App-ID that it knows")
	cmd.Flags().StringVar(&o.secretFile, "app-secret-file", "", "File with the App-Secret")
	cmd.Flags().StringSliceVar(&o.enrolled, "enrolled", nil, "Person who is known from the start, as storage/partition/class")
	return cmd
}

// emulate serves until ctx ends.
func (o *emulateOptions) emulate(ctx context.Context, cmd *cobra.Command) error {
	service, err := o.service()
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil || !loopback.Is(host) {
		return cli.Usage("--listen: use an address of this machine, such as localhost:9080: whoever reaches the emulator is its master")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), o.welcome(listener.Addr()))
	server := &http.Server{Handler: service, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// service returns the emulated service.
func (o *emulateOptions) service() (*bwstest.Service, error) {
	secret, err := o.secret()
	switch {
	case err != nil:
		return nil, err
	case secret == "":
		return nil, cli.Usage("there is no App-Secret: name its file with --app-secret-file, or set %s", secretVariable)
	case o.appID == "" || strings.Contains(o.appID, ":"):
		return nil, cli.Usage("--app-id: use one that is not empty and has no colon")
	}
	s := bwstest.New(bwstest.Config{AppID: o.appID, AppSecret: secret})
	for _, bcid := range o.enrolled {
		person, err := parsePerson(bcid)
		if err != nil {
			return nil, cli.Usage("--%v", err)
		}
		s.Enroll(person)
	}
	return s, nil
}

func (o *emulateOptions) secret() (string, error) {
	if o.secretFile == "" {
		return os.Getenv(secretVariable), nil
	}
	text, err := cli.ReadFile("app-secret-file", o.secretFile)
	// Caddy's {file.*} leaves out one line break at the end, and the service under test reads the file with it.
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), err
}

// welcome says how to use the emulator. It shows no secret.
func (o *emulateOptions) welcome(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	host, _, _ := net.SplitHostPort(o.listen)
	base := "http://" + net.JoinHostPort(host, port)
	secret := "{env." + secretVariable + "}"
	if o.secretFile != "" {
		secret = "{file." + o.secretFile + "}"
	}
	return fmt.Sprintf(`This is an emulator of BWS, for development only. Point a service at it:

	bws {
		endpoint   %s%s
		app_id     %s
		app_secret %s
	}

and a login at its page with the camera:

	login {
		ui %s%s
	}

It ends with Ctrl-C.
`, base, bwstest.Base, o.appID, secret, base, bwstest.PerformTask)
}
