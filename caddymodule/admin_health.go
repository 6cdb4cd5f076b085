package caddymodule

// shownHealth is what bearer_health would tell operators.
type shownHealth struct {
	Live    string            `json:"live"`
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks"`
	Details map[string]string `json:"details,omitempty"` // why checks fail
}

func showHealth(c *adminCall) (any, error) {
	ready := readinessOf(c.app, nil, true)
	return shownHealth{livenessOf(c.app).Status, ready.Status, ready.Checks, ready.Details}, nil
}
