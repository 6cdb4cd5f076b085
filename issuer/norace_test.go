//go:build !race

package issuer

const raceDetector = false
