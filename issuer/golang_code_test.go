package issuer

import (
	"context"
	"net/http"
	"testing"

	"golang.org/x/oauth2"
)

// An ordinary library gets through unmodified, with a secret and without, and
// renews by itself (S3.11).
func TestS3_11_GolangLibraryWithAuthorizationCode(t *testing.T) {
	b := newPeopleOn(t, shortLived(t))
	for name, config := range map[string]oauth2.Config{
		"confidential": {ClientID: appID, ClientSecret: payerSecret, RedirectURL: appURI},
		"public":       {ClientID: spaID, RedirectURL: spaURI},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.asUser(adaID)
			config.Endpoint = oauth2.Endpoint{AuthURL: b.server.URL + pathAuthorize, TokenURL: b.server.URL + pathToken}
			config.Scopes = []string{"read:accounts"}
			verifier := oauth2.GenerateVerifier()
			request, err := http.NewRequest("GET", config.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier)), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := w.allow(request.URL.RawQuery).back(t, config.RedirectURL)
			if got.Get("state") != "a state" {
				t.Errorf("state %q", got.Get("state"))
			}
			issued, err := config.Exchange(context.Background(), got.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			b.callUntilRenewed(config.Client(context.Background(), issued))
		})
	}
}
