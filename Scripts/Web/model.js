/** What there is to know of the model. */
import { ask, askJson, at, count, make } from './common.js'

const figure = ([name, value]) => make('div', {}, make('dt', { textContent: name }), make('dd', { textContent: value }))

/** Shows a graph as part of the page, so that it takes its colours. Its styles become a sheet of the page's. */
function showGraph(text) {
  const styles = /<style>([^<]*)<\/style>/g
  document.adoptedStyleSheets = [...text.matchAll(styles)].map(([, style]) => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style.replaceAll('&gt;', '>').replaceAll('&amp;', '&'))
    return sheet
  })
  const svg = new DOMParser().parseFromString(text.replace(styles, ''), 'image/svg+xml').documentElement
  at('graph').replaceChildren(document.importNode(svg, true))
}

/** The same graph with each layer's time and difference to ONNX Runtime, which the server measures when it is first asked. */
async function measure() {
  const { picture, passed, text } = await askJson('model/figures')
  showGraph(picture)
  at('graph-note').textContent = text
  at('graph-note').className = passed ? 'lead' : 'lead bad'
}

export async function start(model) {
  const megaflops = model.flops === null ? '–' : `${count(Math.round(model.flops / 1e4) / 100)} million`
  at('model-title').textContent = model.name
  at('model-lead').textContent = model.engineProblem
    ? `ONNX Runtime answers alone, the engine cannot import the model: ${model.engineProblem}`
    : `Runs in the engine and in ONNX Runtime. SHA-256 ${model.sha256.slice(0, 16)}…`
  at('model-figures').replaceChildren(...[
    ['Parameters', count(model.parameters)], ['Operations per picture', megaflops],
    ['File', `${count(Math.round(model.bytes / 1024))} KiB`],
    ['Input', model.sample.join(' × ')], ['Classes', count(model.classes.length)], ['Operator set', model.opsets.join(', ')],
    ...(model.metadata['test.accuracy'] ? [['Test accuracy', `${(100 * model.metadata['test.accuracy']).toFixed(2)}%`]] : []),
  ].map(figure))
  at('curl').textContent = `curl --data-binary @picture.png -H "Content-Type: image/png" ${location.origin}/predict`
  at('graph-note').hidden = Boolean(model.engineProblem)
  await ask('model/graph.svg').then(answer => answer.text()).then(showGraph).catch(error => { at('graph').textContent = error.message })
  at('model-body').hidden = false
  if (!model.engineProblem) measure().catch(error => { at('graph-note').textContent = error.message })
}
