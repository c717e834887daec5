(() => {
  const parse = (s) => (s.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3) return c;
    }
    return [255, 255, 255];
  };
  const fill = (selector) => parse(getComputedStyle(document.querySelector(selector)).fill);
  const out = [];
  const check = (what, a, b, least) => { const c = contrast(a, b); if (c < least) out.push(`${what}: ${c.toFixed(2)}`); };
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("svg, script, noscript, .hidden, [hidden]")) continue;
    check(`${e.className} "${e.textContent.trim().slice(0, 30)}"`, parse(getComputedStyle(e).color), behind(e), 4.5);
  }
  // The labels of the timelines lie on both colours of a pattern.
  for (const [label, pattern] of [[".line .open + text", "#hatch"], [".line .half + text", "#dots"]])
    for (const part of [" .under", " .over"]) check(label + part, fill(label), fill(pattern + part), 4.5);
  for (const shape of ["#hatch .under", "#dots .under", ".line .closed"]) check(shape, fill(shape), fill(".line .track"), 3);
  check("share", fill(".share .full"), fill(".share .track"), 3);
  return out;
})()
