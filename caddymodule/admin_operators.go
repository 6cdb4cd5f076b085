package caddymodule

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// operatorList says which roles have how many tokens, and never which.
type operatorList struct {
	File  string          `json:"file"` // on the server: the tokens are in it
	Roles []operatorCount `json:"roles"`
}

// operatorCount counts the tokens of a role.
type operatorCount struct {
	Role   string `json:"role"`
	Tokens int    `json:"tokens"`
}

func listOperators(c *adminCall) (any, error) {
	return shownOperators(c.app.OperatorTokenFile, c.app.runtime.operators.Load()), nil
}

func shownOperators(file string, ops *operators) operatorList {
	list := operatorList{File: file}
	for _, r := range []role{roleRead, roleRevoke, roleAdmin} {
		count := operatorCount{Role: r.String()}
		for i := range ops.known {
			if ops.known[i].role == r {
				count.Tokens++
			}
		}
		list.Roles = append(list.Roles, count)
	}
	return list
}

// rotateOperators adds a new token for one role or for each, or drops all but the
// newest. The file is the only place where the tokens are, so that the answer
// names it and shows none.
func rotateOperators(c *adminCall) (any, error) {
	var in struct {
		Role    string `json:"role"`     // empty: each
		DropOld bool   `json:"drop_old"` // the second step
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	roles := []role{roleRead, roleRevoke, roleAdmin}
	if in.Role != "" {
		if roleNames[in.Role] == roleNone {
			return nil, refuse(http.StatusBadRequest, "role %q is unknown; known: read, revoke, admin", in.Role)
		}
		roles = []role{roleNames[in.Role]}
	}
	action, change := "operator.rotate", addOperatorLines
	if in.DropOld {
		action, change = "operator.drop_old", dropOldOperatorLines
	}
	target := "operator:" + cmp.Or(in.Role, "all")
	ops, err := c.app.runtime.changeOperators(c.app.OperatorTokenFile, roles, change, func(outcome string) error {
		return c.recordEverywhere(action, target, outcome)
	})
	switch {
	case errors.Is(err, errNoOldOperator):
		return nil, refuse(http.StatusConflict, "%v", err)
	case errors.Is(err, store.ErrUnavailable):
		return nil, err
	case err != nil:
		return nil, refuse(http.StatusConflict, "changing the operator token file: %v", err)
	}
	return shownOperators(c.app.OperatorTokenFile, ops), nil
}

// recordEverywhere adds a line to the audit trail of each environment: operator
// tokens open them all.
func (c *adminCall) recordEverywhere(action, target, outcome string) error {
	now := time.Now().UTC()
	return c.store().Update(c.request.Context(), func(tx store.Writer) error {
		var errs []error
		for _, env := range sortedKeys(c.app.Environments) {
			event := c.event(action, target)
			event.Environment, event.At, event.Outcome = env, now, outcome
			errs = append(errs, tx.Record(event))
		}
		return errors.Join(errs...)
	})
}
