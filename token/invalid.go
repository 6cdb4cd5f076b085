package token

// Reason says in one word why a token was refused. The set is closed, so that
// it can be a label of a log line or a metric.
type Reason string

// Why tokens are refused.
const (
	ReasonMalformed    Reason = "malformed"     // not a token by its form
	ReasonSize         Reason = "size"          // longer than any token of ours
	ReasonHeader       Reason = "header"        // a header member that is not accepted (crit, jku, jwk, …)
	ReasonType         Reason = "type"          // typ is not at+jwt (RFC 9068 §4)
	ReasonUnknownKey   Reason = "unknown_key"   // no such key, or retired
	ReasonAlgorithm    Reason = "algorithm"     // alg is not the key's own
	ReasonSignature    Reason = "signature"     // the signature does not verify
	ReasonCheck        Reason = "check"         // the check characters of an opaque token are wrong
	ReasonEnvironment  Reason = "environment"   // belongs to the other environment
	ReasonClass        Reason = "class"         // not of the class that is wanted
	ReasonClaim        Reason = "claim"         // a claim is missing or of the wrong type
	ReasonConfirmation Reason = "confirmation"  // bound to a key (cnf, RFC 7800) that cannot be checked
	ReasonIssuer       Reason = "issuer"        // iss is another
	ReasonAudience     Reason = "audience"      // aud names others only
	ReasonExpired      Reason = "expired"       // at or past exp
	ReasonNotYetValid  Reason = "not_yet_valid" // nbf or iat lies ahead
	ReasonLifetime     Reason = "lifetime"      // exp − iat exceeds what is ever issued
	ReasonUnknown      Reason = "unknown"       // well-formed, but never issued or long gone
	ReasonRevoked      Reason = "revoked"       // was good once
)

// Invalid is the error for a token that is refused. It never holds any part of
// the token.
type Invalid struct {
	Reason Reason
	// Proven tells that the token was verified to be ours before it was refused.
	// Who presents it then may be told Reason and Detail; anyone else learns only
	// that the token is not valid.
	Proven bool
	// Detail says more in words, or is empty.
	Detail string
}

// Error is for logs. Answers to clients go by Proven.
func (e *Invalid) Error() string {
	if e.Detail == "" {
		return "invalid token: " + string(e.Reason)
	}
	return "invalid token: " + string(e.Reason) + ": " + e.Detail
}
