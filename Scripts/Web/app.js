/** Tabs: by pointer, by keyboard, by the address. */
import { at, askJson } from './common.js'
import * as draw from './draw.js'

const parts = ['draw', 'train', 'model']
const tab = part => at(`${part}-tab`)
const opened = new Set()

/** A part starts when it is first shown. */
async function open(part, model) {
  if (opened.has(part)) return
  opened.add(part)
  if (part == 'train') await (await import('./train.js')).start(made => draw.add(made))
  if (part == 'model') await (await import('./model.js')).start(model)
}

function show(part, model) {
  for (const other of parts) {
    const selected = other == part
    tab(other).setAttribute('aria-selected', selected)
    tab(other).tabIndex = selected ? 0 : -1
    at(`${other}-panel`).hidden = !selected
  }
  document.title = `${tab(part).textContent} · OnnxLeNet`
  if (part != 'draw') draw.pause()
  open(part, model)
}

const asked = () => parts.find(part => location.hash == `#${part}`) ?? 'draw'
const model = await askJson('model')
await draw.start(model)
for (const part of parts) tab(part).onclick = () => { location.hash = part }
addEventListener('hashchange', () => show(asked(), model))
document.querySelector('[role="tablist"]').onkeydown = event => {
  const now = parts.indexOf(asked())
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: parts.length - 1 }[event.key]
  if (to === undefined) return
  event.preventDefault()
  const part = parts[(to + parts.length) % parts.length]
  tab(part).focus()
  location.hash = part
}
document.querySelector('main').hidden = false
show(asked(), model)
