package pages

import "strings"

// Settings are what a program needs of an application.
type Settings struct {
	Issuer      string
	ClientID    string
	Secret      string // empty: it is not shown again
	RedirectURI string
	Scopes      []string
	Public      bool // there is no secret
}

// Placeholder stands where a secret is not shown.
const Placeholder = "CLIENT_SECRET_HERE"

// Environment is a file of variables, as shells, containers and programs read it.
func (s Settings) Environment() string {
	secret := s.Secret
	if secret == "" && !s.Public {
		secret = Placeholder
	}
	var file strings.Builder
	for _, pair := range [][2]string{
		{"ISSUER", s.Issuer}, {"CLIENT_ID", s.ClientID}, {"CLIENT_SECRET", secret},
		{"REDIRECT_URI", s.RedirectURI}, {"SCOPE", strings.Join(s.Scopes, " ")},
	} {
		file.WriteString(pair[0] + "=" + shellWord(pair[1]) + "\n")
	}
	return file.String()
}

// shellWord is a text as shells read it: in quotes unless it needs none.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("_-.,:/@%+", c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Placeholder is the word that stands for the secret, if it stands for one.
func (s Settings) Placeholder() string {
	if s.Secret != "" || s.Public {
		return ""
	}
	return Placeholder
}

// Program takes a token's way once, from the question to a user to the renewal. It
// reads what it needs from the environment, so it is the same for all applications.
type Program struct {
	Language string // the text that names it is application.LANGUAGE
	Source   string
}

// Programs are those that there are.
func (Settings) Programs() []Program { return programs }

var programs = []Program{program("javascript"), program("python"), program("go"), program("curl")}

func program(language string) Program {
	source, err := templates.ReadFile("templates/programs/" + language + ".txt")
	if err != nil {
		panic(err)
	}
	return Program{language, string(source)}
}
