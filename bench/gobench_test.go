package main

import (
	"reflect"
	"testing"
)

func TestParseGo(t *testing.T) {
	got := parseGo(`goos: linux
pkg: example.test/gate
BenchmarkCheck/hot-2         	 3800000	       305.5 ns/op	       0 B/op	       0 allocs/op
BenchmarkCheck/hot-2         	 3900000	       301.5 ns/op	       0 B/op	       0 allocs/op
BenchmarkSign/ES256-2        	   20000	     50123 ns/op	        20000 tokens/s	    6500 B/op	      79 allocs/op
BenchmarkPlain 	 100	 7 ns/op
PASS
ok  	example.test/gate	3.2s
`)
	want := []step{
		{"Check/hot", spread{303.5, 301.5, 305.5}, 0},
		{"Sign/ES256", spread{50123, 50123, 50123}, 79},
		{"Plain", spread{7, 7, 7}, 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
