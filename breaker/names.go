package breaker

import "fmt"

// named sets v to the value with a name, of those up to last. Other texts leave it
// alone: that of a value without a name, too, since it cannot mean much here.
func named[E interface {
	~uint8
	String() string
}](v *E, last E, text []byte, typ string,
) error {
	for e := E(0); e <= last; e++ {
		if e.String() == string(text) {
			*v = e
			return nil
		}
	}
	return fmt.Errorf("breaker: %.64q is no %s", text, typ)
}
