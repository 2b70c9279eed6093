/** Draw, or give a picture: every change is sent, and answered. */
import { ask, askJson, at, make, percent } from './common.js'
import * as answer from './answer.js'
import * as board from './board.js'

/** What the server takes. */
const mostBytes = 16 << 20

let models = [], model, camera = null
/** When the drawing changed, if that has not been sent; when the layers were asked for, and the timer that does. */
let changedAt = null, layersAt = 0, layersDue, isBusy = false, isWaiting = false

/** Sends what there is; while an answer is on its way, the latest waits. The layers come along a dozen times a second, and at the end. */
async function send() {
  clearTimeout(layersDue)
  if (isBusy) {
    isWaiting = true
    return
  }
  const body = board.body(), began = changedAt, asked = model, layers = performance.now() - layersAt > 80
  changedAt = null
  if (!body) {
    answer.showNothing(model.digits ? 'Nothing drawn' : 'No picture yet')
    return
  }
  isBusy = true
  if (layers) layersAt = performance.now()
  try {
    const query = new URLSearchParams({ layers, model: model.id })
    const headers = { 'Content-Type': body.type || 'application/octet-stream' }
    const said = await askJson(`predict?${query}`, { method: 'POST', body, headers })
    if (asked != model) isWaiting = true
    else if (said.blank) answer.showNothing(model.digits ? 'Nothing drawn' : 'There is nothing on this picture')
    else answer.show(said, began && performance.now() - began)
  } catch (error) {
    answer.showNothing(error.message)
  } finally {
    isBusy = false
    if (isWaiting) {
      isWaiting = false
      send()
    } else if (!layers) layersDue = setTimeout(send, 80)
  }
}

function changed() {
  changedAt = performance.now()
  send()
}

/** A picture's file; the server decodes it, so that it may be of a form that the browser cannot show. */
async function take(file, name) {
  if (file.size > mostBytes) {
    answer.showNothing(`${name} has ${(file.size / 2 ** 20).toFixed(1)} MiB: at most ${mostBytes / 2 ** 20} are read`)
    return
  }
  const image = await createImageBitmap(file).catch(() => new ImageData(1, 1))
  board.take(image instanceof ImageData ? await createImageBitmap(image) : image, file, name)
}

const taken = Array(10).fill(0)
async function example(digit) {
  const file = await (await ask(`examples/${digit}?n=${taken[digit]++}`)).blob()
  await take(file, `A test image of the digit ${digit}`)
}

/** The camera's pictures, one after the other, until it is stopped. */
async function watch() {
  const video = at('video')
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: 640, height: 640 } })
  } catch (error) {
    answer.showNothing(`The camera cannot be used: ${error.message}`)
    return
  }
  video.srcObject = camera
  video.hidden = false
  at('camera').textContent = 'Stop camera'
  await video.play()
  const frame = document.createElement('canvas')
  while (camera) {
    const side = Math.min(video.videoWidth, video.videoHeight)
    frame.width = frame.height = Math.min(side, 320)
    frame.getContext('2d').drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side,
      0, 0, frame.width, frame.height)
    const file = await new Promise(done => frame.toBlob(done, 'image/jpeg'))
    if (camera) board.take(await createImageBitmap(file), file, 'A picture of the camera')
    await new Promise(done => setTimeout(done, 100))
  }
}

/** Stops what goes on by itself; the last picture stays. */
export function pause() {
  camera?.getTracks().forEach(track => track.stop())
  camera = null
  at('video').hidden = true
  at('camera').textContent = 'Camera'
}

function choose(chosen) {
  pause()
  model = chosen
  at('draw-title').textContent = model.digits ? 'Draw a digit' : 'Show it a picture'
  at('draw-lead').textContent = `${model.name} answers while you ${model.digits ? 'draw' : 'look'}, by the engine and by ONNX Runtime.`
  at('hint').textContent = model.digits ? 'Draw with mouse, pen or finger' : 'Drop a picture here'
  at('examples').hidden = !model.digits
  at('undo').hidden = !model.digits
  answer.layOut(model)
  board.allowDrawing(model.digits)
}

const labelOf = ({ name, id }, note) => make('option', { value: id, textContent: note ? `${name}, ${note}` : name })

/** A model that was trained in this browser: drawing is on it from now on. */
export async function add(made) {
  const info = await askJson(`model?model=${made.id}`)
  models.push(info)
  at('which').append(labelOf(info, `${made.steps} steps, ${percent(made.testAccuracy)}`))
  at('which-label').hidden = false
  at('which').value = info.id
  choose(info)
}

export async function start(served) {
  models = [served]
  at('which').append(labelOf(served))
  at('which').onchange = () => choose(models.find(({ id }) => id == at('which').value))
  document.querySelector('.digits').append(...Array.from({ length: 10 }, (_, digit) =>
    make('button', { textContent: digit, ariaLabel: `A test image of the digit ${digit}`, onclick: () => example(digit) })))
  at('file').onchange = async () => {
    const [file] = at('file').files
    pause()
    if (file) await take(file, file.name)
    at('file').value = ''
  }
  const square = at('square')
  square.ondragover = event => { event.preventDefault(); square.classList.add('over') }
  square.ondragleave = () => square.classList.remove('over')
  square.ondrop = event => {
    event.preventDefault()
    square.classList.remove('over')
    const [file] = event.dataTransfer.files
    if (file) take(file, file.name)
  }
  addEventListener('paste', event => {
    const [file] = event.clipboardData.files
    if (file && !at('draw-panel').hidden) take(file, 'The pasted picture')
  })
  at('camera').hidden = !navigator.mediaDevices?.getUserMedia
  at('camera').onclick = () => camera ? pause() : watch()
  board.start(changed)
  choose(served)
}
