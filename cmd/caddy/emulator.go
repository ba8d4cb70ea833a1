//go:build !noemulator

package main

import _ "github.com/caddy-bws/caddy-bws/emulator"
