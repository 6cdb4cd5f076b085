package gate

import (
	"net/http"
	"slices"
	"strings"
)

// upgradeKind is how a request asks for a WebSocket.
type upgradeKind uint8

const (
	noUpgrade  upgradeKind = iota
	overConn               // HTTP/1.1 Upgrade (RFC 6455): the connection is taken over
	overStream             // extended CONNECT over HTTP/2 or HTTP/3 (RFC 8441, RFC 9220)
)

// upgradeOf tells how r asks for a WebSocket. It is asked after sanitize, which
// leaves no other upgrade, and reads the request as the proxy does.
func upgradeOf(r *http.Request) upgradeKind {
	switch {
	case r.ProtoMajor == 1 && r.Method == http.MethodGet && len(r.Header["Upgrade"]) > 0:
		if wantsUpgrade(r.Header["Connection"]) {
			return overConn
		}
	case r.Method != http.MethodConnect:
	case r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket",
		r.ProtoMajor == 3 && r.Proto == "websocket":
		return overStream
	}
	return noUpgrade
}

func wantsUpgrade(connection []string) bool {
	for _, list := range connection {
		for option := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(trim(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

// subprotocolToken finds the token that follows "bearer" in an offer of
// subprotocols, and counts such pairs. Browsers cannot set Authorization on a
// WebSocket, so clients offer "bearer, TOKEN" there.
func subprotocolToken(offers []string) (raw string, count int) {
	announced := false
	for _, list := range offers {
		for offer := range strings.SplitSeq(list, ",") {
			offer = trim(offer)
			switch {
			case strings.EqualFold(offer, "bearer"):
				count++
				announced = true
			case announced:
				raw, announced = offer, false
			}
		}
	}
	return raw, count
}

// stripSubprotocol removes each "bearer" with the token after it, whether or
// not it was the credential and wherever else it is offered, and reports whether
// there was one.
func stripSubprotocol(h http.Header, offers []string) bool {
	if _, count := subprotocolToken(offers); count == 0 {
		return false
	}
	var kept, tokens []string
	announced := false
	for _, list := range offers {
		for offer := range strings.SplitSeq(list, ",") {
			offer = trim(offer)
			switch {
			case strings.EqualFold(offer, "bearer"):
				announced = true
			case announced:
				tokens, announced = append(tokens, offer), false
			case offer != "":
				kept = append(kept, offer)
			}
		}
	}
	kept = slices.DeleteFunc(kept, func(offer string) bool { return slices.Contains(tokens, offer) })
	delete(h, "Sec-Websocket-Protocol")
	if len(kept) > 0 {
		h["Sec-Websocket-Protocol"] = []string{strings.Join(kept, ", ")}
	}
	return true
}

// selectBearer answers the offer of "bearer" where the upstream selected no
// subprotocol: browsers drop a WebSocket whose offer gets no answer.
func selectBearer(h http.Header) {
	for name := range h {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			return // the proxy spells it as RFC 6455 does, not canonically
		}
	}
	h.Set("Sec-WebSocket-Protocol", "bearer")
}
