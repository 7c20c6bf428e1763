// Draws the plots in the colours of the page, light or dark, and lets wide tables be scrolled by keyboard.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
const coarse = matchMedia("(pointer: coarse)");

// What a plot takes from the page: colours by the page's variables, room by its width.
function theme(layout) {
  const style = getComputedStyle(document.documentElement);
  const [card, ink, soft, line, link] = ["card", "ink", "soft", "line", "link"].map(
    (name) => style.getPropertyValue(`--${name}`).trim());
  const own = {
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "colorway": SERIES,
    "font.color": ink, "font.family": getComputedStyle(document.body).fontFamily, "font.size": narrow.matches ? 11 : 13,
    "hoverlabel.bgcolor": card, "hoverlabel.bordercolor": line, "hoverlabel.font.color": ink,
    "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": soft, "modebar.activecolor": link,
    "legend.bgcolor": "rgba(0,0,0,0)", "legend.font.color": ink,
  };
  const axes = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))]);
  for (const axis of axes) {
    Object.assign(own, {
      [`${axis}.gridcolor`]: line, [`${axis}.linecolor`]: line, [`${axis}.zerolinecolor`]: line,
      [`${axis}.tickcolor`]: line, [`${axis}.automargin`]: true,
    });
    if (axis.startsWith("x") && narrow.matches && !layout[axis]?.dtick) own[`${axis}.nticks`] = 5;
  }
  return own;
}

// Sets layout.a.b for the key "a.b".
function set(layout, key, value) {
  const path = key.split(".");
  const last = path.pop();
  path.reduce((inner, name) => (inner[name] ??= {}), layout)[last] = value;
}

// Only a figure that says how it is dragged can be zoomed, and has buttons for it: fingers scroll the page on any.
async function draw(place) {
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  const zoomable = Boolean(layout.dragmode);
  const base = {
    margin: { l: 8, r: 24, t: zoomable ? 36 : 8, b: 8 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", yref: "paper" },
  };
  const merged = { ...base, ...layout, legend: { ...base.legend, ...layout.legend } };
  delete merged.height;
  delete merged.width;
  merged.autosize = true;
  if (!zoomable || coarse.matches) merged.dragmode = false;
  for (const [key, value] of Object.entries(theme(merged))) set(merged, key, value);
  await Plotly.newPlot(place, data, merged, {
    responsive: true, displaylogo: false, displayModeBar: zoomable, doubleClick: zoomable ? "reset" : false,
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "pan2d", "zoom2d", "resetScale2d"]], plotlyServerURL: "",
  });
  if (zoomable) describe(place);
}

// A picture may hold no buttons: the drawing is the picture, the place a group of it and its buttons.
function describe(place) {
  const [drawing, ...others] = place.querySelectorAll(".main-svg");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", place.getAttribute("aria-label"));
  others.forEach((other) => other.setAttribute("aria-hidden", "true"));
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", place.closest("article").querySelector("h3").textContent);
}

// A box that scrolls must be reachable by keyboard, one that does not must not be in the way.
function fit() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// Marks the part of the page that is being read in the contents.
function follow() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
    const current = [...document.querySelectorAll("main > section")].find((section) => seen.has(section));
    for (const [name, link] of links) {
      if (current?.getAttribute("aria-labelledby") === name) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-15% 0px -60% 0px" });
  document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));
}

async function main() {
  const places = [...document.querySelectorAll(".plot")];
  fit();
  follow();
  for (const place of places) {
    await draw(place);
    await new Promise((resume) => setTimeout(resume)); // the page stays responsive
  }
  const restyle = () => places.forEach((place) => Plotly.relayout(place, theme(place.layout)));
  dark.addEventListener("change", restyle);
  narrow.addEventListener("change", restyle);
  addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true);
  document.documentElement.dataset.drawn = places.length;
}

main();
