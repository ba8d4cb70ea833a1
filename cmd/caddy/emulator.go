//go:build !noemulator

package main

// Whoever reaches the emulator chooses who is recognized, so the tag noemulator leaves it out of builds for production.
import _ "github.com/caddy-bws/caddy-bws/emulator"
