// Package storetest is the one suite that every implementation of store.Store
// must pass. A new backend's test is one call of Run.
//
// Cases are named after what happens to the records, not after methods. Each
// gets a fresh store with the same small world in it (see world.go), and no
// case sleeps: instants are arguments of the contract.
package storetest

import (
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Run runs the suite. open returns an empty store that hands the revocations of
// each transaction to committed, as law 2 of package store says, and that is
// closed when the test ends at the latest.
func Run(t *testing.T, open func(t *testing.T, committed func([]store.Revocation)) store.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Issue", issueCases},
		{"Share", shareCases},
		{"Redeem", redeemCases},
		{"Mismatch", mismatchCases},
		{"Renew", renewCases},
		{"Revoke", revokeCases},
		{"Personal", personalCases},
		{"Present", presentCases},
		{"Trading", tradingCases},
		{"Copies", copyCases},
		{"Connection", connectionCases},
		{"Session", sessionCases},
		{"Webhook", webhookCases},
		{"Directory", directoryCases},
		{"Party", partyCases},
		{"Log", logCases},
		{"Collect", collectCases},
		{"Callers", callerCases},
		{"Audit", auditCases},
		{"Activity", activityCases},
		{"Model", modelCases},
		{"History", historyCases},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, open)) })
			}
		})
	}
}

type testCase struct {
	name string
	run  func(*world)
}
