package policy

import "fmt"

// nearest returns the candidate that word was probably meant to be, the first
// of equals, or "" if none is near: at most a third of the word may differ.
func nearest(word string, candidates []string) string {
	best, limit := "", max(1, min(len(word)/3, 4))
	for _, candidate := range candidates {
		// The cheap test first: a word may come from a stranger and be long.
		if abs(len(candidate)-len(word)) > limit {
			continue
		}
		if d := editDistance(word, candidate); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// didYouMean is the end of a message about an unknown word.
func didYouMean(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitution := last[j-1]
			if a[i-1] != b[j-1] {
				substitution++
			}
			row[j] = min(last[j]+1, row[j-1]+1, substitution)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int { return max(n, -n) }
