package issuer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Kinds of party. An id of one says nothing about the same id of the other.
const (
	kindClient    = "client"
	kindPrincipal = "principal"
)

// standardMethods are the names of what standardReadings finds (RFC 7591 §2), and
// publicMethods of what identifyClient does.
var (
	standardMethods = []string{"client_secret_basic", "client_secret_post"}
	publicMethods   = append([]string{"none"}, standardMethods...)
)

// standardReadings finds client_secret_basic or client_secret_post, and not
// both (RFC 6749 §2.3, §2.3.1). Basic is form-decoded, as the RFC has it, and
// then read as it stands: the bank's token endpoint knows the same clients and
// never decodes, so their programs do not encode.
func standardReadings(h http.Header, f form) ([]credentials, error) {
	basic, given, err := basicCredentials(h)
	posted, asserted := credentials{id: f["client_id"], secret: f["client_secret"]}, f["client_assertion"] != ""
	switch {
	case given && posted.secret != "", asserted && (given || posted.secret != ""):
		return nil, invalidRequest("more than one way to authenticate in one request")
	case asserted: // RFC 6749 §5.2: a method that is not supported is invalid_client
		return nil, errNoAssertions
	case err != nil:
		return nil, err
	case !given && !posted.readable():
		return nil, errInvalidClient
	case !given:
		return []credentials{posted}, nil
	}
	decoded, ok := basic.formDecoded()
	if !ok {
		decoded = basic
	}
	if posted.id != "" && posted.id != decoded.id {
		return nil, invalidRequest("client_id is not the client that authenticates")
	}
	if decoded == basic {
		return []credentials{basic}, nil
	}
	return []credentials{decoded, basic}, nil
}

// identifyClient finds the client that asks, at an endpoint that serves public
// clients too: one of those names itself and proves nothing (RFC 6749 §3.2.1).
// What a confidential client sends without its secret is not taken for that.
func (i *Issuer) identifyClient(x *exchange, f form) (store.Party, error) {
	if len(x.Header.Values("Authorization")) > 0 || f["client_secret"] != "" || f["client_assertion"] != "" || f["client_id"] == "" {
		readings, err := standardReadings(x.Header, f)
		if err != nil {
			return store.Party{}, err
		}
		return i.authenticateClient(x, readings...)
	}
	id := f["client_id"]
	if !isCredential(id) {
		return store.Party{}, errInvalidClient
	}
	found, err := i.findParty(x.Context(), id)
	switch client := &found.Client; {
	case err != nil:
		return store.Party{}, err
	case !client.Public, client.Status != store.Active:
		x.named = client.ID
		return store.Party{}, errInvalidClient
	}
	x.client = found.Client.ID
	return found, nil
}

// authenticateClient finds the client whose credentials these are, in the first
// of its readings that fits, and what else its id names. All readings are one
// attempt.
func (i *Issuer) authenticateClient(x *exchange, readings ...credentials) (store.Party, error) {
	// Throttled is the id as it is read first, decoded and without its blanks, or
	// each way to spell it would have attempts of its own.
	parties := []party{{kindClient, readings[0].trimmed().id}}
	from := throttledAddress(x.ip)
	if err := i.throttle.admit(x.now, from, parties...); err != nil {
		return store.Party{}, err
	}
	found, fits, err := i.firstFit(x, readings)
	if err != nil {
		return store.Party{}, err
	}
	var wrong []party
	if !fits {
		wrong = parties
	}
	if err := i.throttle.settle(x.now, from, parties, wrong); err != nil {
		return store.Party{}, err
	}
	if !fits {
		return store.Party{}, errInvalidClient
	}
	x.client = found.Client.ID
	i.signedIn(x, "endpoint:"+x.endpoint)
	return found, nil
}

func (i *Issuer) firstFit(x *exchange, readings []credentials) (store.Party, bool, error) {
	ctx := x.Context()
	for k, c := range readings {
		found, err := i.findParty(ctx, c.id)
		if err != nil {
			return store.Party{}, false, err
		}
		client := &found.Client
		if client.ID == "" && k+1 < len(readings) {
			continue // the price of being unknown is paid once, for the last reading
		}
		x.named = client.ID
		fits, err := i.verifyClient(x, client, c)
		if fits || err != nil {
			return found, fits, err
		}
	}
	return store.Party{}, false, nil
}

// verifyClient verifies a secret of a client, which may have two while one
// replaces the other.
func (i *Issuer) verifyClient(x *exchange, client *store.Client, c credentials) (bool, error) {
	fits, old, err := i.secrets.VerifyEither(x.Context(), usableSecret(client, c.id), client.OldSecret(x.now), c.secret)
	if old {
		x.oldSecret = client.OldSecretUntil
	}
	return fits, err
}

// findParty finds whom an id names at the endpoints of OAuth 2.0 and of the bank:
// the zero Party if nobody.
func (i *Issuer) findParty(ctx context.Context, id string) (store.Party, error) {
	found, err := i.store.Party(ctx, i.environment, id)
	if err != nil {
		return store.Party{}, fmt.Errorf("read party: %w", err)
	}
	if found.Client.Exchange {
		found.Client = store.Client{} // an app of the access code exchange is nobody here
	}
	return found, nil
}

// usableSecret is usableHash of a client. Public ones have no secret, whatever
// they had before.
func usableSecret(client *store.Client, id string) string {
	if client.Public {
		return token.NoSecret(id)
	}
	return usableHash(client.Status, client.SecretHash, id)
}

// usableHash is what a secret is verified against. Who does not exist, is
// disabled or has no secret gets a hash that nothing fits, at the same price.
func usableHash(status store.Status, hash, id string) string {
	if status != store.Active || hash == "" {
		return token.NoSecret(id)
	}
	return hash
}
