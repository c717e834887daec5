package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A shop calls the services.
type shop struct {
	urls   map[resource]string
	client *http.Client // without a Timeout: contexts of steps have one
}

func newShop(urls map[resource]string) *shop {
	return &shop{urls, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// close closes the connections that are open still.
func (s *shop) close() { s.client.CloseIdleConnections() }

// make makes a resource. However often that is tried, the key is the same.
func (s *shop) make(ctx context.Context, r resource, o Order) (receipt string, err error) {
	return s.call(ctx, http.MethodPost, r, saga.Info(ctx).Key, "", &o)
}

// unmake undoes that. With the key of the action the service finds what there is to
// undo, and refuses the action if it comes now.
func (s *shop) unmake(ctx context.Context, r resource, o Order) error {
	info := saga.Info(ctx)
	_, err := s.call(ctx, http.MethodDelete, r, info.Key, info.DoKey, &o)
	return err
}

// look asks what has become of an action. That a service does not know it is no
// answer: it may still be on its way. But what was refused stays refused.
func (s *shop) look(ctx context.Context, r resource) (saga.Outcome, string, error) {
	receipt, err := s.call(ctx, http.MethodGet, r, saga.Info(ctx).Key, "", nil)
	var status *statusError
	switch {
	case err == nil:
		return saga.Applied, receipt, nil
	case errors.As(err, &status) && status.code == http.StatusConflict:
		return saga.Rejected, "", nil
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return saga.Unknown, "", nil
	}
	return saga.Unknown, "", err
}

// A statusError is an answer that is no success.
type statusError struct {
	code  int
	why   string
	after time.Duration // when to come back; 0: not told
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.why) }

func (s *shop) call(ctx context.Context, method string, r resource, key, doKey string, o *Order) (receipt string, err error) {
	var body io.Reader
	if o != nil {
		data, err := json.Marshal(o)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.urls[r], body)
	if err != nil {
		return "", err
	}
	req.Header.Set(keyHeader, key)
	// Without GetBody the transport cannot send the request again by itself, which it
	// does for the sake of the key when a connection breaks. All that we heard would be
	// the last answer, and a 429 to that one says nothing about the one before.
	req.GetBody = nil
	if doKey != "" {
		req.Header.Set(undoHeader, doKey)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) { // the address is of no interest
			err = about.Err
		}
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var got reply
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return "", fmt.Errorf("%d: %w", resp.StatusCode, err)
	}
	if resp.StatusCode == http.StatusOK {
		return got.Receipt, nil
	}
	ms, _ := strconv.Atoi(resp.Header.Get(afterHeader)) // 0 if it is not there
	return "", &statusError{resp.StatusCode, got.Error, time.Duration(ms) * time.Millisecond}
}
