// Package ledgertest provides storages to test with: one in memory, one on a real Redis, and one that fails as told.
package ledgertest

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// Memory is a storage in memory, of directories and files like a file system. It keeps the contract of certmagic.Storage to the
// letter. The zero value is empty; it must not be copied.
type Memory struct {
	mu    sync.RWMutex
	root  node
	locks map[string]chan struct{}
}

type node struct {
	file     bool
	value    []byte
	modified time.Time
	children map[string]*node
}

// find returns the node at a key, or nil. It makes those that are missing if it is asked to.
func (m *Memory) find(key string, create bool) *node {
	n := &m.root
	for segment := range strings.SplitSeq(key, "/") {
		child := n.children[segment]
		if child == nil {
			if !create {
				return nil
			}
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			child = new(node)
			n.children[segment] = child
		}
		n = child
	}
	return n
}

// Store implements certmagic.Storage.
func (m *Memory) Store(ctx context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	n := m.find(key, true)
	n.file, n.value, n.modified = true, append([]byte(nil), value...), time.Now()
	return nil
}

// Load implements certmagic.Storage.
func (m *Memory) Load(ctx context.Context, key string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := m.find(key, false)
	if n == nil || !n.file {
		return nil, fmt.Errorf("loading %s: %w", key, fs.ErrNotExist)
	}
	return append([]byte(nil), n.value...), nil
}

// Delete implements certmagic.Storage. Directories are left, empty, as most storages do.
func (m *Memory) Delete(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if parent := m.find(path.Dir(key), false); parent != nil {
		delete(parent.children, path.Base(key))
	}
	return nil
}

// Exists implements certmagic.Storage.
func (m *Memory) Exists(_ context.Context, key string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.find(key, false) != nil
}

// List implements certmagic.Storage. It returns files, and directories if it is not recursive.
func (m *Memory) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := m.find(prefix, false)
	if n == nil {
		return nil, fmt.Errorf("listing %s: %w", prefix, fs.ErrNotExist)
	}
	return n.list(nil, prefix, recursive), nil
}

func (n *node) list(keys []string, prefix string, recursive bool) []string {
	for name, child := range n.children {
		key := prefix + "/" + name
		if child.file || !recursive {
			keys = append(keys, key)
		}
		if recursive {
			keys = child.list(keys, key, true)
		}
	}
	return keys
}

// Stat implements certmagic.Storage.
func (m *Memory) Stat(_ context.Context, key string) (certmagic.KeyInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.find(key, false)
	if n == nil {
		return certmagic.KeyInfo{}, fmt.Errorf("looking at %s: %w", key, fs.ErrNotExist)
	}
	return certmagic.KeyInfo{Key: key, Modified: n.modified, Size: int64(len(n.value)), IsTerminal: n.file}, nil
}

// Lock implements certmagic.Locker.
func (m *Memory) Lock(ctx context.Context, name string) error {
	for {
		m.mu.Lock()
		held, locked := m.locks[name]
		if !locked {
			if m.locks == nil {
				m.locks = make(map[string]chan struct{})
			}
			m.locks[name] = make(chan struct{})
		}
		m.mu.Unlock()
		if !locked {
			return nil
		}
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unlock implements certmagic.Locker.
func (m *Memory) Unlock(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	held, locked := m.locks[name]
	if !locked {
		return fmt.Errorf("unlocking %s: %w", name, fs.ErrNotExist)
	}
	delete(m.locks, name)
	close(held)
	return nil
}

// Locked returns how many locks are held.
func (m *Memory) Locked() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.locks)
}

// Keys returns the keys of all files.
func (m *Memory) Keys() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	keys := m.root.list(nil, "", true)
	for i := range keys {
		keys[i] = keys[i][1:]
	}
	return keys
}

// Wipe forgets everything but the locks.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root = node{}
}

// Interface guard
var _ certmagic.Storage = (*Memory)(nil)
