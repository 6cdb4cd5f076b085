//go:build race

package issuer

// raceDetector tells that time means nothing: everything is several times slower.
const raceDetector = true
