//go:build !linux

package caddymodule

import (
	"net"
	"os"
)

func diskUnder(folder string) (diskFacts, error) {
	_, err := os.Stat(folder)
	return diskFacts{}, err
}

func clockSynced() (synced, known bool) { return false, false }

func peerProcess(net.Conn) int { return 0 }
