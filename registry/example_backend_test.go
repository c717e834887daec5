package registry_test

import (
	"context"
	"fmt"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// An audit is a backend around another one that writes down what this process
// makes others believe.
type audit struct {
	registry.Backend
	put func() // is called after each
}

func (a audit) Put(ctx context.Context, rec registry.Record) error {
	err := a.Backend.Put(ctx, rec)
	fmt.Println("put", rec.Instance.Service, rec.Instance.ID, rec.Health, err)
	a.put()
	return err
}

func (a audit) Remove(ctx context.Context, ref registry.Ref) error {
	err := a.Backend.Remove(ctx, ref)
	fmt.Println("remove", ref.Service, ref.ID, err)
	return err
}

// Sync puts what is registered here, and takes it out at its end.
func ExampleBackend() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reg := registry.MustNew(registry.Config{})
	_, err := reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var b registry.Backend = registrytest.NewBackend(registrytest.BackendConfig{}) // or a database
	fmt.Println(reg.Sync(ctx, "cluster", audit{b, stop}, registry.SyncConfig{}))
	// Output:
	// put orders a passing <nil>
	// remove orders a <nil>
	// context canceled
}
