package pages

// Risk is the worst that a right can do.
type Risk string

// The risks, as policies call them.
const (
	Reads        Risk = "read"
	Trades       Risk = "trade"
	Withdraws    Risk = "withdraw"
	ActsOnOthers Risk = "admin"
)
