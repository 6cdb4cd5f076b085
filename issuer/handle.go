package issuer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// exchange is one request on its way, with what was learnt about it.
type exchange struct {
	*http.Request
	now       time.Time
	ip        string
	requestID string
	endpoint  string
	private   bool // the endpoint asks for credentials
	page      bool // a person looks at the answer
	envelope  bool // errors are those of the access code exchange
	// sorry is the page that says what went wrong, if the one that was open can; nil:
	// none can.
	sorry func(*oauthError) (response, bool)

	client    string    // once authenticated
	oldSecret time.Time // the secret was one that was replaced, and is good until then
	person    string    // who is signed in, once known
	grant     string    // once known
	issued    string    // for what a token was issued, one of Grants; empty: none was
	named     string    // the client or user that wants to authenticate, if there is one
	wrong     string    // whose secret is wrong, where there are two
}

// event is the audit row for what the authenticated client does. Where the
// target is not known yet, the store fills it in.
func (x *exchange) event(env store.Environment, action, target string) store.Event {
	return store.Event{
		Environment: env, At: x.now,
		Actor: "client:" + x.client, Action: action, Target: target,
		Outcome: "ok", Address: address(x.ip), RequestID: x.requestID,
	}
}

// response is an answer before it meets HTTP.
type response struct {
	status      int
	contentType string            // empty: no body
	cache       string            // Cache-Control; empty: no-store
	header      map[string]string // further ones
	cookies     []string          // Set-Cookie, one line each
	body        []byte
	stream      func(*bufio.Writer) error // writes the body, if that is better not made as a whole
}

// jsonResponse writes v's members in the order of its fields.
func jsonResponse(status int, v any) (response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return response{}, fmt.Errorf("encode answer: %w", err)
	}
	return response{status: status, contentType: "application/json", body: body}, nil
}

// cacheable is for documents that are the same for everybody.
const cacheable = "public, max-age=300"

func (a *response) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", a.cache)
	if a.cache == "" {
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache") // RFC 6749 §5.1 asks for both
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	for name, value := range a.header {
		h.Set(name, value)
	}
	for _, cookie := range a.cookies {
		h.Add("Set-Cookie", cookie)
	}
	if a.stream != nil {
		w.WriteHeader(a.status)
		a.streamTo(w)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	w.Write(a.body) //nolint:gosec // JSON, a key set, or a page that was written at start
}

// streamTo sends a body while it is made. Whoever has gone gets nothing more.
func (a *response) streamTo(w http.ResponseWriter) {
	out := bufio.NewWriterSize(flushing{w, http.NewResponseController(w)}, 16<<10)
	if a.stream(out) == nil {
		_ = out.Flush()
	}
}

// flushing sends each part that is written at once.
type flushing struct {
	io.Writer
	controller *http.ResponseController
}

func (f flushing) Write(part []byte) (int, error) {
	n, err := f.Writer.Write(part)
	if err == nil {
		_ = f.controller.Flush() // whoever stands before us may not be able to
	}
	return n, err
}

// handle is where an endpoint meets HTTP: methods, errors, panics and the log
// are dealt with here and nowhere else.
func (i *Issuer) handle(endpoint string, methods []string, serve func(*exchange) (response, error)) http.Handler {
	return i.handler(exchange{endpoint: endpoint}, methods, serve)
}

// handler is handle for programs and for people.
func (i *Issuer) handler(kind exchange, methods []string, serve func(*exchange) (response, error)) http.Handler {
	allow, endpoint := strings.Join(methods, ", "), kind.endpoint
	kind.private = slices.Contains(privateEndpoints, endpoint)
	kind.envelope = slices.Contains(exchangeEndpoints, endpoint)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := new(kind)
		x.Request, x.now, x.ip, x.requestID = r, i.now(), i.clientIP(r), i.requestID(r)
		var answer response
		var err error
		if slices.Contains(methods, r.Method) {
			answer, err = i.guarded(x, serve)
			if err == nil && x.issued != "" {
				i.issued(x.issued)
			}
		} else {
			err = methodNotAllowed(allow)
		}
		if err != nil {
			answer = i.refusal(x, err)
			i.refused(x, err)
		}
		i.record(x, endpoint, answer.status, err)
		answer.write(w)
	})
}

// refusal is the answer to an error, in the form of who asks.
func (i *Issuer) refusal(x *exchange, err error) response {
	if x.page {
		return i.errorPage(x, asOAuthError(err))
	}
	if x.envelope {
		return exchangeRefusal(asOAuthError(err))
	}
	return asOAuthError(err).response()
}

// privateEndpoints are those that ask for credentials.
var privateEndpoints = []string{
	"s4.code", "s4.token", "token", "introspect", "self", "revoke", "login", "login.callback", "logout", "settings.password",
	"trading.token", "trading.tokens", "trading.show", "trading.revoke", "exchange.token", "exchange.delink", "integrations.new", "integrations.rotate",
}

// errPanic stands for a panic, whose value might hold anything.
var errPanic = errors.New("panic")

// guarded turns a panic of serve into an error.
func (i *Issuer) guarded(x *exchange, serve func(*exchange) (response, error)) (answer response, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: %w", errPanic, v)
		default:
			err = fmt.Errorf("%w: %T", errPanic, v)
		}
		if errors.Is(err, errPanic) {
			i.log.Error("panic in issuer", zap.Error(err), zap.Stack("stack"))
		}
	}()
	return serve(x)
}

// record writes the request's one line. Method and path come from strangers:
// the one is written only if it is a known word, the other never.
func (i *Issuer) record(x *exchange, endpoint string, status int, err error) {
	level := zapcore.InfoLevel
	if status >= 500 {
		level = zapcore.ErrorLevel
	}
	entry := i.log.Check(level, "issuer")
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("endpoint", endpoint),
		zap.String("method", knownMethod(x.Method)),
		zap.Int("status", status),
		zap.String("client_ip", x.ip),
		zap.Duration("duration", i.now().Sub(x.now)),
	}
	optional := func(key, value string) {
		if value != "" {
			fields = append(fields, zap.String(key, value))
		}
	}
	optional("client", x.client)
	optional("user", x.person)
	optional("grant", x.grant)
	optional("request_id", x.requestID)
	optional("issued", x.issued)
	if err != nil {
		answered := asOAuthError(err)
		optional("error", answered.code)
		if answered.cause != nil {
			optional("cause", answered.cause.Error())
		}
	}
	entry.Write(fields...)
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}
