package ledgertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const (
	// lockLife is how long Redis keeps a lock whose holder does not release it.
	lockLife = time.Minute
	// redisRetry is how long to wait for a lock that is held, or for a server that is starting, before trying again.
	redisRetry = 5 * time.Millisecond
)

// What Redis holds: the value of each file, the names in each directory, and the holder of each lock. A directory is a set, so
// that listing one costs the same whatever else is stored, and Redis drops it with its last name.
const (
	filePrefix = "file:"
	dirPrefix  = "dir:"
	lockPrefix = "lock:"
)

// The scripts see and change everything at once. They make up the keys they use, as only a server that is no cluster permits.
var (
	//nolint:dupword // blocks of Lua that end together
	listScript = redis.NewScript(`
		local keys = {}
		local function walk(dir)
			for _, name in ipairs(redis.call('SMEMBERS', 'dir:' .. dir)) do
				local key = dir .. '/' .. name
				if ARGV[2] == '0' or redis.call('EXISTS', 'file:' .. key) == 1 then
					table.insert(keys, key)
				end
				if ARGV[2] == '1' then
					walk(key)
				end
			end
		end
		if redis.call('EXISTS', 'file:' .. ARGV[1], 'dir:' .. ARGV[1]) == 0 then
			return false
		end
		walk(ARGV[1])
		return keys`)
	deleteScript = redis.NewScript(`
		local function delete(key)
			for _, name in ipairs(redis.call('SMEMBERS', 'dir:' .. key)) do
				delete(key .. '/' .. name)
			end
			redis.call('DEL', 'file:' .. key, 'dir:' .. key)
		end
		local key = ARGV[1]
		delete(key)
		while redis.call('EXISTS', 'file:' .. key, 'dir:' .. key) == 0 do
			local dir, name = string.match(key, '^(.*)/(.*)$')
			if not dir then
				break
			end
			redis.call('SREM', 'dir:' .. dir, name)
			key = dir
		end
		return 1`)
	unlockScript = redis.NewScript(`
		if redis.call('GET', KEYS[1]) == ARGV[1] then
			return redis.call('DEL', KEYS[1])
		end
		return 0`)
)

// TB is the part of testing.TB that a server needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	TempDir() string
	Cleanup(func())
}

// RedisServer is a Redis that nobody else uses and that keeps nothing on disk.
type RedisServer struct {
	t      TB
	socket string
	stop   func()
}

// StartRedis starts the machine's redis-server, which lives until the test ends. Without one the test fails: nothing else tells
// what a real network storage does to the ledger.
func StartRedis(t TB) *RedisServer {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("Install redis-server (on Debian: apt-get install redis-server): %v", err)
	}
	logging.Disable() // the errors say it, too
	dir := t.TempDir()
	s := &RedisServer{t: t, socket: filepath.Join(dir, "redis")}
	var log bytes.Buffer
	server := exec.Command(binary, "--port", "0", "--unixsocket", s.socket, "--dir", dir, "--save", "", "--appendonly", "no")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatalf("Starting %s: %v", binary, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = server.Wait() // it is killed in the end
		close(exited)
	}()
	s.stop = func() {
		_ = server.Process.Kill()
		<-exited
	}
	t.Cleanup(s.stop)

	for client := s.Connect().client; client.Ping(context.Background()).Err() != nil; {
		select {
		case <-exited:
			t.Fatalf("%s has exited: %s", binary, log.String())
		case <-time.After(redisRetry):
		}
	}
	return s
}

// Connect returns the storage as another node sees it, by connections of its own.
func (s *RedisServer) Connect() *Redis {
	r := &Redis{
		client: redis.NewClient(&redis.Options{
			Network:               "unix",
			Addr:                  s.socket,
			Protocol:              2,
			ContextTimeoutEnabled: true,
			// Its callers hear of every fault at once; and a lock that is tried for again may be held by the first try.
			MaxRetries:    -1,
			DialerRetries: 1,
		}),
		held: make(map[string]string),
	}
	s.t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// Stop kills the server. What it held is gone.
func (s *RedisServer) Stop() { s.stop() }

// Redis is a storage on a Redis server. It keeps the contract of certmagic.Storage, with directories that are there as long as
// there is anything in them.
type Redis struct {
	client *redis.Client

	mu   sync.Mutex
	held map[string]string // the locks taken here: what tells them from those of others
}

// Store implements certmagic.Storage.
func (r *Redis) Store(ctx context.Context, key string, value []byte) error {
	_, err := r.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.Set(ctx, filePrefix+key, value, 0)
		for dir := path.Dir(key); dir != "."; key, dir = dir, path.Dir(dir) {
			tx.SAdd(ctx, dirPrefix+dir, path.Base(key))
		}
		return nil
	})
	return err
}

// Load implements certmagic.Storage.
func (r *Redis) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := r.client.Get(ctx, filePrefix+key).Bytes()
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", key, known(err))
	}
	return value, nil
}

// Delete implements certmagic.Storage.
func (r *Redis) Delete(ctx context.Context, key string) error {
	return deleteScript.Run(ctx, r.client, nil, key).Err()
}

// Exists implements certmagic.Storage.
func (r *Redis) Exists(ctx context.Context, key string) bool {
	n, err := r.client.Exists(ctx, filePrefix+key, dirPrefix+key).Result()
	return err == nil && n > 0
}

// List implements certmagic.Storage. It returns files, and directories if it is not recursive.
func (r *Redis) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	keys, err := listScript.Run(ctx, r.client, nil, prefix, recursive).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", prefix, known(err))
	}
	return keys, nil
}

// Stat implements certmagic.Storage. It does not know when a key was modified.
func (r *Redis) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, err := r.Load(ctx, key)
	switch {
	case err == nil:
		return certmagic.KeyInfo{Key: key, Size: int64(len(value)), IsTerminal: true}, nil
	case errors.Is(err, fs.ErrNotExist) && r.Exists(ctx, key):
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// Lock implements certmagic.Locker.
func (r *Redis) Lock(ctx context.Context, name string) error {
	holder := rand.Text()
	for {
		err := r.client.SetArgs(ctx, lockPrefix+name, holder, redis.SetArgs{Mode: "NX", TTL: lockLife}).Err()
		switch {
		case err == nil:
			r.mu.Lock()
			r.held[name] = holder
			r.mu.Unlock()
			return nil
		case !errors.Is(err, redis.Nil):
			return err
		}
		select {
		case <-time.After(redisRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unlock implements certmagic.Locker. It leaves a lock alone that somebody else has taken meanwhile.
func (r *Redis) Unlock(ctx context.Context, name string) error {
	r.mu.Lock()
	holder := r.held[name]
	delete(r.held, name)
	r.mu.Unlock()
	released, err := unlockScript.Run(ctx, r.client, []string{lockPrefix + name}, holder).Bool()
	if err == nil && !released {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("unlocking %s: %w", name, err)
	}
	return nil
}

// Wipe forgets everything, locks included.
func (r *Redis) Wipe(ctx context.Context) error { return r.client.FlushAll(ctx).Err() }

// known translates what Redis answers when there is nothing.
func known(err error) error {
	if errors.Is(err, redis.Nil) {
		return fs.ErrNotExist
	}
	return err
}

// Interface guard
var _ certmagic.Storage = (*Redis)(nil)
