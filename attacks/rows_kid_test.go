package attacks

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

func init() {
	register(rows{
		"JWT-KID-02": func(a *attack) { a.refusesKeyID("/dev/null") },
		"JWT-KID-05": func(a *attack) { a.refusesKeyID(a.es256ID + "' OR '1'='1") },
		"JWT-KID-06": func(a *attack) { a.refusesKeyID("x' UNION SELECT 'AAAA';--") },
		"JWT-KID-08": func(a *attack) {
			a.refusesKeyID("http://attacker.test/k")
			a.staysInside(func(outside string) { a.refusesKeyID("http://" + outside + "/k") })
		},
		"JWT-KID-10": func(a *attack) { a.refusesKeyID("") },
		"JWT-KID-11": func(a *attack) { a.refusesKeyID(swapCase(a.es256ID)) },
		"JWT-KID-12": func(a *attack) { a.refusesKeyID(" " + a.es256ID) },
		"JWT-KID-15": func(a *attack) {
			for _, kid := range []any{1, []string{a.es256ID}, nil} {
				a.refusesHeader(a.header().with("kid", kid))
			}
			large := a.compact(a.encode(a.header().with("kid", strings.Repeat("k", 64<<10))), a.encode(a.claims("admin")), a.sign)
			a.get("/v1/admin/users", large).refused(431, notByGate)
			a.refusesHeader(a.header().with("kid", strings.Repeat("k", 8<<10))) // which gets as far as the gate
		},
		// No key is published for anything but signing, so that one for encryption is
		// one that nobody knows.
		"JWT-KID-16": func(a *attack) {
			for _, url := range []string{issuerURL, rsaIssuerURL} {
				var set struct{ Keys []struct{ Use string } }
				if err := json.Unmarshal(a.fetch(a.T, url+"/oauth2/jwks"), &set); err != nil || len(set.Keys) != 1 || set.Keys[0].Use != "sig" {
					a.Errorf("%v, %v", set, err)
				}
			}
			a.refusesSigned(a.header().with("kid", "enc"), a.signES256(attackerES256()))
		},

		"JWT-EMBEDDED-KEY-03": func(a *attack) {
			a.refusesEmbedded("jku", issuerURL+"/redirect?to=https://attacker.test/jwks")
			a.staysInside(func(outside string) {
				a.refusesEmbedded("jku", "http://"+outside+"/jwks")
				a.refusesEmbedded("jku", issuerURL+"/redirect?to=http://"+outside+"/jwks")
			})
		},
		"JWT-EMBEDDED-KEY-06": func(a *attack) {
			key := attackerRSA()
			template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"as.test"}, NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				a.Fatal(err)
			}
			header := a.encode(a.rsaHeader().with("x5c", []string{base64.StdEncoding.EncodeToString(der)}))
			a.getRSA("/v1/admin/users", a.compact(header, a.encode(a.rsaClaims("admin")), a.signRS256(key))).refused(401, invalidToken)
		},
	})
}

// refusesKeyID presents a kid with each key that a server might take for it, and
// then with the good one: it is compared with the published ids and nothing else.
func (a *attack) refusesKeyID(kid string) {
	a.Helper()
	a.refusesSigned(a.header().with("alg", "HS256").with("kid", kid), signHS256(nil))
	header := a.encode(a.rsaHeader().with("kid", kid))
	a.getRSA("/v1/admin/users", a.compact(header, a.encode(a.rsaClaims("admin")), a.signRS256(attackerRSA()))).refused(401, invalidToken)
	a.refusesHeader(a.header().with("kid", kid))
}

// refusesEmbedded presents a header member that leads to the attacker's key: with
// the kid that the attacker's key set would have, with ours, and signed by us.
func (a *attack) refusesEmbedded(member string, value any) {
	a.Helper()
	key := attackerRSA()
	for _, kid := range []string{"attacker", a.rsaID} {
		header := a.encode(a.rsaHeader().with(member, value).with("kid", kid))
		a.getRSA("/v1/admin/users", a.compact(header, a.encode(a.rsaClaims("admin")), a.signRS256(key))).refused(401, invalidToken)
	}
	a.getRSA("/v1/admin/users", a.mintRSA(a.rsaHeader().with(member, value), a.rsaClaims("admin"))).refused(401, invalidToken)
}

// staysInside runs something with the address of a server outside, which nobody
// may call.
func (a *attack) staysInside(do func(outside string)) {
	a.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	var calls atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			conn.Close()
		}
	}()
	do(listener.Addr().String())
	listener.Close()
	<-done
	if calls.Load() != 0 {
		a.Errorf("the server called %d times", calls.Load())
	}
}

// swapCase turns the first letter into that of the other case.
func swapCase(s string) string {
	at := strings.IndexFunc(s, func(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
	return s[:at] + string(s[at]^0x20) + s[at+1:]
}
