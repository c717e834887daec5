package registrydns_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// What stands in DNS messages, RFC 1035 and RFC 2782.
const (
	typeA    = 1
	typeAAAA = 28
	typeSRV  = 33

	rcodeOK       = 0
	rcodeServFail = 2
	rcodeNXDomain = 3

	flagResponse      = 1 << 15
	flagAuthoritative = 1 << 10
	flagTruncated     = 1 << 9
	flagDesired       = 1 << 8 // recursion

	headerLen  = 12
	maxUDP     = 512
	pointer    = 0xC000 | headerLen // to the name in the question
	classInet  = 1
	timeToLive = 60
)

// A server is a DNS server on UDP and TCP.
type server struct {
	udp   net.PacketConn
	tcp   net.Listener
	asked chan string // network, type and name of each question; if full they are not told

	mu   sync.Mutex
	zone map[string]map[uint16]entry // by name and type
}

// An entry is the answer to a question.
type entry struct {
	rcode  uint16
	data   [][]byte
	silent bool // no answer at all
}

// newServer starts a server that knows no name. It ends with the test.
func newServer(t *testing.T) *server {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{udp: udp, tcp: tcp, asked: make(chan string, 100), zone: make(map[string]map[uint16]entry)}
	var serving sync.WaitGroup
	serving.Go(s.serveUDP)
	serving.Go(s.serveTCP)
	t.Cleanup(func() {
		_ = udp.Close()
		_ = tcp.Close()
		serving.Wait()
	})
	return s
}

// resolver asks this server and no other.
func (s *server) resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo:     true,
		StrictErrors: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			addr := s.tcp.Addr()
			if strings.HasPrefix(network, "udp") {
				addr = s.udp.LocalAddr()
			}
			var d net.Dialer
			return d.DialContext(ctx, network, addr.String())
		},
	}
}

// set changes what the server knows of a name. It has entries for the types
// given and no records of other types.
func (s *server) set(name string, entries map[uint16]entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name] = entries
}

// forget makes a name one that does not exist.
func (s *server) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zone, name)
}

func (s *server) find(name string, typ uint16) entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, ok := s.zone[name]
	if !ok {
		return entry{rcode: rcodeNXDomain}
	}
	return entries[typ]
}

func (s *server) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if msg := s.answer("udp", buf[:n]); msg != nil {
			_, _ = s.udp.WriteTo(msg, from)
		}
	}
}

func (s *server) serveTCP() {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		open.Go(func() {
			defer func() { _ = conn.Close() }()
			var size uint16
			for binary.Read(conn, binary.BigEndian, &size) == nil {
				msg := make([]byte, size)
				if _, err := io.ReadFull(conn, msg); err != nil {
					return
				}
				if msg = s.answer("tcp", msg); msg != nil {
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
				}
			}
		})
	}
}

// answer turns a query into a response; nil: it is no query, or has none.
func (s *server) answer(network string, query []byte) []byte {
	name, typ, question := parse(query)
	if question == nil {
		return nil
	}
	e := s.find(name, typ)
	select {
	case s.asked <- network + " " + typeName(typ) + " " + name:
	default:
	}
	if e.silent {
		return nil
	}
	records, count := []byte(nil), 0
	for _, data := range e.data {
		records = binary.BigEndian.AppendUint16(records, pointer)
		records = binary.BigEndian.AppendUint16(records, typ)
		records = binary.BigEndian.AppendUint16(records, classInet)
		records = binary.BigEndian.AppendUint32(records, timeToLive)
		records = binary.BigEndian.AppendUint16(records, uint16(len(data)))
		records = append(records, data...)
		count++
	}
	flags := flagResponse | flagAuthoritative | flagDesired | e.rcode
	if network == "udp" && headerLen+len(question)+len(records) > maxUDP {
		flags |= flagTruncated
		records, count = nil, 0
	}
	msg := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, uint16(count), 0, 0} {
		msg = binary.BigEndian.AppendUint16(msg, field)
	}
	return append(append(msg, question...), records...)
}

// parse reads the first question of a query.
func parse(query []byte) (name string, typ uint16, question []byte) {
	i := headerLen
	for i < len(query) && query[i] != 0 {
		end := i + 1 + int(query[i])
		if end >= len(query) {
			return "", 0, nil
		}
		name += string(query[i+1:end]) + "."
		i = end
	}
	if i+5 > len(query) {
		return "", 0, nil
	}
	return name, binary.BigEndian.Uint16(query[i+1:]), query[headerLen : i+5]
}

func typeName(typ uint16) string {
	return map[uint16]string{typeA: "A", typeAAAA: "AAAA", typeSRV: "SRV"}[typ]
}

// addrs are A or AAAA records.
func addrs(all ...string) entry {
	var e entry
	for _, one := range all {
		e.data = append(e.data, netip.MustParseAddr(one).AsSlice())
	}
	return e
}

// services are SRV records.
func services(all ...*net.SRV) entry {
	var e entry
	for _, r := range all {
		var data []byte
		for _, field := range []uint16{r.Priority, r.Weight, r.Port} {
			data = binary.BigEndian.AppendUint16(data, field)
		}
		for label := range strings.SplitSeq(r.Target, ".") {
			if label != "" {
				data = append(append(data, byte(len(label))), label...)
			}
		}
		e.data = append(e.data, append(data, 0))
	}
	return e
}
