package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// answerError answers for a handler that failed on a request which no log of Caddy's
// must show: handed on, the error would be logged with the headers and the target as
// they came in. So the routes of handle_errors do not see it.
func answerError(w http.ResponseWriter, log *zap.Logger, err error) {
	status := http.StatusInternalServerError
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && failed.StatusCode != 0 {
		status = failed.StatusCode
	}
	level := zap.DebugLevel
	if status >= http.StatusInternalServerError {
		level = zap.ErrorLevel
	}
	log.Log(level, "a request with a credential outside Authorization failed", zap.Int("status", status), zap.Error(err))
	w.WriteHeader(status)
}
