package issuer

// The words for what a token was issued for, in metrics and in the log.
const (
	GrantAuthorizationCode  = "authorization_code"   // RFC 6749 §4.1
	GrantClientCredentials  = "client_credentials"   // §4.4
	GrantRefreshToken       = "refresh_token"        // §6
	GrantServiceAccountCode = "service_account_code" // a code of /api/v1/s2s-oauth2/code
	GrantPersonal           = "personal"             // a personal token, also by an operator
	GrantTrading            = "trading"              // an access token for a trading token
	GrantExchange           = "exchange"             // the token of a connection, for an access code
)

// Grants are all of these words.
func Grants() []string {
	return []string{
		GrantAuthorizationCode, GrantClientCredentials, GrantRefreshToken, GrantServiceAccountCode, GrantPersonal, GrantTrading, GrantExchange,
	}
}
