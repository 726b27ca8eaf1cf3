package contract_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// repository is the top of the repository.
const repository = "../../.."

func TestMain(m *testing.M) {
	code := m.Run()
	if made, _ := folder(); made != "" {
		_ = os.RemoveAll(made)
	}
	os.Exit(code)
}

// folder makes the folder once, as a user does.
var folder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "contract")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("make", "--no-print-directory", "-C", repository, "contract", "CONTRACT="+dir)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("make contract: %w\n%s", err, out)
	}
	return dir, nil
})

func needFolder(t *testing.T) string {
	t.Helper()
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// protos returns the folder's .proto files below some of its directories.
func protos(t *testing.T, dir string, below ...string) (files []string) {
	t.Helper()
	for _, b := range below {
		found, err := filepath.Glob(filepath.Join(dir, b, "*.proto"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no .proto files in %s: %v", b, err)
		}
		for _, path := range found {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
	}
	return files
}

// run runs a program in a directory and returns its output.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", program, err, out, stderr.String())
	}
	return string(out)
}

// readFile returns the text of a file of the repository.
func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// glob returns the files of the repository that match a pattern.
func glob(t *testing.T, pattern string) (paths []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, filepath.FromSlash(pattern)))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	for _, path := range found {
		relative, err := filepath.Rel(repository, path)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.ToSlash(relative))
	}
	return paths
}

// installing is held while packages of npm are installed.
var installing sync.Mutex

// nodePackages returns a directory with packages of npm, which stays between runs.
func nodePackages(t *testing.T, packages ...string) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	npm := testenv.NeedProgram(t, "npm")
	name := strings.NewReplacer("@", "", "/", "-").Replace(strings.Join(packages, "-"))
	dir, err := filepath.Abs(filepath.Join(repository, ".build", "npm", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(dir, "installed")
	if _, err := os.Stat(installed); err == nil {
		return dir
	}
	install := exec.CommandContext(t.Context(), npm, append([]string{"install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts"}, packages...)...)
	if out, err := install.CombinedOutput(); err != nil {
		testenv.SkipMissing(t, fmt.Sprintf("way to npm's packages: %v\n%s", err, out))
	}
	if err := os.WriteFile(installed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// script copies a script of testdata to where its packages are, until the test ends.
func script(t *testing.T, dir, name string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "*-"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.Write(source); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// service is a running participation with raffle 1, which is open.
type service struct {
	at      participation.Addresses
	nats    *natstest.Server
	raffles rafflev1.RaffleServiceClient
	entries rafflev1.ParticipationServiceClient
}

// startParticipation starts the service with settings that change makes.
func startParticipation(t *testing.T, change ...func(*participation.Config)) *service {
	t.Helper()
	s := &service{nats: natstest.Start(t)}
	cfg := participation.DefaultConfig()
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = pgtest.URL(t), s.nats.URL(), true
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	for _, c := range change {
		c(&cfg)
	}
	started, ended := make(chan participation.Addresses, 1), make(chan error, 1)
	cfg.Started = func(a participation.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- participation.Run(ctx, cfg) }()
	select {
	case s.at = <-started:
	case err := <-ended:
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	conn, err := grpc.NewClient(s.at.GRPC.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.raffles, s.entries = rafflev1.NewRaffleServiceClient(conn), rafflev1.NewParticipationServiceClient(conn)
	if _, err := s.raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1}); err != nil {
		t.Fatal(err)
	}
	return s
}
