// Command fences keeps the promises of the library that no compiler, vet or
// linter knows:
//
//	fences imports     what the packages depend on, and what their code avoids
//	fences api         the exported API is the recorded one, and no guarantee is gone
//	fences api-update  records the exported API and the number of guarantees
//	fences guarantees  every guarantee is named by a test
//	fences skips       no test is skipped without an excuse
//	fences examples    every exported name has an example
//
// It runs in the root of the repository and looks at the platform that GOOS
// and GOARCH name. Problems go to standard error, one a line, and make it fail.
package main

import (
	"context"
	"fmt"
	"os"
)

// roots are the root packages of the library, each the top of its own tree.
// Those not written yet are skipped, except breaker.
var roots = []string{"breaker", "saga", "registry", "eventbus"}

// fences are the subcommands. Each returns the problems it found; its error
// means that it could not look.
var fences = map[string]func(context.Context) ([]string, error){
	"imports":    checkImports,
	"api":        checkAPI,
	"api-update": updateAPI,
	"guarantees": checkGuarantees,
	"skips":      checkSkips,
	"examples":   checkExamples,
}

func main() {
	if len(os.Args) != 2 || fences[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: fences imports|api|api-update|guarantees|skips|examples")
		os.Exit(2)
	}
	problems, err := fences[os.Args[1]](context.Background())
	if err != nil {
		fmt.Fprintf(os.Stderr, "fences %s: %v\n", os.Args[1], err)
		os.Exit(2)
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}
