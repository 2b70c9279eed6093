/** The page around the worker that trains: figures, curves, digits, and the file that comes of it. */
import { askJson, at, count, make, percent } from './common.js'
import { Chart } from './chart.js'

let worker, lossChart, accuracyChart, canvases = [], images = []
/** Of all steps since the start; accuracies with their step. */
let losses = [], shares = [], end = 0, testImages = 0
let isTraining = false, tell = () => {}
const waiting = new Map()

const say = (text, kind = '') => Object.assign(at('message'), { textContent: text, className: kind })
const mean = numbers => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
/** The worker's next message of that name, or its error. */
const heard = name => new Promise((resolve, reject) => waiting.set(name, { resolve, reject }))

function enable() {
  at('train').disabled = isTraining
  at('train').textContent = losses.length ? 'Train on' : 'Train'
  at('stop').disabled = !isTraining
  at('reset').disabled = isTraining || losses.length == 0
  at('steps').disabled = isTraining
}

/** The mean of the last so many values at each place, at most 400 of them. */
function smooth(points, over) {
  const every = Math.ceil(points.length / 400)
  return points.map(([step], i) => [step, i]).filter(([, i]) => i % every == 0 || i == points.length - 1)
    .map(([step, i]) => [step, mean(points.slice(Math.max(0, i - over + 1), i + 1).map(([, value]) => value))])
}

function draw() {
  const dots = losses.map((loss, i) => [i + 1, loss]), steps = Math.max(end, losses.length, 100)
  lossChart.draw(dots, smooth(dots, 25), steps)
  accuracyChart.draw(shares, smooth(shares, 5), steps)
  at('step').textContent = count(losses.length)
  at('loss').textContent = losses.length ? mean(losses.slice(-25)).toFixed(4) : '–'
  at('accuracy').textContent = shares.length ? percent(mean(shares.slice(-5).map(([, share]) => share))) : '–'
}

function showGuesses(guesses) {
  canvases.forEach(({ caption }, i) => {
    const isRight = guesses[i] == images[i].label
    caption.className = guesses.length == 0 ? '' : isRight ? 'right' : 'wrong'
    caption.textContent = guesses.length == 0 ? '–' : `${isRight ? '✓' : '✗'} ${guesses[i]}`
  })
}

function showImages(config) {
  canvases = images.map(({ label, pixels }) => {
    const canvas = make('canvas', { width: config.side, height: config.side, role: 'img',
      ariaLabel: `A test image of ${config.classes[label]}` })
    const context = canvas.getContext('2d'), image = context.createImageData(config.side, config.side)
    pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i))
    context.putImageData(image, 0, 0)
    const caption = make('span', { textContent: '–' })
    return { item: make('li', {}, canvas, caption), caption }
  })
  at('guesses').replaceChildren(...canvases.map(({ item }) => item))
}

const on = {
  failed(text) {
    for (const { reject } of waiting.values()) reject(new Error(text))
    waiting.clear()
  },
  diverged() { forget() },
  progress({ steps, losses: more, speed, guesses, share }) {
    losses.push(...more)
    shares.push([steps, share])
    if (speed) at('speed').textContent = count(Math.round(speed))
    showGuesses(guesses)
    draw()
  },
}

/** The weights become an ordinary model file, checked by the engine and ONNX Runtime, which is then judged here on all test images. */
async function finish({ steps, weights }) {
  say('Writing the model, and comparing it with ONNX Runtime on all test images …')
  const made = await askJson('models', { method: 'POST', body: weights })
  worker.postMessage(['judge', made.path.slice(1)])
  const { right } = await heard('judged')
  Object.assign(at('download'), { href: made.path.slice(1) })
  at('result').classList.remove('nothing')
  at('accuracy').textContent = percent(made.testAccuracy)
  Object.assign(document.body.dataset, { path: made.path, right, steps,
    first: mean(losses.slice(0, 10)), last: mean(losses.slice(-25)) })
  await tell({ ...made, steps })
  say(`${count(steps)} steps: ${count(right)} of ${count(testImages)} test images right in this browser, ${percent(made.testAccuracy)} ` +
    'by the engine; ONNX Runtime agrees.')
}

async function train() {
  const steps = Number(at('steps').value)
  if (!Number.isInteger(steps) || steps < 10 || steps > 20000) return say(`${at('steps').value} steps: expected 10 to 20,000`, 'bad')
  end = losses.length + steps
  isTraining = true
  at('result').classList.add('nothing')
  enable()
  say(losses.length ? `Training on, from step ${count(losses.length)} …` : 'Training …')
  worker.postMessage(['run', steps])
  try {
    await finish(await heard('finished'))
  } catch (error) {
    say(error.message, 'bad')
  }
  isTraining = false
  enable()
}

function reset() {
  worker.postMessage(['reset'])
  forget()
  say('The network has new weights, and is not trained yet.')
}

/** Nothing is trained. */
function forget() {
  ;[losses, shares, end] = [[], [], 0]
  at('speed').textContent = '–'
  at('result').classList.add('nothing')
  showGuesses([])
  draw()
  enable()
}

/** Loads what training needs; `made` is told every finished model. */
export async function start(made) {
  tell = made
  at('result').classList.add('nothing')
  const ticks = [3, 1, .3, .1, .03, .01]
  lossChart = new Chart(at('loss-chart'), { ticks, name: 'Loss', label: x => Number(x.toPrecision(2)),
    scale: x => Math.log(x / ticks.at(-1)) / Math.log(ticks[0] / ticks.at(-1)) })
  accuracyChart = new Chart(at('accuracy-chart'), { ticks: [1, .75, .5, .25, 0], name: 'Accuracy',
    label: x => `${Math.round(100 * x)}%`, scale: x => x })
  try {
    say('Loading ONNX Runtime for the web …')
    const config = await askJson('train/config')
    testImages = config.testImages
    worker = new Worker('trainer.js', { type: 'module' })
    worker.onerror = event => on.failed(event.message ?? 'The worker cannot start.')
    worker.onmessage = ({ data }) => {
      const [name, value] = Object.entries(data)[0]
      if (on[name]) return on[name](value)
      waiting.get(name)?.resolve(value)
      waiting.delete(name)
    }
    await heard('ready')
    say(`Loading ${count(config.trainImages)} images …`)
    worker.postMessage(['load'])
    ;({ images } = await heard('loaded'))
    showImages(config)
    say(`${count(config.trainImages)} images are here; the network is not trained yet.`)
  } catch (error) {
    return say(error.message, 'bad')
  }
  at('train').onclick = train
  at('stop').onclick = () => worker.postMessage(['stop'])
  at('reset').onclick = reset
  enable()
}
