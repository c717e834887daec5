module github.com/mainstay-go/mainstay/registry/internal/modelcheck

go 1.25.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/benbjohnson/clock v1.3.5
	github.com/mainstay-go/mainstay v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
)

replace github.com/mainstay-go/mainstay => ../../..
