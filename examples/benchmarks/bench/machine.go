package bench

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// A Machine is where a report comes from. It has no names.
type Machine struct {
	CPU   string
	CPUs  int
	Procs int
	Go    string
	OS    string
}

// ThisMachine describes the machine we run on.
func ThisMachine() Machine {
	m := Machine{
		CPU:   "CPU of an unknown model",
		CPUs:  runtime.NumCPU(),
		Procs: runtime.GOMAXPROCS(0),
		Go:    runtime.Version(),
		OS:    runtime.GOOS + "/" + runtime.GOARCH,
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := cpuModel(string(text)); model != "" {
			m.CPU = model
		}
	}
	return m
}

// cpuModel finds the model in what Linux tells about its processors.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, GOMAXPROCS %d, %s, %s", m.CPU, m.CPUs, m.Procs, m.Go, m.OS)
}

// Versions of the modules in this program, by module path.
func Versions() map[string]string {
	out := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			out[dep.Path] = dep.Version
		}
	}
	return out
}
