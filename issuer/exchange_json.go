package issuer

import (
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
)

// exchangeEndpoints are those of the access code exchange. They take JSON, and
// their errors have a form of their own.
var exchangeEndpoints = []string{"exchange.token", "exchange.delink"}

// readJSON reads an object whose members are those of into, each once and in
// this spelling (RFC 8259 §4 lets names be repeated, and leaves it to chance which
// counts).
func readJSON(r *http.Request, into any) error {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 || !isJSON(types[0]) {
		return &oauthError{
			status: http.StatusUnsupportedMediaType, code: codeInvalidRequest,
			description: "Content-Type must be application/json",
		}
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	// The decoder's errors quote what they could not read and are left out.
	if json.Unmarshal([]byte(body), into, json.RejectUnknownMembers(true)) != nil {
		return invalidRequest("the body is not a JSON object with the expected members, each once and a string")
	}
	return nil
}

// isJSON wants JSON, which is UTF-8 whatever a charset says (RFC 8259 §11).
func isJSON(contentType string) bool {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	delete(parameters, "charset")
	return err == nil && mediaType == "application/json" && len(parameters) == 0
}

// bodyMember is a member of the body that must be there.
type bodyMember struct{ name, value string }

func checkMembers(members ...bodyMember) error {
	for _, m := range members {
		switch {
		case m.value == "":
			return invalidRequest("%s is missing", m.name)
		case !isCredential(m.value):
			return invalidRequest("%s is not readable", m.name)
		}
	}
	return nil
}

// exchangeRefusal is an error in the form of the access code exchange: beside the
// status, a word for programs and a sentence for people.
func exchangeRefusal(e *oauthError) response {
	answer, err := jsonResponse(e.status, struct {
		Success bool   `json:"success"`
		Type    string `json:"type"`
		Message string `json:"msg"`
	}{false, exchangeErrorType(e), e.description})
	if err != nil {
		panic(err) // two plain strings
	}
	answer.header = e.response().header
	return answer
}

// exchangeErrorType is the word for an error: one of few.
func exchangeErrorType(e *oauthError) string {
	switch e.status {
	case http.StatusMethodNotAllowed:
		return "METHOD_NOT_ALLOWED"
	case http.StatusRequestEntityTooLarge:
		return "BODY_TOO_LARGE"
	case http.StatusUnsupportedMediaType:
		return "UNSUPPORTED_MEDIA_TYPE"
	case http.StatusTooManyRequests:
		return "TOO_MANY_REQUESTS"
	case http.StatusServiceUnavailable:
		return "SERVICE_UNAVAILABLE"
	}
	switch e.code {
	case codeInvalidClient:
		return "INVALID_CREDENTIALS"
	case codeInvalidGrant:
		return "INVALID_ACCESS_CODE"
	case codeInvalidToken:
		return "INVALID_ACCESS_TOKEN"
	case codeServerError:
		return "INTERNAL_ERROR"
	}
	return "BAD_REQUEST"
}
