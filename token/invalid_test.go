package token

import "testing"

func TestInvalidText(t *testing.T) {
	for want, e := range map[string]*Invalid{
		"invalid token: signature":               {Reason: ReasonSignature},
		"invalid token: claim: sub is missing":   {Reason: ReasonClaim, Proven: true, Detail: "sub is missing"},
		"invalid token: header: header member x": {Reason: ReasonHeader, Detail: "header member x"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
