"use strict";
/* Draws every chart of the report from the figures in #data. One region and one day are picked, for all charts. */
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400000, FIRST = Date.parse(data.days.first), COUNT = data.days.count, HALF_HOURS = 48;
const GB = "18", MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const MONTHS_SHOWN = 36, STEP = 50, DARK = 27500;
const FUELS = ["nuclear", "wind", "solar", "hydro", "biomass", "imports", "other", "gas", "coal"];
const TILES = {1: [1, 2], 2: [2, 2], 3: [3, 2], 4: [3, 3], 6: [4, 2], 5: [4, 3], 8: [5, 2], 9: [5, 3], 10: [5, 4],
  7: [6, 1], 12: [6, 2], 13: [6, 3], 11: [7, 1], 14: [7, 3]};
const AGES = {"-1": "before it began", 0: "in its first hour", 1: "1 to 6 hours", 6: "6 to 12 hours", 12: "12 to 24 hours",
  24: "24 to 48 hours", 48: "later"};
const regions = new Map(data.regions.map(region => [String(region.id), region]));
const picked = {region: "", day: 0};

/* Texts */
const $ = id => document.getElementById(id);
const mean = hundredths => `${Math.trunc(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
const iso = day => new Date(FIRST + day * DAY).toISOString().slice(0, 10);
const monthOf = day => iso(day).slice(0, 7);
const inMonth = month => `${MONTHS[month.slice(5) - 1]} ${month.slice(0, 4)}`;
const inWords = day => `${Number(iso(day).slice(8))} ${inMonth(monthOf(day))}`;
const clock = half => `${String(Math.trunc(half / 2)).padStart(2, "0")}:${half % 2 ? "30" : "00"}`;
const many = (number, word) => `${number.toLocaleString("en-GB")} ${word}${number === 1 ? "" : "s"}`;
const named = id => regions.get(id).name;

/* Elements */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function table(head, rows) {
  const cell = (name, value, scope) => {
    const made = element(name, scope ? {scope} : {}, value === null ? "" : String(value));
    if (/^-?[\d.,]+$/.test(value)) made.className = "n";
    return made;
  };
  const body = rows.map(row => element("tr", {}, ...row.map((value, place) => place ? cell("td", value) : cell("th", value, "row"))));
  return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Table"}, element("table", {},
    element("thead", {}, element("tr", {}, ...head.map(text => element("th", {scope: "col"}, text)))), element("tbody", {}, ...body)));
}
function hatches() {
  const pattern = (id, color) => shape("pattern", {id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
    shape("rect", {width: 2, height: 5, fill: `var(--${color})`}));
  return shape("defs", {}, pattern("hatch", "partial"), pattern("hatch-void", "rule"));
}

/* Scales */
const top = (() => {
  const highest = Math.max(...Object.values(data.daily).map(daily => daily.avg.reduce((a, b) => Math.max(a, b ?? 0), 0)));
  return Math.max(400, Math.ceil(highest / 10000) * 100);
})();
/* Light to dark, so that it can be told without seeing hues; one colour every 50 g, between them a mixture, from 400 g on the last. */
const RAMP = ["eef7df", "d7ebb3", "e9de8c", "eec468", "e6a551", "d28242", "a9573a", "7c3b33", "4c2226"]
  .map(color => [0, 2, 4].map(at => parseInt(color.slice(at, at + 2), 16)));
function colorOf(hundredths) {
  const at = Math.min(RAMP.length - 1, hundredths / 100 / STEP), low = Math.min(RAMP.length - 2, Math.trunc(at));
  return `rgb(${RAMP[low].map((part, channel) => Math.round(part + (RAMP[low + 1][channel] - part) * (at - low))).join(",")})`;
}
function paint(made, hundredths) {
  made.style.background = colorOf(hundredths);
  made.style.color = hundredths < DARK ? "#14191d" : "#fff";
}
const SMOOTH = COUNT >= 120 ? 29 : COUNT >= 30 ? 7 : 0;

function frame(place, height, left = 46) {
  const width = Math.max(280, place.clientWidth), right = 10, upper = 10, lower = 22;
  const inner = width - left - right;
  const drawing = shape("svg", {viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true"}, hatches());
  return {drawing, width, height, left, right: width - right, upper, base: height - lower, inner,
    x: day => left + (day + .5) / COUNT * inner, dayAt: x => Math.min(COUNT - 1, Math.max(0, Math.trunc((x - left) / inner * COUNT)))};
}
function timeTicks(room) {
  const ticks = [];
  for (let day = 0; day < COUNT; day++) {
    const text = iso(day), month = Number(text.slice(5, 7));
    if (text.endsWith("-01")) ticks.push([day, month === 1 || COUNT < 370 ? 2 : 1, COUNT > 370 ? text.slice(0, 4) : inMonth(text.slice(0, 7))]);
    else if (COUNT <= 70 && day % 7 === 0) ticks.push([day, 2, inWords(day).slice(0, -5)]);
  }
  const important = ticks.filter(tick => tick[1] === 2), each = Math.ceil(important.length * 62 / room.inner) || 1;
  let at = -99;
  for (const [place, tick] of important.entries()) {
    const x = room.x(tick[0] - .5);
    room.drawing.append(shape("line", {class: "grid", x1: x, x2: x, y1: room.upper, y2: room.base}));
    if (place % each || x - at < 50 || x > room.right - 30) continue;
    room.drawing.append(shape("text", {x: x + 2, y: room.height - 6}, tick[2]));
    at = x;
  }
}
function levels(room, y, values, unit) {
  for (const value of values) room.drawing.append(shape("line", {class: "grid", x1: room.left, x2: room.right, y1: y(value), y2: y(value)}),
    shape("text", {x: room.left - 5, y: y(value) + 4, "text-anchor": "end"}, `${value}${unit}`));
}
/* A line with a break wherever a value is missing. */
function line(points) {
  let text = "", open = false;
  for (const [x, y] of points) {
    if (y === null) { open = false; continue; }
    text += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!open) text += "h.01";
    open = true;
  }
  return text;
}
/* The mean of the days around each, weighted by their half-hours; null where a third of these is missing. */
function smoothed(daily) {
  const around = Math.trunc(SMOOTH / 2), sum = [0], half = [0];
  for (let day = 0; day < COUNT; day++) {
    sum.push(sum[day] + (daily.avg[day] ?? 0) * (daily.n[day] ?? 0));
    half.push(half[day] + (daily.n[day] ?? 0));
  }
  return daily.avg.map((_, day) => {
    const low = Math.max(0, day - around), high = Math.min(COUNT, day + around + 1);
    const held = half[high] - half[low];
    return held * 3 < SMOOTH * HALF_HOURS * 2 ? null : (sum[high] - sum[low]) / held;
  });
}

/* A chart along the days: a click or the arrow keys pick one, the pointer reads one out. */
function alongDays(place, label, room, readout, textOf) {
  place.replaceChildren(room.drawing);
  place.setAttribute("tabindex", "0");
  place.setAttribute("role", "slider");
  place.setAttribute("aria-label", label);
  place.setAttribute("aria-valuemin", "0");
  place.setAttribute("aria-valuemax", String(COUNT - 1));
  place.setAttribute("aria-valuenow", String(picked.day));
  place.setAttribute("aria-valuetext", textOf(picked.day));
  const dayOf = event => {
    const box = room.drawing.getBoundingClientRect();
    return room.dayOf ? room.dayOf((event.clientX - box.left) / box.width * room.width, (event.clientY - box.top) / box.height * room.height)
      : room.dayAt((event.clientX - box.left) / box.width * room.width);
  };
  room.drawing.addEventListener("click", event => pick({day: dayOf(event)}));
  if (!readout) return;
  readout.textContent = textOf(picked.day);
  room.drawing.addEventListener("pointermove", event => { readout.textContent = textOf(dayOf(event)); });
  room.drawing.addEventListener("pointerleave", () => { readout.textContent = textOf(picked.day); });
}
const STEPS = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -28, PageUp: 28, Home: -COUNT, End: COUNT};
for (const id of ["trend", "mix", "calendar"]) $(id).addEventListener("keydown", event => {
  if (!(event.key in STEPS)) return;
  event.preventDefault();
  pick({day: picked.day + STEPS[event.key]});
});
function cursor(room) {
  const x = room.x(picked.day);
  room.drawing.append(shape("line", {class: "cursor", x1: x, x2: x, y1: room.upper, y2: room.base}));
}

/* What the day of a region was, in one sentence. */
function daySentence(id, day) {
  const daily = data.daily[id];
  if (daily.avg[day] === null) return `${inWords(day)}, ${named(id)}: no data.`;
  const whole = daily.n[day] === HALF_HOURS ? "" : `, from ${daily.n[day]} of ${HALF_HOURS} half-hours`;
  return `${inWords(day)}, ${named(id)}: ${mean(daily.avg[day])} g/kWh, between ${daily.min[day]} and ${daily.max[day]}, ` +
    `mostly labelled ${data.labels[daily.label[day]]}${whole}.`;
}
function weighted(months, from, to) {
  let sum = 0, half = 0;
  for (let place = from; place < to; place++) { sum += months.avg[place] * months.n[place]; half += months.n[place]; }
  return sum / half / 100;
}
function trendSentence(id) {
  const months = data.monthly[id], last = months.month.length, now = weighted(months, Math.max(0, last - 12), last);
  const year = text => `${Number(text.slice(0, 4)) - 1}${text.slice(4)}`;
  const span = Math.min(12, last), start = months.month[last - span], text = `${named(id)} averaged ${Math.round(now)} g/kWh from ${inMonth(start)} to ${inMonth(months.month[last - 1])}`;
  const from = months.month.indexOf(year(start)), to = months.month.indexOf(year(months.month[last - 1]));
  if (span < 12 || from < 0 || to !== from + 11) return `${text}.`;
  const before = weighted(months, from, to + 1), change = Math.round((now / before - 1) * 100);
  return `${text}, ${change ? `${Math.abs(change)} % ${change < 0 ? "less" : "more"} than` : "as much as"} in the twelve months before.`;
}

/* How clean is it, and how has it changed? */
function drawTrend() {
  const place = $("trend"), room = frame(place, 300), daily = data.daily[picked.region];
  const y = grams => room.base - grams / top * (room.base - room.upper);
  levels(room, y, Array.from({length: top / 100 + 1}, (_, step) => step * 100), " g");
  timeTicks(room);
  room.drawing.append(shape("path", {class: "daily", d: line(dailyPoints(daily, room, y))}));
  if (SMOOTH) {
    const curve = name => smoothed(data.daily[name]).map((value, day) => [room.x(day), value === null ? null : y(value / 100)]);
    const hasGb = picked.region !== GB && GB in data.daily;
    $("gb-key").hidden = !hasGb;
    if (hasGb) room.drawing.append(shape("path", {class: "gb", d: line(curve(GB))}));
    room.drawing.append(shape("path", {class: "smooth", d: line(curve(picked.region))}));
  }
  daily.n.forEach((number, day) => {
    if (number !== null && number < HALF_HOURS) room.drawing.append(shape("circle", {class: "ring", r: 3, cx: room.x(day), cy: y(daily.avg[day] / 100)}));
  });
  cursor(room);
  if (daily.avg[picked.day] !== null) room.drawing.append(shape("circle", {class: "dot", r: 4, cx: room.x(picked.day), cy: y(daily.avg[picked.day] / 100)}));
  alongDays(place, "Day, by its mean carbon intensity", room, $("trend-readout"), day => daySentence(picked.region, day));
  $("trend-message").textContent = trendSentence(picked.region);
}
/* Every day; where days are narrower than half a pixel, the lowest and the highest of each pixel. */
function dailyPoints(daily, room, y) {
  if (COUNT < room.inner * 2) return daily.avg.map((value, day) => [room.x(day), value === null ? null : y(value / 100)]);
  const points = [], each = COUNT / room.inner;
  for (let from = 0; from < COUNT; from += each) {
    const values = daily.avg.slice(Math.trunc(from), Math.trunc(from + each)).filter(value => value !== null), x = room.x(from);
    points.push(...(values.length ? [[x, y(Math.min(...values) / 100)], [x, y(Math.max(...values) / 100)]] : [[x, null]]));
  }
  return points;
}
function trendRows() {
  const daily = data.daily[picked.region];
  return daily.avg.map((value, day) => value === null ? [iso(day), null, null, null, null, 0]
    : [iso(day), mean(value), daily.min[day], daily.max[day], data.labels[daily.label[day]], daily.n[day]]);
}
const TREND_HEAD = ["Day", "Mean, g/kWh", "Lowest", "Highest", "Label", "Half-hours"];

/* Which region is cleanest? */
function button(id, ...children) {
  const made = element("button", {type: "button", "aria-pressed": String(id === picked.region)}, ...children);
  made.addEventListener("click", () => pick({region: id}));
  return made;
}
function tile(id, known) {
  const value = known && data.daily[id].avg[picked.day];
  const made = button(id, element("span", {}, known ? named(id) : `Region ${id}`));
  made.append(element("b", {}, value === null || !known ? "–" : mean(value)),
    element("span", {}, !known ? "not in this report" : value === null ? "no data" : data.labels[data.daily[id].label[picked.day]]));
  if (known && value !== null) paint(made, value); else made.classList.add("void");
  made.disabled = !known;
  return made;
}
function drawRanking() {
  const tiles = Object.entries(TILES).map(([id, [row, column]]) => {
    const made = tile(id, regions.has(id));
    made.style.gridRow = row;
    made.style.gridColumn = column;
    return made;
  });
  $("tiles").replaceChildren(...tiles);
  $("nations").replaceChildren(...["15", "16", "17", GB].map(id => tile(id, regions.has(id))));
  const ranked = [...regions.keys()].filter(id => regions.get(id).kind === "dno_region" && data.daily[id].avg[picked.day] !== null)
    .sort((a, b) => data.daily[a].avg[picked.day] - data.daily[b].avg[picked.day]);
  $("ranking").replaceChildren(...ranked.map((id, place) => {
    const value = data.daily[id].avg[picked.day], bar = element("span", {class: "bar"});
    paint(bar, value);
    bar.style.width = `${Math.min(100, value / top)}%`;
    return element("li", {}, button(id, element("span", {}, `${place + 1}.`), element("span", {}, named(id)), bar, element("span", {class: "value"}, mean(value))));
  }));
  const say = id => `${named(id)} (${mean(data.daily[id].avg[picked.day])} g/kWh)`;
  $("rank-message").textContent = ranked.length > 1
    ? `On ${inWords(picked.day)} ${say(ranked[0])} was cleanest and ${say(ranked.at(-1))} dirtiest.`
    : ranked.length ? `On ${inWords(picked.day)}: ${say(ranked[0])}.` : `There are no data of network regions for ${inWords(picked.day)}.`;
}
function rankRows() {
  return [...regions.entries()].map(([id, region]) => {
    const daily = data.daily[id], value = daily.avg[picked.day], kind = {dno_region: "network region", nation: "nation", gb: "Great Britain"}[region.kind];
    return value === null ? [named(id), kind, null, null, null, null, 0]
      : [named(id), kind, mean(value), daily.min[picked.day], daily.max[picked.day], data.labels[daily.label[picked.day]], daily.n[picked.day]];
  });
}

/* When is electricity cleanest? */
function monthsShown() {
  const months = data.monthly[picked.region].month, at = months.indexOf(monthOf(picked.day));
  const newest = months.length - MONTHS_SHOWN, from = Math.max(0, Math.min(newest, (at < 0 ? newest : at) - MONTHS_SHOWN / 2));
  return Array.from({length: Math.min(MONTHS_SHOWN, months.length)}, (_, place) => from + place);
}
function drawHeat() {
  const place = $("heat"), room = frame(place, HALF_HOURS * 7 + 32), {month} = data.monthly[picked.region], profile = data.profile[picked.region];
  const shown = monthsShown(), wide = room.inner / shown.length, high = (room.base - room.upper) / HALF_HOURS;
  for (let half = 0; half < HALF_HOURS; half += 6) room.drawing.append(shape("text", {x: room.left - 5, y: room.upper + half * high + 9, "text-anchor": "end"}, clock(half)));
  const each = Math.ceil(58 / wide);
  shown.forEach((at, column) => {
    const x = room.left + column * wide;
    profile.avg[at].forEach((value, half) => room.drawing.append(shape("rect", {...(value === null ? {class: "void"} : {fill: colorOf(value)}),
      "shape-rendering": "crispEdges", x: x.toFixed(1), y: room.upper + half * high, width: (wide + .5).toFixed(1), height: high})));
    if (column % each === 0 && x + 50 < room.right + 10) room.drawing.append(shape("text", {x, y: room.height - 6}, inMonth(month[at])));
    if (month[at] === monthOf(picked.day)) room.drawing.append(shape("rect", {class: "pick", x, y: room.upper, width: wide, height: room.base - room.upper}));
  });
  place.replaceChildren(room.drawing);
  readHeat(room, shown, wide, high, month, profile);
  $("heat-message").textContent = heatSentence(shown, month, profile);
}
function readHeat(room, shown, wide, high, month, profile) {
  const cell = event => {
    const box = room.drawing.getBoundingClientRect(), scale = room.width / box.width;
    const column = Math.trunc(((event.clientX - box.left) * scale - room.left) / wide), half = Math.trunc(((event.clientY - box.top) * scale - room.upper) / high);
    return column >= 0 && column < shown.length && half >= 0 && half < HALF_HOURS ? [shown[column], half] : null;
  };
  const readout = $("heat-readout");
  readout.textContent = "";
  room.drawing.addEventListener("pointermove", event => {
    const at = cell(event);
    if (!at) return;
    const value = profile.avg[at[0]][at[1]];
    readout.textContent = `${inMonth(month[at[0]])}, ${clock(at[1])} UTC: ${value === null ? "no data" : `${mean(value)} g/kWh on average of ${many(daysOf(profile, ...at), "day")}`}.`;
  });
  room.drawing.addEventListener("click", event => {
    const at = cell(event);
    if (at) pick({day: Math.round((Date.parse(`${month[at[0]]}-01`) - FIRST) / DAY)});
  });
}
const daysOf = (profile, month, half) => Array.isArray(profile.n[month]) ? profile.n[month][half] : profile.n[month];
function heatSentence(shown, month, profile) {
  const halves = Array.from({length: HALF_HOURS}, (_, half) => {
    let sum = 0, days = 0;
    for (const at of shown) if (profile.avg[at][half] !== null) { sum += profile.avg[at][half] * daysOf(profile, at, half); days += daysOf(profile, at, half); }
    return [days ? sum / days / 100 : Infinity, half];
  }).filter(([value]) => value < Infinity).sort((a, b) => a[0] - b[0]);
  if (!halves.length) return "There are no data.";
  const say = ([value, half]) => `${clock(half)} UTC (${Math.round(value)} g/kWh)`;
  return `In ${named(picked.region)}, ${inMonth(month[shown[0]])} to ${inMonth(month[shown.at(-1)])}, the half-hour from ${say(halves[0])} was cleanest on average, the one from ${say(halves.at(-1))} dirtiest.`;
}
function heatTable() {
  const {month} = data.monthly[picked.region], profile = data.profile[picked.region], shown = monthsShown();
  return table(["From (UTC)", ...shown.map(at => inMonth(month[at]))], Array.from({length: HALF_HOURS},
    (_, half) => [clock(half), ...shown.map(at => profile.avg[at][half] === null ? null : mean(profile.avg[at][half]))]));
}

/* What is it made of? */
const mixOf = id => Object.fromEntries(FUELS.map(fuel => [fuel, data.mix.of[id][`fuel_${fuel}`]]));
const isDailyMix = data.mix.step === "day";
/* Where the figures of a day stand: those of the day, or of its month. */
const mixPlace = (id, day) => isDailyMix ? day : data.monthly[id].month.indexOf(monthOf(day));
/* Spans of days with the mean shares of each: months, or as many days as make a calm picture. */
function mixSpans() {
  const id = picked.region, mix = mixOf(id), half = data.daily[id].n, spans = [];
  if (!isDailyMix) {
    data.monthly[id].month.forEach((month, place) => {
      const from = Math.round((Date.parse(`${month}-01`) - FIRST) / DAY), to = Math.round((Date.UTC(month.slice(0, 4), Number(month.slice(5)), 1) - FIRST) / DAY);
      spans.push({from: Math.max(0, from), to: Math.min(COUNT, to), shares: FUELS.map(fuel => mix[fuel][place] / 100)});
    });
    return spans;
  }
  const each = COUNT > 120 ? 7 : 1;
  for (let from = 0; from < COUNT; from += each) {
    const to = Math.min(COUNT, from + each), shares = FUELS.map(() => 0);
    let held = 0;
    for (let day = from; day < to; day++) if (half[day] !== null) {
      held += half[day];
      FUELS.forEach((fuel, place) => { shares[place] += mix[fuel][day] / 100 * half[day]; });
    }
    if (held) spans.push({from, to, shares: shares.map(share => share / held)});
  }
  return spans;
}
function drawMix() {
  const place = $("mix"), room = frame(place, 300), y = share => room.base - Math.min(100, share) / 100 * (room.base - room.upper);
  const runs = [];
  for (const span of mixSpans()) {
    if (runs.length && runs.at(-1).at(-1).to === span.from) runs.at(-1).push(span); else runs.push([span]);
  }
  const edge = day => room.left + day / COUNT * room.inner;
  for (const run of runs) {
    let below = run.map(() => 0);
    FUELS.forEach((fuel, number) => {
      const above = run.map((span, at) => below[at] + span.shares[number]);
      const steps = (levels, back) => (back ? [...run.keys()].reverse() : [...run.keys()]).flatMap(at => {
        const ends = [[edge(run[at].from), y(levels[at])], [edge(run[at].to), y(levels[at])]];
        return back ? ends.reverse() : ends;
      });
      const points = [...steps(above, false), ...steps(below, true)].map(point => point.map(value => value.toFixed(1)).join(" "));
      room.drawing.append(shape("path", {class: "edge", fill: `var(--${fuel})`, d: `M${points.join("L")}Z`}));
      below = above;
    });
  }
  levels(room, y, [0, 25, 50, 75, 100], " %");
  timeTicks(room);
  cursor(room);
  alongDays(place, "Day, by its fuel mix", room, null, day => mixSentence(day));
  drawFuels();
}
function mixSentence(day) {
  const place = mixPlace(picked.region, day), mix = mixOf(picked.region), when = isDailyMix ? inWords(day) : inMonth(monthOf(day));
  if (place < 0 || mix.gas[place] === null) return `${named(picked.region)}, ${when}: no data.`;
  const largest = FUELS.map(fuel => [mix[fuel][place], fuel]).sort((a, b) => b[0] - a[0]).slice(0, 3).map(([share, fuel]) => `${fuel} ${mean(share)} %`);
  return `${named(picked.region)}, ${when}: mostly ${largest.join(", ")}.`;
}
function drawFuels() {
  const place = mixPlace(picked.region, picked.day), mix = mixOf(picked.region);
  $("fuels").replaceChildren(...FUELS.map(fuel => {
    const swatch = element("i"), share = place < 0 ? null : mix[fuel][place];
    swatch.style.background = `var(--${fuel})`;
    return element("span", {}, swatch, `${fuel} ${share === null ? "–" : `${mean(share)} %`}`);
  }));
  $("mix-message").textContent = mixSentence(picked.day);
  const drawn = isDailyMix ? COUNT > 120 ? "Drawn as means of 7 days; the figures below the chart are of the picked day." : "One step for each day."
    : "By month, because the report is long; the figures below the chart are of the picked day’s month.";
  $("mix-caption").textContent = `Shares of generation, from nuclear at the bottom to coal at the top. ${drawn} The API rounds each share, so a mix sums to 99.8 to 100.2 %. Blank: no data.`;
}
function mixRows() {
  const id = picked.region, mix = mixOf(id), labels = isDailyMix ? data.daily[id].avg.map((_, day) => iso(day)) : data.monthly[id].month;
  return labels.map((label, place) => [label, ...FUELS.map(fuel => mix[fuel][place] === null ? null : mean(mix[fuel][place]))]);
}

/* What is missing? */
function drawCalendar() {
  const place = $("calendar"), {n} = data.daily[picked.region], years = [];
  for (let day = 0; day < COUNT; day++) {
    const year = iso(day).slice(0, 4);
    if (!years.length || years.at(-1).year !== year) years.push({year, from: day, start: Math.round((Date.parse(`${year}-01-01`) - FIRST) / DAY)});
    years.at(-1).to = day + 1;
  }
  const high = years.length > 12 ? 12 : 22, room = frame(place, years.length * high + 34), wide = room.inner / 366;
  room.base = room.upper + years.length * high;
  years.forEach(({year, from, to, start}, row) => {
    const y = room.upper + row * high;
    room.drawing.append(shape("text", {x: room.left - 5, y: y + high * .72, "text-anchor": "end"}, year));
    for (let day = from; day < to;) {
      const kind = kindOf(n[day]), begin = day;
      while (day < to && kindOf(n[day]) === kind) day++;
      room.drawing.append(shape("rect", {class: kind, x: (room.left + (begin - start) * wide).toFixed(1), y: y + 1, width: Math.max(1, (day - begin) * wide).toFixed(1), height: high - 2}));
    }
    if (picked.day >= from && picked.day < to) room.drawing.append(shape("rect", {class: "pick", x: room.left + (picked.day - start) * wide - 2, y, width: wide + 4, height: high}));
  });
  MONTHS.forEach((name, month) => room.drawing.append(shape("text", {x: room.left + Date.UTC(2024, month, 1) / DAY % 1 + (Date.UTC(2024, month, 1) - Date.UTC(2024, 0, 1)) / DAY * wide, y: room.base + 16},
    room.inner < 420 ? name[0] : name)));
  room.dayOf = (x, y) => {
    const row = years[Math.min(years.length - 1, Math.max(0, Math.trunc((y - room.upper) / high)))];
    return Math.min(row.to - 1, Math.max(row.from, row.start + Math.trunc((x - room.left) / wide)));
  };
  const held = day => `${inWords(day)}: ${n[day] ?? 0} of ${HALF_HOURS} half-hours.`;
  alongDays(place, "Day, by its half-hours", room, null, held);
  const whole = n.filter(number => number === HALF_HOURS).length, none = n.filter(number => number === null).length;
  $("calendar-message").textContent = `${named(picked.region)}: ${many(whole, "day")} of ${COUNT.toLocaleString("en-GB")} ${whole === 1 ? "is" : "are"} whole, ${COUNT - whole - none} partial, ${none} missing. ${held(picked.day)}`;
}
const kindOf = number => number === null ? "none" : number < HALF_HOURS ? "partial" : "whole";

/* What was revised? */
function drawRevised() {
  const {told, of} = data.revised, groups = of[picked.region] ?? [], total = groups.reduce((sum, group) => sum + group[1], 0);
  $("revised-message").textContent = told || (total ? `${many(total, "forecast")} of ${named(picked.region)} ${total === 1 ? "was" : "were"} corrected after this lake had stored ${total === 1 ? "it" : "them"}.`
    : `No forecast of ${named(picked.region)} was corrected after this lake had stored it.`);
  const most = Math.max(...groups.map(group => group[1]));
  $("revised").replaceChildren(...groups.flatMap(([age, count, sum, highest]) => {
    const bar = element("span", {class: "bar"});
    bar.style.width = `${count / most * 40}%`;
    return [element("span", {}, AGES[age]), element("span", {}, bar, `${count.toLocaleString("en-GB")}, by ${(sum / count).toFixed(1)} g on average, ${highest} g at most`)];
  }));
}

/* Tables are made when they are opened. */
const download = (name, head, rows) => {
  const text = [head, ...rows].map(row => row.map(value => value === null ? "" : /[",]/.test(value) ? `"${value}"` : value).join(",")).join("\n");
  return element("p", {}, element("a", {download: name, href: `data:text/csv;charset=utf-8,${encodeURIComponent(text + "\n")}`}, "Download this table as CSV"));
};
const MIX_HEAD = [isDailyMix ? "Day" : "Month", ...FUELS.map(fuel => `${fuel}, %`)];
const RANK_HEAD = ["Region", "Kind", "Mean, g/kWh", "Lowest", "Highest", "Label", "Half-hours"];
const tables = {
  "trend-table": () => [download(`carbon-intensity-${picked.region}.csv`, TREND_HEAD, trendRows()), table(TREND_HEAD, trendRows())],
  "rank-table": () => [table(RANK_HEAD, rankRows())],
  "heat-table": () => [heatTable()],
  "mix-table": () => [download(`fuel-mix-${picked.region}.csv`, MIX_HEAD, mixRows()), table(MIX_HEAD, mixRows())],
};
function fill(id) {
  const place = $(id);
  while (place.children.length > 1) place.lastChild.remove();
  if (place.open) place.append(...tables[id]());
}
for (const id of Object.keys(tables)) $(id).addEventListener("toggle", () => fill(id));

/* Picking */
function draw() {
  for (const drawn of [drawTrend, drawRanking, drawHeat, drawMix, drawCalendar, drawRevised]) drawn();
  Object.keys(tables).forEach(fill);
}
function pick({region = picked.region, day = picked.day}) {
  picked.region = region;
  picked.day = Math.min(COUNT - 1, Math.max(0, day));
  $("region").value = picked.region;
  $("day").value = iso(picked.day);
  $("previous").disabled = picked.day === 0;
  $("next").disabled = picked.day === COUNT - 1;
  const focused = document.activeElement, list = focused?.closest("#tiles, #ranking, #nations")?.id;
  draw();
  if (list) $(list).querySelector('[aria-pressed="true"]')?.focus();
  history.replaceState(null, "", `#region=${picked.region}&day=${iso(picked.day)}`);
}
/* What the address asks for; otherwise Great Britain, or the first region, on the newest whole day. */
function asked() {
  const wanted = new URLSearchParams(location.hash.slice(1)), region = regions.has(wanted.get("region")) ? wanted.get("region") : regions.has(GB) ? GB : [...regions.keys()][0];
  const day = Math.round((Date.parse(wanted.get("day")) - FIRST) / DAY), newest = data.daily[region].n.lastIndexOf(HALF_HOURS);
  return {region, day: day >= 0 && day < COUNT ? day : newest < 0 ? COUNT - 1 : newest};
}
function begin() {
  const kinds = {dno_region: "Network regions", nation: "Nations", gb: "All"};
  $("region").append(...Object.entries(kinds).map(([kind, label]) => element("optgroup", {label},
    ...data.regions.filter(region => region.kind === kind).map(region => element("option", {value: region.id}, region.name)))).filter(group => group.children.length));
  $("day").min = iso(0);
  $("day").max = iso(COUNT - 1);
  $("smooth-name").textContent = SMOOTH ? `mean of ${SMOOTH} days` : "(too few days for a smoothed line)";
  for (const id of ["ramp", "heat-ramp"]) $(id).append(...RAMP.map((_, step) => {
    const swatch = element("i");
    paint(swatch, step * STEP * 100);
    return element("span", {}, swatch, `${STEP * step} g${step === RAMP.length - 1 ? " or more" : ""}`);
  }));
  $("region").addEventListener("change", event => pick({region: event.target.value}));
  $("day").addEventListener("change", event => { if (event.target.value) pick({day: Math.round((Date.parse(event.target.value) - FIRST) / DAY)}); });
  $("previous").addEventListener("click", () => pick({day: picked.day - 1}));
  $("next").addEventListener("click", () => pick({day: picked.day + 1}));
  addEventListener("hashchange", () => pick(asked()));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  $("controls").hidden = false;
  pick(asked());
}
begin();
})();
