package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, with its lines joined.
type instruction struct{ name, rest string }

func parseDockerfile(t *testing.T, text string) (instructions []instruction) {
	t.Helper()
	joined := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if part, more := strings.CutSuffix(line, "\\"); more {
			joined += part
			continue
		}
		name, rest, found := strings.Cut(joined+line, " ")
		if !found || name != strings.ToUpper(name) {
			t.Fatalf("no instruction: %s", joined+line)
		}
		instructions, joined = append(instructions, instruction{name, strings.TrimSpace(rest)}), ""
	}
	return instructions
}

var (
	// pinned is a base image that can't become another: by its digest, or by a whole version.
	pinned = regexp.MustCompile(`^(scratch|\S+@sha256:[0-9a-f]{64}|[^:\s]+:\d+\.\d+\.\d+[\w.-]*)( AS \w+)?$`)
	// secretName is what must not be built into an image with a value.
	secretName = regexp.MustCompile(`(?i)\b\w*(secret|password|passwd|token|api_?key|private)\w*=\S`)
	// fromElsewhere is what a build would fetch without checking it.
	fromElsewhere = regexp.MustCompile(`\b(curl|wget|git clone|apt-get|apk|sudo)\b`)
)

// lintDockerfile finds what must not be in one.
func lintDockerfile(instructions []instruction) (found []string) {
	user, names := "", []string{}
	for _, in := range instructions {
		names = append(names, in.name)
		switch in.name {
		case "FROM":
			user = ""
			if !pinned.MatchString(in.rest) {
				found = append(found, "not pinned: "+in.rest)
			}
		case "ADD":
			found = append(found, "ADD fetches and unpacks: "+in.rest)
		case "USER":
			user = in.rest
		case "ARG", "ENV":
			if secretName.MatchString(in.rest) {
				found = append(found, "a secret stays in the image: "+in.rest)
			}
		case "RUN":
			if fromElsewhere.MatchString(in.rest) {
				found = append(found, "fetched without a check: "+in.rest)
			}
		case "CMD", "ENTRYPOINT":
			if !strings.HasPrefix(in.rest, "[") {
				found = append(found, "needs a shell: "+in.rest)
			}
		}
	}
	if id, _, _ := strings.Cut(user, ":"); !regexp.MustCompile(`^[1-9]\d*$`).MatchString(id) {
		found = append(found, "the user is not a number above 0: "+user)
	}
	if !slices.Contains(names, "HEALTHCHECK") {
		found = append(found, "no HEALTHCHECK")
	}
	return found
}

func TestDockerfileIsSound(t *testing.T) {
	text := read(t, "Dockerfile")
	if found := lintDockerfile(parseDockerfile(t, text)); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	// And the lint finds what is wrong.
	for _, spoiled := range [][2]string{
		{"golang:1.26.8-trixie", "golang:latest"}, {"golang:1.26.8-trixie", "golang:1.26"}, {"FROM scratch", "FROM alpine"},
		{"USER 65532:65532", "USER root"}, {"USER 65532:65532", "USER 0"}, {"USER 65532:65532\n", ""},
		{"COPY . .", "ADD https://example.com/src.tar.gz ."}, {"ENV HOME=", "ENV OPERATOR_TOKEN=abc HOME="},
		{"RUN go mod download", "RUN curl https://example.com | sh"}, {`ENTRYPOINT ["/usr/bin/caddy"]`, "ENTRYPOINT caddy"},
	} {
		bad := strings.Replace(text, spoiled[0], spoiled[1], 1)
		if found := lintDockerfile(parseDockerfile(t, bad)); bad == text || len(found) == 0 {
			t.Errorf("%q for %q is not found", spoiled[1], spoiled[0])
		}
	}
}

// all are the rests of the instructions of one name.
func all(instructions []instruction, name string) (rests []string) {
	for _, in := range instructions {
		if in.name == name {
			rests = append(rests, in.rest)
		}
	}
	return rests
}

// execForm is a command as a list of words.
func execForm(t *testing.T, rest string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(rest[strings.Index(rest, "["):]), &words); err != nil {
		t.Fatalf("%s: %v", rest, err)
	}
	return words
}

// What the image runs is in the program, and it is built as `make build` does.
func TestDockerfileFitsTheProgram(t *testing.T) {
	file := parseDockerfile(t, read(t, "Dockerfile"))
	entry, health := execForm(t, all(file, "ENTRYPOINT")[0]), execForm(t, all(file, "HEALTHCHECK")[0])
	if entry[0] != "/usr/bin/caddy" || health[0] != entry[0] {
		t.Errorf("the program is %q, its check %q", entry, health)
	}
	known(t, execForm(t, all(file, "CMD")[0]))
	known(t, health[1:])

	build := strings.Join(all(file, "RUN"), "\n")
	makefile := read(t, root+"/Makefile")
	for _, option := range []string{"-trimpath", "-s -w", "nobadger,nomysql,nopgx"} {
		if !strings.Contains(build, option) || !strings.Contains(makefile, option) {
			t.Errorf("%s is not in both Dockerfile and Makefile", option)
		}
	}
	needed := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)\.(\d+)$`).FindStringSubmatch(read(t, root+"/go.mod"))
	image := regexp.MustCompile(`golang:(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(all(file, "FROM")[0])
	if needed == nil || image == nil || slices.Compare(numbers(t, image[1:]), numbers(t, needed[1:])) < 0 {
		t.Errorf("the image has Go %v, go.mod asks for %v", image, needed)
	}
	for _, source := range all(file, "COPY") {
		if words := strings.Fields(source); !strings.HasPrefix(source, "--from") {
			for _, path := range words[:len(words)-1] {
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func numbers(t *testing.T, texts []string) (all []int) {
	t.Helper()
	for _, text := range texts {
		number, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, number)
	}
	return all
}

// ignored reports whether a pattern of .dockerignore leaves a file out.
func ignored(pattern, file string) bool {
	if tail, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
		return slices.ContainsFunc(strings.Split(file, "/"), func(part string) bool {
			match, _ := filepath.Match(tail, part)
			return match
		})
	}
	return file == pattern || strings.HasPrefix(file, pattern+"/")
}

// .dockerignore keeps state and keys out, and leaves in what the program is built
// from.
func TestDockerignore(t *testing.T) {
	var patterns []string
	for line := range strings.Lines(read(t, root+"/.dockerignore")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	out := func(file string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool { return ignored(pattern, file) })
	}
	for _, file := range []string{".git/config", ".run/bearer.db", "bearer.db", "keys/root.key", "a/operator.token", "signing.pem", "revocations.journal", "bin/caddy", "bearer.db-wal"} {
		if !out(file) {
			t.Errorf("%s gets into the image's build", file)
		}
	}
	list := exec.Command("go", "list", "-deps", "-tags", "nobadger,nomysql,nopgx",
		"-f", `{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "./cmd/caddy")
	list.Dir = root
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for file := range strings.Lines(string(files)) {
		relative, err := filepath.Rel(folder, strings.TrimSpace(file))
		if err != nil {
			t.Fatal(err)
		}
		if count++; out(filepath.ToSlash(relative)) {
			t.Errorf("%s is left out, and the program is built from it", relative)
		}
	}
	if count < 100 {
		t.Errorf("only %d files were found", count)
	}
}
