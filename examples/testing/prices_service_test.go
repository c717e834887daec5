package shop_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
)

// A priceService answers requests without a network: in a bubble there must be none.
// It is also the handler of a real server, where there is one.
type priceService struct {
	cents  int // 0: it is down; negative: it knows no such item
	hangs  bool
	calls  int
	client http.Client
}

func newPriceService() *priceService {
	s := &priceService{cents: 499}
	s.client.Transport = s
	return s
}

func (s *priceService) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.calls++
	switch {
	case s.cents > 0:
		_, _ = w.Write([]byte(strconv.Itoa(s.cents)))
	case s.cents == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *priceService) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.hangs {
		s.calls++
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}
