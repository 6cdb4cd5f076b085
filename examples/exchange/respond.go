package main

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxBody is the most that a call may carry: an order or a payment fits in
// a few hundred bytes.
const maxBody = 64 << 10

// apiError is an answer other than success: what goes wrong inside is
// returned as one, and meets HTTP only in fail.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func errorf(status int, format string, args ...any) error {
	return &apiError{status: status, message: fmt.Sprintf(format, args...)}
}

// fail answers with err's status and message. An error that is not an
// apiError says nothing to the client.
func fail(w http.ResponseWriter, err error) {
	var known *apiError
	if !errors.As(err, &known) {
		known = &apiError{status: http.StatusInternalServerError, message: "internal error"}
	}
	writeError(w, known.status, known.message)
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

// writeJSON answers with v. Balances and payments must not stay in a cache
// between the client and the gate, whatever that cache believes.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	writeBody(w, v)
}

// writeBody writes v after the headers went out. Header values that echo
// repeats may be any bytes; they show as U+FFFD. The client may have gone;
// then there is nobody left to tell.
func writeBody(w io.Writer, v any) {
	err := json.MarshalWrite(w, v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		_, _ = io.WriteString(w, "\n")
	}
}

// readJSON reads the request's body into v. Unknown and doubled members are
// refused: a typo in "amount" must not become a payment of nothing.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return errorf(http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
	case err != nil:
		return errorf(http.StatusBadRequest, "the body ended early")
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return errorf(http.StatusBadRequest, "the body does not fit this call: %v", err)
	}
	return nil
}
