package balance_test

import (
	"fmt"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// The key of a user is the same wherever it is computed, today and next year.
func ExampleHashKey() {
	fmt.Printf("%016x\n", balance.HashKey("user-42"))
	fmt.Printf("%016x\n", balance.HashKey("user-43"))
	// Output:
	// 397e9d3a76af7c81
	// bcf71fd8c0c70e7b
}
