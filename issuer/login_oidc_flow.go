package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
)

// signInFlow is a sign-in that is under way at the provider. The browser keeps it,
// sealed, in a cookie: what comes back must come to the browser that left.
type signInFlow struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	Next     string    `json:"next"`
	Confirm  string    `json:"confirm"` // the user who gives the password again; empty: nobody is signed in yet
	Until    time.Time `json:"until"`
}

// flowLife is how long people have at the provider.
const flowLife = 10 * time.Minute

func (i *Issuer) newFlow(now time.Time, s *signingIn) *signInFlow {
	f := &signInFlow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Next: s.next, Until: now.Add(flowLife),
	}
	if s.confirm != nil {
		f.Confirm = s.confirm.user.ID
	}
	return f
}

func (i *Issuer) flowCookie() string { return i.sessionCookie() + "-sign-in" }

// flowSeal is what a flow is sealed for, so that nothing else that is sealed passes
// for one.
func (i *Issuer) flowSeal() []byte { return []byte("sign-in of " + i.environment) }

// keepFlow makes the cookie of a flow; nil ends it.
func (i *Issuer) keepFlow(f *signInFlow) (string, error) {
	c := http.Cookie{ //nolint:gosec // Secure is set wherever browsers come by https
		Name: i.flowCookie(), Path: "/", MaxAge: -1,
		Secure: i.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode, // the provider's redirect must find it
	}
	if f != nil {
		plain, err := json.Marshal(f)
		if err != nil {
			return "", err
		}
		id := i.keyring.KeyID() // before and after may be a rotation of the root key: then it can't be opened
		c.Value = id + "." + base64.RawURLEncoding.EncodeToString(i.keyring.Seal(plain, i.flowSeal()))
		c.MaxAge = int(flowLife / time.Second)
	}
	return c.String(), nil
}

// flow opens the cookie of the flow that a browser is in, if it is in one.
func (i *Issuer) flow(x *exchange) (*signInFlow, bool) {
	cookies := x.CookiesNamed(i.flowCookie())
	if len(cookies) != 1 {
		return nil, false
	}
	id, sealed, _ := strings.Cut(cookies[0].Value, ".")
	box, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, false
	}
	plain, err := i.keyring.Unseal(id, box, i.flowSeal())
	if err != nil {
		return nil, false
	}
	f := new(signInFlow)
	if err := json.Unmarshal(plain, f); err != nil || !x.now.Before(f.Until) {
		return nil, false
	}
	return f, true
}

// sameSecret compares in constant time, whatever the lengths. Nothing equals
// nothing.
func sameSecret(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
