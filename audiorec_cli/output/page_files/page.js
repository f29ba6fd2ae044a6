"use strict"

const data = JSON.parse(document.getElementById("data").textContent)
const tracks = data.tracks
const N_ALIKE = 20
const N_MATCHES = 12
const NEARLY = 0.5 // of 1: how like a name what was typed is to be

const byId = (id) => document.getElementById(id)

// Titles come from the tags of files: they only ever become text, never HTML.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value)
    else made.setAttribute(name, value)
  }
  made.append(...children)
  return made
}

const nameOf = (row) => (tracks.artist[row] ? `${tracks.artist[row]} - ${tracks.title[row]}` : tracks.title[row])
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`

/* The player: one for all lists. */

const audio = byId("audio")
let playing = null // {source, from, until}

function play(row, sound, at) {
  const [source, from, until] = sound
  if (isPlaying(sound)) {
    audio.pause()
    return
  }
  const isLoaded = playing !== null && playing.source === source && audio.readyState > 0
  playing = {source, from, until}
  byId("now").textContent = `${nameOf(row)}, from ${clock(at)}`
  if (!isLoaded) audio.src = source
  else audio.currentTime = from
  audio.play().catch(() => {}) // the event "error" tells why
}

const isPlaying = ([source, from]) =>
  playing !== null && playing.source === source && playing.from === from && !audio.paused

// Every button that plays shows whether it would pause.
function markButtons() {
  for (const button of document.querySelectorAll(".play")) {
    const plays = isPlaying(button.sound)
    button.firstChild.data = plays ? "❚❚ " : "▶ "
    button.setAttribute("aria-pressed", String(plays))
  }
}

for (const event of ["play", "pause", "ended", "emptied"]) audio.addEventListener(event, markButtons)

audio.addEventListener("loadedmetadata", () => {
  if (playing) audio.currentTime = playing.from
})
audio.addEventListener("timeupdate", () => {
  if (playing && playing.until !== null && audio.currentTime >= playing.until) {
    audio.pause()
    playing.until = null // whoever goes on from here hears the rest
  }
})
audio.addEventListener("error", () => {
  if (playing) byId("now").textContent += ": the file is not there, or this browser cannot play it"
})

const playTrack = (row) => play(row, tracks.sound[row], tracks.start[row])

/* What sounds alike: cosines of the predicted factors. */

const factors = (() => {
  const bytes = Uint8Array.from(atob(data.factors), (char) => char.charCodeAt(0))
  return Float32Array.from(new Int16Array(bytes.buffer), (value) => value / 32767)
})()
const nFactors = factors.length / tracks.title.length

function nearest(row, k) {
  const query = factors.subarray(row * nFactors, (row + 1) * nFactors)
  const found = []
  for (let other = 0; other < tracks.title.length; other++) {
    let cosine = 0
    for (let i = 0; i < nFactors; i++) cosine += query[i] * factors[other * nFactors + i]
    if (other === row || (found.length === k && cosine <= found[k - 1].cosine)) continue
    let place = found.length
    while (place > 0 && found[place - 1].cosine < cosine) place--
    found.splice(place, 0, {row: other, cosine})
    if (found.length > k) found.pop()
  }
  return found
}

function trackItem(row, sound, at, score, label) {
  const button = element("button", {type: "button", class: "play", "aria-label": label, onclick: () => play(row, sound, at)}, "▶ ", clock(at))
  button.sound = sound
  return element(
    "li",
    {},
    button,
    element("button", {type: "button", class: "name", onclick: () => choose(row)}, nameOf(row)),
    element("span", {class: "score"}, score),
  )
}

let chosen = null

function choose(row) {
  chosen = row
  const like = nearest(row, N_ALIKE)
  const items = [{row, cosine: 1}, ...like].map(({row: other, cosine}) =>
    trackItem(other, tracks.sound[other], tracks.start[other], cosine.toFixed(3), `Play ${nameOf(other)}`),
  )
  items[0].setAttribute("aria-current", "true")
  byId("alike-list").replaceChildren(...items)
  byId("alike-title").textContent = `Sounds like ${nameOf(row)}`
  byId("alike-title").hidden = false
  byId("hint").hidden = true
  byId("alike").scrollTop = 0
  markButtons()
  showTab("alike")
  map.show(row, like.map(({row: other}) => other))
}

/* The search box: a combobox whose suggestions are walked with the arrow keys. */

const query = byId("query")
const matches = byId("matches")
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
let names = null
let marked = -1

function find(text) {
  names ??= tracks.title.map((_, row) => folded(nameOf(row)))
  const words = folded(text).split(/\s+/).filter(Boolean)
  if (!words.length) return []
  const found = []
  for (let row = 0; row < names.length; row++) {
    if (!words.every((word) => names[row].includes(word))) continue
    const title = folded(tracks.title[row])
    const isWord = ` ${names[row]}`.includes(` ${words[0]}`)
    found.push({row, rank: title.startsWith(words[0]) ? 0 : isWord ? 1 : 2})
  }
  if (!found.length) return findNearly(folded(text).trim())
  return found.sort((a, b) => a.rank - b.rank || a.row - b.row).slice(0, N_MATCHES).map(({row}) => row)
}

// Titles, or artists and titles, that share most pairs of letters with what was typed (Dice).
function findNearly(text) {
  const typed = pairsOf(text)
  const likeness = (name) => {
    const pairs = pairsOf(name)
    let shared = 0
    for (const pair of pairs) shared += typed.has(pair)
    return (2 * shared) / (pairs.size + typed.size)
  }
  return names
    .map((name, row) => ({row, like: Math.max(likeness(name), likeness(folded(tracks.title[row])))}))
    .filter(({like}) => like >= NEARLY)
    .sort((a, b) => b.like - a.like)
    .slice(0, N_MATCHES)
    .map(({row}) => row)
}

const pairsOf = (text) => new Set(Array.from({length: Math.max(0, text.length - 1)}, (_, i) => text.slice(i, i + 2)))

function showMatches() {
  const rows = find(query.value)
  const items = rows.map((row, index) =>
    element("li", {id: `match-${index}`, role: "option", "aria-selected": "false", onclick: () => take(row)}, nameOf(row)),
  )
  if (!rows.length && query.value.trim()) items.push(element("li", {class: "none"}, "No track is called that"))
  matches.replaceChildren(...items)
  matches.hidden = !items.length
  query.setAttribute("aria-expanded", String(!matches.hidden))
  mark(rows.length ? 0 : -1)
}

function mark(index) {
  marked = index
  const options = matches.querySelectorAll("[role=option]")
  options.forEach((option, i) => option.setAttribute("aria-selected", String(i === index)))
  if (index < 0) query.removeAttribute("aria-activedescendant")
  else {
    query.setAttribute("aria-activedescendant", `match-${index}`)
    options[index].scrollIntoView({block: "nearest"})
  }
}

function closeMatches() {
  matches.hidden = true
  query.setAttribute("aria-expanded", "false")
  mark(-1)
}

function take(row) {
  query.value = nameOf(row)
  closeMatches()
  choose(row)
}

query.addEventListener("input", showMatches)
query.addEventListener("keydown", (event) => {
  const options = matches.querySelectorAll("[role=option]")
  if (event.key === "Escape") closeMatches()
  else if (event.key === "Enter" && options[marked]) options[marked].click()
  else if (event.key === "ArrowDown" && options.length) mark((marked + 1) % options.length)
  else if (event.key === "ArrowUp" && options.length) mark((marked - 1 + options.length) % options.length)
  else return
  event.preventDefault()
})
matches.addEventListener("pointerdown", (event) => event.preventDefault()) // the box keeps its focus
query.addEventListener("blur", closeMatches)
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== query && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    query.focus()
    query.select()
  }
})

/* The tabs. */

const TABS = data.filters.length ? ["alike", "filters"] : ["alike"]

function showTab(name) {
  for (const tab of TABS) {
    byId(tab).hidden = tab !== name
    byId(`${tab}-tab`).setAttribute("aria-selected", String(tab === name))
    byId(`${tab}-tab`).tabIndex = tab === name ? 0 : -1
  }
}

for (const tab of TABS) {
  byId(`${tab}-tab`).addEventListener("click", () => showTab(tab))
  byId(`${tab}-tab`).addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return
    const other = TABS[(TABS.indexOf(tab) + 1) % TABS.length]
    showTab(other)
    byId(`${other}-tab`).focus()
  })
}
if (!data.filters.length) byId("filters-tab").hidden = true

/* The filters. */

function showFilter(filter, button) {
  for (const other of byId("grid").children) other.setAttribute("aria-pressed", String(other === button))
  const lists = element("div", {class: "lists"})
  for (const {by, shared, rows} of filter.lists) {
    lists.append(element("h3", {}, by === "max" ? "Where it fires most, for a moment" : "Where it fires most, on average"))
    if (!rows.length) lists.append(element("p", {class: "quiet"}, "It fires over no test track"))
    if (shared) lists.append(element("p", {class: "quiet"}, `They share ${shared}`))
    const items = rows.map(({row, second, activation, sound}) =>
      trackItem(row, sound, second, activation.toPrecision(3), `Play ${nameOf(row)} from ${clock(second)}`),
    )
    lists.append(element("ol", {class: "tracks"}, ...items))
  }
  const box = byId("filter")
  box.replaceChildren(
    element(
      "div",
      {class: "pictures"},
      element("figure", {}, element("img", {src: filter.picture, alt: ""}), element("figcaption", {}, "Weights")),
      element("figure", {}, element("img", {src: filter.heard, alt: ""}), element("figcaption", {}, "Heard")),
    ),
    element("h3", {}, `Filter ${filter.number}`),
    lists,
  )
  box.hidden = false
  markButtons()
  const [first, ...others] = [...new Set(filter.lists.flatMap(({rows}) => rows.map(({row}) => row)))]
  if (first !== undefined) map.show(first, others)
  box.scrollIntoView({block: "nearest"})
}

for (const filter of data.filters) {
  const picture = element("img", {src: filter.picture, alt: "", loading: "lazy"})
  const button = element("button", {type: "button", "aria-pressed": "false", "aria-label": `Filter ${filter.number}`}, picture, String(filter.number))
  button.addEventListener("click", () => showFilter(filter, button))
  byId("grid").append(button)
}

/* The map, which Bokeh draws. */

const map = {
  source: null, // of all tracks
  chosen: null, // of the ring around the chosen one
  plot: null,
  ranges: null,
  isShowing: false,
  show(row, alike) {
    if (!this.source) return
    this.isShowing = true // the change is no tap
    this.source.selected.indices = [row, ...alike]
    this.isShowing = false
    this.chosen.data = {x: [this.source.data.x[row]], y: [this.source.data.y[row]]}
    for (const [axis, range] of Object.entries(this.ranges)) {
      const place = this.source.data[axis][row]
      const reach = (range.end - range.start) / 2
      if (place < range.start || place > range.end) {
        range.setv({start: place - reach, end: place + reach})
      }
    }
  },
  // the nearest track that lies that way, at most 45° off
  next(row, dx, dy) {
    const {x, y} = this.source.data
    let best = null
    let least = Infinity
    for (let other = 0; other < x.length; other++) {
      const [along, across] = [(x[other] - x[row]) * dx + (y[other] - y[row]) * dy, Math.abs((x[other] - x[row]) * dy - (y[other] - y[row]) * dx)]
      const distance = along + 2 * across
      if (other !== row && along > 0 && across <= along && distance < least) [best, least] = [other, distance]
    }
    return best
  },
  paint() {
    if (!this.plot) return
    const style = getComputedStyle(document.documentElement)
    const [text, paper] = ["--text", "--paper"].map((name) => style.getPropertyValue(name).trim())
    this.plot.select_one("ring").glyph.line_color = text
    const labels = this.plot.select_one("regions")
    labels.text_color = text
    labels.background_fill_color = paper
  },
}

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}

byId("map").addEventListener("keydown", (event) => {
  if (!map.source) return
  if (event.key in ARROWS) {
    const row = chosen === null ? 0 : map.next(chosen, ...ARROWS[event.key])
    if (row !== null) choose(row)
  } else if ((event.key === "Enter" || event.key === " ") && chosen !== null) playTrack(chosen)
  else return
  event.preventDefault()
})

function tapped() {
  if (map.isShowing) return
  const [row] = map.source.selected.indices
  if (row !== undefined) {
    choose(row)
    playTrack(row)
  } else if (chosen !== null) choose(chosen) // beside all tracks: what is listed stays marked
}

async function drawMap() {
  const item = {...data.map, target_id: "map"}
  await Bokeh.embed.embed_item(item)
  const document_ = Bokeh.documents[Bokeh.documents.length - 1]
  map.source = document_.get_model_by_name("tracks")
  map.chosen = document_.get_model_by_name("chosen")
  map.plot = document_.get_model_by_name("map")
  map.ranges = {x: map.plot.x_range, y: map.plot.y_range}
  map.source.selected.properties.indices.change.connect(tapped)
  if (window.innerWidth < 760) makeRoom(document_)
  map.paint()
  document.documentElement.dataset.map = "drawn"
}

// of a telephone: fewer names, and smaller points
function makeRoom(document_) {
  const labels = document_.get_model_by_name("regions")
  labels.text_font_size = "11px"
  const {glyph, selection_glyph, nonselection_glyph, hover_glyph} = map.plot.select_one("points")
  for (const each of [glyph, selection_glyph, nonselection_glyph, hover_glyph, map.plot.select_one("ring").glyph]) {
    each.size = {value: each.size.value * 0.6}
  }
  const few = Object.entries(labels.source.data).map(([name, column]) => [name, Array.from(column).slice(0, 6)])
  labels.source.data = Object.fromEntries(few)
}

for (const [name, color, count] of data.legend) {
  const dot = element("i")
  dot.style.background = color
  byId("legend").append(element("li", {}, dot, `${name} `, element("small", {}, String(count))))
}

/* Light and dark: as the system is, until the button says otherwise. */

const dark = window.matchMedia("(prefers-color-scheme: dark)")

function setTheme(theme) {
  document.documentElement.dataset.theme = theme
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark"
  byId("theme").setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours")
  map.paint()
}

byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"))
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"))
setTheme(dark.matches ? "dark" : "light")
drawMap()
