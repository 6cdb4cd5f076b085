package pages

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// states are in how many states a page is looked at: more than any type has
// constants.
const states = 16

// fillings are the texts that data brings: none has a letter of English.
var fillings = func() (all []string) {
	for state := range 2 * states {
		all = append(all, fmt.Sprint("Ω", state+1))
	}
	return all
}()

// fill puts a state into data. What is one of several constants is each of them in
// turn; in state 0 whatever may be empty is.
func fill(v reflect.Value, state int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(filling(v.Type().Name(), state))
	case reflect.Bool:
		v.SetBool(state%2 == 1)
	case reflect.Int:
		v.SetInt(int64(state % 4))
	case reflect.Interface:
		v.Set(reflect.ValueOf(filling("", state)))
	case reflect.Slice:
		if state > 0 || v.Type().Elem().Kind() == reflect.String { // a list of rows may be empty
			v.Set(reflect.MakeSlice(v.Type(), 1+state%2, 2))
		}
		for k := range v.Len() {
			fill(v.Index(k), state+k)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for k := range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, state+k+1)
			fill(value, state+k)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[netip.Prefix]() {
			v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
			return
		}
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 7, 1+state, 12, 0, 0, 0, time.UTC)))
			return
		}
		for k := range v.NumField() {
			if v.Type().Field(k).IsExported() {
				fill(v.Field(k), state)
			}
		}
	case reflect.Func: // a sequence, with one member; or what reads something
		if v.Type().NumIn() == 0 {
			read := reflect.New(v.Type().Out(0)).Elem()
			fill(read, state)
			v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value {
				return []reflect.Value{read, reflect.Zero(v.Type().Out(1))}
			}))
			return
		}
		v.Set(reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
			one := reflect.New(args[0].Type().In(0)).Elem()
			fill(one, state)
			args[0].Call([]reflect.Value{one})
			return nil
		}))
	}
}

// filling is a text of data: of the constants of its type one, if there are any.
func filling(kind string, state int) string {
	values := constants[kind]
	switch {
	case len(values) > 0 && mayBeEmpty(kind):
		return append([]string{""}, values...)[state%(len(values)+1)]
	case len(values) > 0:
		return values[state%len(values)]
	case state == 0:
		return ""
	}
	return fillings[(state-1)%len(fillings)]
}

// mayBeEmpty knows the types with constants that have an empty value, too: there is
// no problem, or the page is in no section.
func mayBeEmpty(kind string) bool {
	return strings.HasSuffix(kind, "Problem") || slices.Contains([]string{"Section"}, kind)
}
