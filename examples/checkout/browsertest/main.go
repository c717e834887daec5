// Command browsertest looks at the checkout example as a user does: in Chromium. Its
// tests try the page; the program itself makes the pictures of it for README.md, of the
// shop at work.
//
//	go run . -out ../../../.github/design/checkout.png
//	go run . -dark -out ../../../.github/design/checkout-dark.png
//	go run . -width 400 -height 4000 -out phone.png
//
// It has the checkout program play its script of faults and takes the picture some time
// after that began.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/chromedp/chromedp"
)

type options struct {
	out           string
	width, height int64
	dark          bool
	lasts, after  time.Duration
	seed          string
}

func main() {
	var opt options
	flag.StringVar(&opt.out, "out", "checkout.png", "the file")
	flag.Int64Var(&opt.width, "width", 1200, "of the window, in pixels")
	flag.Int64Var(&opt.height, "height", 1340, "of the window, in pixels")
	flag.BoolVar(&opt.dark, "dark", false, "the dark scheme")
	flag.DurationVar(&opt.lasts, "for", time.Minute, "how long the script of faults takes")
	flag.DurationVar(&opt.after, "after", 34500*time.Millisecond, "when the picture is taken")
	flag.StringVar(&opt.seed, "seed", "1", "that of the shop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, opt)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browsertest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opt options) (err error) {
	dir, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	browser, stop, err := launch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	s, err := open(ctx, dir, "-for", opt.lasts.String(), "-seed", opt.seed)
	if err != nil {
		return err
	}
	began := time.Now()
	defer func() { err = errors.Join(err, s.close()) }()
	picture, err := shoot(browser, s.url, opt, began)
	if err != nil {
		return err
	}
	small, err := shrink(picture)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", opt.out, len(small))
	return os.WriteFile(opt.out, small, 0o644)
}

// shoot takes the picture when it is time.
func shoot(browser context.Context, url string, opt options, began time.Time) ([]byte, error) {
	scheme := "light"
	if opt.dark {
		scheme = "dark"
	}
	err := chromedp.Do(
		browser,
		chromedp.EmulateViewport(opt.width, opt.height),
		prefer("color-scheme", scheme),
		chromedp.Navigate(url),
		chromedp.Sleep(opt.after-time.Since(began)),
	)
	if err != nil {
		return nil, err
	}
	return chromedp.Run(browser, chromedp.CaptureScreenshot())
}

// shrink has a picture in 256 colours: it takes half of the space.
func shrink(picture []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	small := image.NewPaletted(full.Bounds(), palette(full))
	draw.Draw(small, small.Bounds(), full, full.Bounds().Min, draw.Src)
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small)
	return b.Bytes(), err
}

// palette has the colours that are there most often, and for the others those that
// stand for the most of what looks much alike.
func palette(full image.Image) color.Palette {
	times := make(map[color.RGBA]int)
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			times[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	best := frequent(times)
	kept := best[:min(len(best), 96)]
	alike := make(map[color.RGBA]int)
	for _, c := range best[len(kept):] {
		alike[color.RGBA{c.R | 15, c.G | 15, c.B | 15, c.A}] += times[c]
	}
	others := frequent(alike)
	var p color.Palette
	for _, c := range slices.Concat(kept, others[:min(len(others), 256-len(kept))]) {
		p = append(p, c)
	}
	return p
}

// frequent are colours, those first that are there most often.
func frequent(times map[color.RGBA]int) []color.RGBA {
	return slices.SortedFunc(maps.Keys(times), func(a, b color.RGBA) int {
		return cmp.Or(times[b]-times[a], cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
}
