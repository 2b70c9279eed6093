/** A worker that trains: it runs the training step's file on batches of MNIST, and tells how it goes. */
import * as ort from './ort/ort.wasm.min.mjs'

ort.env.wasm.numThreads = 1

let config, size, values, trainer, initial, train, test
/** What a step takes and replaces; how many steps it has behind it. */
let state = null, steps = 0
let isStopped = false

const bytes = async path => {
  const answer = await fetch(path)
  if (!answer.ok) throw new Error((await answer.json()).detail)
  return new Uint8Array(await answer.arrayBuffer())
}

/** Images of these numbers, padded and normalized: [N, 1, size, size]. */
function gather({ images }, numbers) {
  const { side, padding } = config
  const x = new Float32Array(numbers.length * size * size).fill(values[0])
  numbers.forEach((number, n) => {
    for (let h = 0; h < side; h++)
      for (let w = 0; w < side; w++)
        x[(n * size + h + padding) * size + w + padding] = values[images[(number * side + h) * side + w]]
  })
  return new ort.Tensor('float32', x, [numbers.length, 1, size, size])
}

/** The numbers 0 to count − 1 in a random order. */
function shuffled(count) {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(Math.random() * (i + 1));
    [order[i], order[other]] = [order[other], order[i]]
  }
  return order
}

const step = (data, numbers, rate) => trainer.run({
  ...state, input: gather(data, numbers), learning_rate: new ort.Tensor('float32', [rate], []),
  labels: new ort.Tensor('int64', BigInt64Array.from(numbers, number => BigInt(data.labels[number])), [numbers.length]) })

const classesOf = (logits, count) => Array.from({ length: count }, (_, n) => {
  const row = logits.data.subarray(n * config.classes.length, (n + 1) * config.classes.length)
  return row.indexOf(Math.max(...row))
})

/** The first test images of every class, which the page shows. */
let shown = []

/** What the network takes the shown images for, and how many of others that it has not seen it gets right: a step that changes nothing. */
async function look() {
  const others = Array.from({ length: 2 * config.batch - shown.length }, () => Math.floor(Math.random() * config.testImages))
  const numbers = [...shown, ...others]
  const guesses = []
  for (let start = 0; start < numbers.length; start += config.batch) {
    const part = numbers.slice(start, start + config.batch)
    guesses.push(...classesOf((await step(test, part, 0)).logits, part.length))
  }
  const right = others.filter((number, i) => guesses[shown.length + i] == test.labels[number]).length
  return { guesses: guesses.slice(0, shown.length), share: right / others.length }
}

async function load() {
  config = JSON.parse(new TextDecoder().decode(await bytes('train/config')))
  size = config.side + 2 * config.padding
  values = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - config.mean) / config.std)
  const create = path => bytes(path).then(file => ort.InferenceSession.create(file))
  let rest
  [trainer, initial, ...rest] = await Promise.all([create('train/step.onnx'), create('train/initial.onnx'),
    ...['train/train-images', 'train/train-labels', 'train/test-images', 'train/test-labels'].map(bytes)])
  train = { images: rest[0], labels: rest[1] }
  test = { images: rest[2], labels: rest[3] }
  for (let label = 0; label < config.classes.length; label++) {
    const first = test.labels.indexOf(label)
    shown.push(first, test.labels.indexOf(label, first + 1))
  }
  const area = config.side * config.side
  const imageOf = number => ({ label: test.labels[number], pixels: test.images.slice(number * area, (number + 1) * area) })
  postMessage({ loaded: { images: shown.map(imageOf) } })
}

/** Trains for so many steps more, from where it stands. */
async function run(count) {
  isStopped = false
  state ??= await initial.run({})
  const end = steps + count, began = performance.now(), before = steps
  let order = [], losses = [], told = began
  while (steps < end && !isStopped) {
    if (order.length < config.batch) order = shuffled(train.labels.length)
    const numbers = order.slice(0, config.batch)
    order = order.subarray(config.batch)
    const rate = config.learningRate / 2 * (1 + Math.cos(Math.PI * (steps - before) / count))
    const results = await step(train, numbers, rate)
    const loss = results.loss.data[0]
    if (!Number.isFinite(loss)) {
      tasks.reset()
      postMessage({ diverged: true })
      throw new Error(`The loss became ${loss}: training starts over.`)
    }
    losses.push(loss)
    state = Object.fromEntries(Object.keys(state).map(name => [name, results[`${name}.next`]]))
    steps++
    if (performance.now() - told > 150 || steps == end) {
      const speed = losses.length * config.batch / (performance.now() - told) * 1000
      postMessage({ progress: { steps, losses, speed, ...await look() } })
      losses = []
      told = performance.now()
      await new Promise(done => setTimeout(done)) // for a message to stop
    }
  }
  postMessage({ progress: { steps, losses, speed: null, ...await look() } })
  const weights = new Blob(config.parameters.map(({ name }) => state[name].data))
  postMessage({ finished: { steps, weights } })
}

/** How many test images a model's file gets right here. */
async function judge(path) {
  const model = await ort.InferenceSession.create(await bytes(path))
  let right = 0
  for (let start = 0; start < config.testImages; start += 250) {
    const numbers = Array.from({ length: Math.min(250, config.testImages - start) }, (_, i) => start + i)
    const { logits } = await model.run({ input: gather(test, numbers) })
    classesOf(logits, numbers.length).forEach((guess, i) => { right += guess == test.labels[numbers[i]] })
  }
  await model.release()
  postMessage({ judged: { right } })
}

const tasks = {
  load, run, judge,
  stop() { isStopped = true },
  reset() { [state, steps] = [null, 0] },
}

onmessage = async ({ data: [name, value] }) => {
  try {
    await tasks[name](value)
  } catch (error) {
    postMessage({ failed: `${error.message ?? error}` })
  }
}
postMessage({ ready: true })
