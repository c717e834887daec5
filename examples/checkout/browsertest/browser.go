package main

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var errNoChromium = errors.New("there is no Chromium: apt-get install chromium, or see README.md")

// chromium is the path of the program.
func chromium() (string, error) {
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoChromium
}

// launch starts a browser that knows nothing and calls nobody. It ends with ctx, or
// when stop is called.
func launch(ctx context.Context) (browser context.Context, stop func(), err error) {
	path, err := chromium()
	if err != nil {
		return nil, nil, err
	}
	// Every option is an explicit one, and so is the directory of the profile: chromedp
	// makes an empty one and removes it.
	ctx, cancel := chromedp.NewExecAllocator(
		ctx,
		chromedp.ExecPath(path),
		chromedp.Headless,
		// The sandbox does not work for root and in most containers. The pages are ours.
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-dev-shm-usage", true), // it is small in containers
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.WindowSize(1200, 900),
	)
	browser, end := chromedp.NewContext(ctx)
	stop = func() {
		last, done := context.WithTimeout(browser, 10*time.Second)
		_ = chromedp.Cancel(last) // a browser that does not go in peace is killed
		done()
		end()
		cancel()
	}
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, nil, err
	}
	return browser, stop, nil
}

// prefer has a tab prefer things, as a user does: prefer("color-scheme", "dark").
func prefer(what, which string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-" + what, Value: which}},
		})
		return err
	})
}
