/** What the server says of a picture: classes, both paths, layers. */
import { at, bytesOf, make, percent, rgb, withTheme } from './common.js'

/** So many classes have a row each in their order; of more the most probable are shown. */
const mostRows = 12
/** Rows for the most probable of many. */
const shownOfMany = 8

let model, rows = [], canvases = [], layers = [], spoken = null
/** A map's largest values and zero, as red, green and blue. */
let light, dark
/** The layers that are shown, and those that the next frame paints. */
let shown = [], next = null

const time = ms => ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`
const tiny = x => x == 0 ? '0' : x.toExponential(1).replace('e-', '\u2009e\u2212')

function makeRow() {
  const [own, theirs] = ['own', 'theirs'].map(path => make('span', { className: `bar ${path}` }))
  const name = make('th', { scope: 'row' })
  const [ownShare, theirShare, difference] = [0, 1, 2].map(() => make('td'))
  const bars = make('td', { ariaHidden: 'true' }, make('div', { className: 'bars' }, own, theirs))
  const row = make('tr', {}, name, bars, ownShare, theirShare, difference)
  return { row, name, own, theirs, ownShare, theirShare, difference }
}

function fill(line, name, own, theirs, isBest) {
  line.row.classList.toggle('best', isBest)
  line.name.textContent = name
  line.own.style.width = `${100 * (own ?? 0)}%`
  line.theirs.style.width = `${100 * (theirs ?? 0)}%`
  line.ownShare.textContent = own === undefined ? '–' : percent(own)
  line.theirShare.textContent = theirs === undefined ? '–' : percent(theirs)
  line.difference.textContent = own === undefined || theirs === undefined ? '–' : tiny(Math.abs(own - theirs))
}

const isMap = ({ maps, height }) => maps > 1 || height > 1

/** Cells of a grid for a layer: maps side by side, or the numbers of a layer without maps in rows. */
function gridOf(layer) {
  const { maps, height, width } = layer
  if (isMap(layer)) {
    const columns = Math.min(maps, 8)
    return { columns, rows: Math.ceil(maps / columns), height, width, gap: 1 }
  }
  const columns = Math.min(width, 30)
  return { columns, rows: Math.ceil(width / columns), height: 1, width: 1, gap: 0 }
}

function paintLayer(canvas, layer) {
  const grid = gridOf(layer)
  const context = canvas.getContext('2d'), image = context.createImageData(canvas.width, canvas.height)
  const pixels = bytesOf(layer.pixels), area = grid.width * grid.height
  for (let i = 0; i < pixels.length; i++) {
    const map = Math.floor(i / area), inside = i % area
    const x = map % grid.columns * (grid.width + grid.gap) + inside % grid.width
    const y = Math.floor(map / grid.columns) * (grid.height + grid.gap) + Math.floor(inside / grid.width)
    const share = pixels[i] / 255
    for (let c = 0; c < 3; c++) image.data[4 * (y * canvas.width + x) + c] = dark[c] + share * (light[c] - dark[c])
    image.data[4 * (y * canvas.width + x) + 3] = 255
  }
  context.putImageData(image, 0, 0)
}

/** Paints all layers with the next frame; an answer that comes before takes its place. */
function paintLayers(latest) {
  if (!next) requestAnimationFrame(() => {
    next.forEach((layer, i) => { if (canvases[i]) paintLayer(canvases[i], layer) })
    next = null
  })
  next = shown = latest
}

/** A layer's name, whole output and what is shown of it. */
function captionOf(layer) {
  const shown = isMap(layer) ? layer.maps : layer.width
  const more = shown < layer.shape[0] ? `, the first ${shown}` : ''
  return `${layer.name}, ${layer.shape.join('×')}${more}`
}

/** All but the last, whose numbers are the classes'. */
const shownOf = layers => (layers ?? []).filter((layer, i, all) => i < all.length - 1 || layer.shape.length == 3)

/** Lays everything out for a model, so that nothing moves later. */
export function layOut(info) {
  model = info
  const body = at('classes').tBodies[0]
  rows = Array.from({ length: model.classes.length <= mostRows ? model.classes.length : shownOfMany }, makeRow)
  body.replaceChildren(...rows.map(line => line.row))
  at('classes').classList.toggle('names', model.classes.some(name => name.length > 2))
  at('class').classList.toggle('name', model.classes.some(name => name.length > 2))
  layers = shownOf(model.layers)
  canvases = layers.map(layer => {
    const grid = gridOf(layer), canvas = make('canvas', { role: 'img', ariaLabel: `The output of ${captionOf(layer)}`,
      width: grid.columns * (grid.width + grid.gap) - grid.gap, height: grid.rows * (grid.height + grid.gap) - grid.gap })
    canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`
    return canvas
  })
  document.querySelector('.layers').replaceChildren(...layers.map((layer, i) =>
    make('figure', {}, make('figcaption', { textContent: captionOf(layer) }), canvases[i])))
  paintLayers(layers)
  at('layers').hidden = layers.length == 0
}

/** Says it to who does not see it, when it has stood for a moment. */
function speak(text) {
  clearTimeout(spoken)
  spoken = setTimeout(() => { at('spoken').textContent = text }, 500)
}

function showSeen(seen) {
  const canvas = at('seen')
  canvas.width = seen?.width ?? 28
  canvas.height = seen?.height ?? 28
  if (!seen) return
  const context = canvas.getContext('2d'), image = context.createImageData(seen.width, seen.height), pixels = bytesOf(seen.pixels)
  for (let i = 0; i < seen.width * seen.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[seen.channels * i + (seen.channels == 3 ? c : 0)]
    image.data[4 * i + 3] = 255
  }
  context.putImageData(image, 0, 0)
}

function agreementOf(answer) {
  if (answer.agree === null) return ['ONNX Runtime answers alone: the engine cannot import the model', '']
  return answer.agree ? ['✓ engine and ONNX Runtime agree', 'good']
    : [`✗ the engine says ${answer.engine.class} ${percent(answer.engine.probability)}: they disagree`, 'bad']
}

/** Nothing there, so nothing said of it. */
export function showNothing(text = 'Nothing drawn') {
  at('class').textContent = ''
  at('says').textContent = text
  at('agreement').textContent = ''
  at('agreement').className = ''
  rows.forEach((line, i) => fill(line, rows.length == model.classes.length ? model.classes[i] : '', undefined, undefined, false))
  for (const id of ['own-time', 'their-time', 'round-trip', 'difference']) at(id).textContent = '–'
  showSeen(null)
  paintLayers(layers.map(layer => ({ ...layer, pixels: '' })))
  speak(text)
}

/** An answer, and how long it took from the stroke on, if it was one. */
export function show(answer, milliseconds) {
  const own = answer.engine?.probabilities ?? [], theirs = answer.onnxRuntime?.probabilities ?? own
  at('class').textContent = answer.class
  at('says').textContent = model.classes.some(name => name.length > 2) ? `${answer.class}, ${percent(answer.probability)}`
    : percent(answer.probability)
  const [text, kind] = agreementOf(answer)
  at('agreement').textContent = text
  at('agreement').className = kind
  const order = rows.length == model.classes.length ? theirs.map((_, i) => i)
    : theirs.map((_, i) => i).sort((a, b) => theirs[b] - theirs[a])
  rows.forEach((line, i) => fill(line, model.classes[order[i]], own[order[i]], theirs[order[i]], model.classes[order[i]] == answer.class))
  at('own-time').textContent = answer.engine ? time(answer.engine.milliseconds) : '–'
  at('their-time').textContent = answer.onnxRuntime ? time(answer.onnxRuntime.milliseconds) : '–'
  if (milliseconds !== null) at('round-trip').textContent = time(milliseconds)
  at('difference').textContent = answer.difference === null ? '–' : tiny(answer.difference)
  showSeen(answer.seen)
  if (answer.layers) paintLayers(shownOf(answer.layers))
  speak(`${answer.class}, ${percent(answer.probability)}. ${text.slice(2)}`)
}

withTheme(() => {
  const style = getComputedStyle(at('theme'))
  ;[light, dark] = [rgb(style.color), rgb(style.backgroundColor)]
  if (canvases.length) paintLayers(shown)
})
