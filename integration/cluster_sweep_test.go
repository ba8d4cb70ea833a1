package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A node that is killed while it sweeps leaves nothing spendable and nothing revoked that opens, and the next one goes on sweeping.
func TestClusterSurvivesAKilledSweep(t *testing.T) {
	covers(t, 55)
	c := newCluster(t)
	survivor := c.start()
	var spent []string
	for range 20 {
		token := c.good()
		c.check(t, "200", survivor, http.MethodGet, "/once", token)
		spent = append(spent, token)
	}
	revoked := c.mustSession(t, survivor, c.good())
	c.check(t, "303", survivor, http.MethodPost, "/logout", revoked)

	ended := c.plantEndedClaims(t)
	victim := c.start()
	eventually(t, "sweeping has begun", func() bool { return len(existing(ended)) < len(ended) })
	victim.kill()
	if len(existing(ended)) == 0 {
		t.Fatal("all is swept before the node is killed")
	}
	victim.restart()
	eventually(t, "what was left over is swept", func() bool { return len(existing(ended)) == 0 })
	for _, n := range []*node{survivor, victim} {
		for _, token := range spent {
			c.check(t, "401 spent", n, http.MethodGet, "/once", token)
		}
		c.check(t, "401 revoked", n, http.MethodGet, "/private", revoked)
	}
}

// plantEndedClaims stores claims on tokens that have ended hours ago, as much as a round sweeps and as takes seconds, and returns
// the folders of their minutes.
func (c *cluster) plantEndedClaims(t *testing.T) (minutes []string) {
	t.Helper()
	const count, claims = 60, 400
	areas, err := filepath.Glob(filepath.Join(c.storage, "bws", "*", "spent"))
	if err != nil || len(areas) != 1 {
		t.Fatalf("the storage has the areas %q, %v", areas, err)
	}
	first := time.Now().Add(-12*time.Hour).Unix() / 60
	for i := range count {
		minute := filepath.Join(areas[0], fmt.Sprint(first+int64(i)))
		for claim := range claims {
			folder := filepath.Join(minute, fmt.Sprintf("%064x", claim))
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%032x", claim)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		minutes = append(minutes, minute)
	}
	return minutes
}

func existing(folders []string) (left []string) {
	for _, folder := range folders {
		if _, err := os.Stat(folder); err == nil {
			left = append(left, folder)
		}
	}
	return left
}
