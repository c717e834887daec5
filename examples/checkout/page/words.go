package page

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// How much of a text is shown, in characters.
const (
	maxName = 64
	maxText = 300
)

// faultWords are what is said about a fault: on its button, about the button, as
// its outcome, and beside an instance that has it.
var faultWords = map[Fault]struct{ button, about, outcome, state string }{
	Kill:  {"Kill", "It dies without a word, and is started again after some seconds.", "is killed", "killed"},
	Slow:  {"Slow", "It takes longer than anybody waits.", "is slow now", "slow"},
	Storm: {"503 storm", "It answers 503, with Retry-After.", "answers 503 now", "503 storm"},
	Heal:  {"Heal", "It is as it was.", "is healed", ""},
}

// clean is the beginning of a text that others have made: its invalid and its
// invisible characters are replaced, since they are a way to deceive.
func clean(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("...")
			break
		}
		if !unicode.IsGraphic(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

const hashed = "sha256:"

// formName is how a form tells an ID: as it is, if a form can.
func formName(id string) string {
	if clean(id, 128) == id && !strings.HasPrefix(id, hashed) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hashed + hex.EncodeToString(sum[:])
}

// number is n in five characters or less.
func number(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	f, units := float64(n)/1000, "kMGTPE"
	for f >= 999.5 {
		f, units = f/1000, units[1:]
	}
	if f < 99.95 {
		return fmt.Sprintf("%.1f%c", f, units[0])
	}
	return fmt.Sprintf("%.0f%c", f, units[0])
}

// whole is a number that should not be negative.
func whole(n int) string { return number(uint64(max(n, 0))) }

// part is a share between 0 and 1.
func part(f float64) float64 {
	if !(f > 0) { // NaN is none
		return 0
	}
	return min(f, 1)
}

// percent is a share as a whole number. What is little is not called nothing.
func percent(f float64) string {
	f = part(f)
	switch {
	case f > 0 && f < 0.01:
		return "<1 %"
	case f > 0.99 && f < 1:
		return "99 %"
	}
	return fmt.Sprintf("%.0f %%", math.Round(100*f))
}

// width is a share as an attribute of SVG.
func width(f float64) string { return strconv.FormatFloat(100*part(f), 'f', 2, 64) + "%" }

// watch is a time since the start, as a stopwatch shows it.
func watch(d time.Duration) string {
	d = max(d, 0)
	return fmt.Sprintf("%d:%02d", int64(d/time.Minute), int64(d%time.Minute/time.Second))
}

// moment is watch with tenths of a second.
func moment(d time.Duration) string {
	return fmt.Sprintf("%s.%d", watch(d), int64(max(d, 0)%time.Second/(100*time.Millisecond)))
}

// age is how long something has been.
func age(d time.Duration) string {
	d = max(d, 0)
	if d < time.Minute {
		return fmt.Sprintf("%d s", int64(d/time.Second))
	}
	return fmt.Sprintf("%d min %d s", int64(d/time.Minute), int64(d%time.Minute/time.Second))
}
