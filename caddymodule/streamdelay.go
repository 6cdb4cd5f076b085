package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// warnOfDroppedStreams tells operators whose reverse_proxy would drop every
// WebSocket at each reload.
func warnOfDroppedStreams(ctx caddy.Context, log *zap.Logger) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	for _, route := range server.Routes {
		for _, raw := range route.HandlersRaw {
			var handler any
			if json.Unmarshal(raw, &handler) == nil && dropsStreams(handler) {
				log.Warn("a reverse_proxy on this server has no stream_close_delay: each reload will drop its WebSockets; set for example: stream_close_delay 24h")
				return
			}
		}
	}
}

// dropsStreams looks for a reverse_proxy without stream_close_delay, however
// deep it is nested.
func dropsStreams(node any) bool {
	switch n := node.(type) {
	case map[string]any:
		if n["handler"] == "reverse_proxy" && n["stream_close_delay"] == nil {
			return true
		}
		for _, child := range n {
			if dropsStreams(child) {
				return true
			}
		}
	case []any:
		for _, child := range n {
			if dropsStreams(child) {
				return true
			}
		}
	}
	return false
}
