/** The canvas: strokes of a mouse, pen or finger, or a picture that somebody gave. */
import { at, withTheme } from './common.js'

/** Of the canvas's side, how thick a stroke is: about as thick as MNIST's digits have them. */
const thickness = 0.075
/** Pixels of a side that are sent. */
const sent = 112

const canvas = at('canvas')
const raster = Object.assign(document.createElement('canvas'), { width: sent, height: sent })
const plain = raster.getContext('2d', { willReadFrequently: true })

let strokes = [], picture = null, drawing = null, side = 1, ink = '', changed = () => {}

const isDrawable = () => canvas.classList.contains('pen')

export const isEmpty = () => strokes.length == 0 && !picture

function paint(context, side, ink) {
  context.lineWidth = thickness * side
  context.lineCap = context.lineJoin = 'round'
  context.strokeStyle = ink
  for (const stroke of strokes) {
    context.beginPath()
    context.moveTo(stroke[0][0] * side, stroke[0][1] * side)
    for (const [x, y] of stroke) context.lineTo(x * side, y * side)
    if (stroke.length == 1) context.lineTo(stroke[0][0] * side + .01, stroke[0][1] * side) // a dot
    context.stroke()
  }
}

/** Shows what there is, as sharp as the screen. */
export function show() {
  if (canvas.width != side) canvas.width = canvas.height = side
  const context = canvas.getContext('2d')
  context.clearRect(0, 0, side, side)
  if (picture) {
    const scale = Math.min(side / picture.image.width, side / picture.image.height)
    const [width, height] = [picture.image.width * scale, picture.image.height * scale]
    context.imageSmoothingEnabled = scale < 1
    context.drawImage(picture.image, (side - width) / 2, (side - height) / 2, width, height)
  }
  paint(context, side, ink)
  canvas.setAttribute('aria-label', picture ? picture.name : isEmpty() ? 'Nothing drawn' : 'Your drawing')
  at('hint').hidden = !isEmpty()
  at('undo').disabled = strokes.length == 0
  at('clear').disabled = isEmpty()
}

const head = new TextEncoder().encode(`P5\n${sent} ${sent}\n255\n`)

/** What is drawn as the bytes of a PGM file, light on dark; or the file of the picture. Null where there is nothing. */
export function body() {
  if (isEmpty()) return null
  if (picture) return picture.file
  plain.fillStyle = '#000'
  plain.fillRect(0, 0, sent, sent)
  paint(plain, sent, '#fff')
  const { data } = plain.getImageData(0, 0, sent, sent), file = new Uint8Array(head.length + sent * sent)
  file.set(head)
  for (let i = 0; i < sent * sent; i++) file[head.length + i] = data[4 * i]
  return file
}

function change() {
  show()
  changed()
}

export function clear() {
  strokes = []
  picture = null
  change()
}

export function undo() {
  strokes.pop()
  change()
}

/** Takes a picture in place of what was there. */
export function take(image, file, name) {
  strokes = []
  picture = { image, file, name }
  change()
}

/** Whether one may draw, or only give pictures. */
export function allowDrawing(yes) {
  canvas.classList.toggle('pen', yes)
  clear()
}

/** Where the canvas is while a stroke is drawn. */
let box

const place = event => [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]

export function start(onChange) {
  changed = onChange
  canvas.onpointerdown = event => {
    if (!isDrawable() || event.button != 0 || drawing !== null) return
    drawing = event.pointerId
    canvas.setPointerCapture(drawing)
    box = canvas.getBoundingClientRect()
    picture = null
    strokes.push([place(event)])
    change()
  }
  canvas.onpointermove = event => {
    if (event.pointerId !== drawing) return
    const events = event.getCoalescedEvents?.() ?? []
    strokes.at(-1).push(...(events.length ? events : [event]).map(place))
    change()
  }
  canvas.onpointerup = canvas.onpointercancel = event => {
    if (event.pointerId === drawing) drawing = null
  }
  at('undo').onclick = undo
  at('clear').onclick = clear
  addEventListener('keydown', event => {
    if ((event.ctrlKey || event.metaKey) && event.key == 'z' && strokes.length && !at('draw-panel').hidden) {
      event.preventDefault()
      undo()
    }
  })
  new ResizeObserver(([{ contentRect }]) => {
    side = Math.round(contentRect.width * devicePixelRatio) || 1
    show()
  }).observe(canvas)
  withTheme(() => {
    ink = getComputedStyle(canvas).color
    show()
  })
}
