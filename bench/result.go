//go:build linux

package main

// result is what a run found.
type result struct {
	Date    string  `json:"date"`
	Machine machine `json:"machine"`
	// Stolen is the part of the processors' time that the host gave to others
	// while the rounds ran.
	Stolen  float64 `json:"stolen"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of load in each round, for each line

	Gateways []line       `json:"gateways"`
	Pairs    []comparison `json:"pairs"`
	Issuer   []line       `json:"issuer"`
	Steps    []step       `json:"steps,omitempty"`
	Million  []window     `json:"million,omitempty"`
}

// line is one contender's figures over the rounds.
type line struct {
	Key       string   `json:"key"`
	Name      string   `json:"name"`
	Ratio     *spread  `json:"ratio,omitempty"`     // of requests per second to the floor's; the issuer has none
	CPURatio  *spread  `json:"cpu_ratio,omitempty"` // of processor time for each request to the floor's
	PerSecond spread   `json:"per_second"`
	CPU       spread   `json:"cpu_us"`
	P50       spread   `json:"p50_us"`
	P99       spread   `json:"p99_us"`
	Peak      int64    `json:"peak_bytes"` // resident memory
	Samples   []sample `json:"samples"`
}

// comparison is what we aim at: a's requests per second to b's.
type comparison struct {
	A     string  `json:"a"`
	B     string  `json:"b"`
	What  string  `json:"what"`
	Aim   float64 `json:"aim,omitempty"` // 0: none
	Ratio spread  `json:"ratio"`
	CPU   spread  `json:"cpu_ratio"` // of processor time for each request, which other work on the machine hits less
}

// comparisons are the pairs that a reader asks for.
var comparisons = []comparison{
	{A: gated, B: ungated, What: "our gate, 1 hot token / our binary without it", Aim: 0.97},
	{A: gatedCrowd, B: ungatedCrowd, What: "our gate, 100,000 tokens / our binary without it", Aim: 0.97},
	{A: gated, B: stock, What: "our gate, 1 hot token / stock Caddy without any", Aim: 1.15},
	{A: gated, B: haproxyES256, What: "our gate, 1 hot token / HAProxy ES256", Aim: 1.3},
	{A: gatedCrowd, B: haproxyES256, What: "our gate, 100,000 tokens / HAProxy ES256"},
	{A: gated, B: forwardAuth, What: "our gate, 1 hot token / `forward_auth`"},
	{A: ungated, B: plainBuild, What: "what the profile (PGO) gives"},
	{A: ungated, B: plainGC, What: "what GOGC=400 gives"},
	{A: stockAgain, B: stock, What: "the noise: two identical contenders"},
}

// summarize makes a line of each contender.
func summarize(lines []contender, samples map[string][]sample) ([]line, error) {
	var all []line
	floor := samples[stock]
	for i := range lines {
		of := samples[lines[i].Key]
		peak, err := lines[i].memory("VmHWM")
		if err != nil {
			return nil, err
		}
		l := line{
			Key: lines[i].Key, Name: lines[i].Name, Peak: peak, Samples: of,
			PerSecond: spreadOf(figure(of, perSecond)), CPU: spreadOf(figure(of, cpu)),
			P50: spreadOf(figure(of, p50)), P99: spreadOf(figure(of, p99)),
		}
		if floor != nil {
			speed, work := ratios(of, floor, perSecond), ratios(of, floor, cpu)
			l.Ratio, l.CPURatio = &speed, &work
		}
		all = append(all, l)
	}
	return all, nil
}

// compare works out the pairs.
func compare(samples map[string][]sample) []comparison {
	pairs := make([]comparison, len(comparisons))
	for i, pair := range comparisons {
		pair.Ratio = ratios(samples[pair.A], samples[pair.B], perSecond)
		pair.CPU = ratios(samples[pair.A], samples[pair.B], cpu)
		pairs[i] = pair
	}
	return pairs
}
