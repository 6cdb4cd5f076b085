//go:build linux

// Command bench compares the gate and the issuer with other gateways, as ratios
// in one run: `make bench`.
//
// All contenders stand before the same upstream and run at the same time, each in
// a process of its own, but only one is under load at a time. A round puts each
// under load once, for some seconds; every second round goes through them in the
// opposite order, so that a machine that becomes slower hits all alike. What
// counts is the ratio within a round, and of these the median over the rounds.
// Two contenders are identical: how far their ratio is from 1 is the noise.
//
// An answer other than 2xx ends the run, because a refusal is cheaper than an
// answer. Everything is on loopback. What a server costs is read from /proc, so that
// it runs on Linux alone.
package main
