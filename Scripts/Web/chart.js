/** A curve as SVG: dots, a line, a grid with its numbers. */
const namespace = 'http://www.w3.org/2000/svg'
const [width, height, left, right, top, bottom] = [560, 315, 58, 12, 12, 30]

function add(to, name, attributes, text) {
  const element = document.createElementNS(namespace, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text !== undefined) element.textContent = text
  to.append(element)
  return element
}

export class Chart {
  /** ticks: from the top down; scale: a value to 0 (the lowest tick) … 1; label: a tick as text. */
  constructor(svg, { ticks, scale, label, name }) {
    Object.assign(this, { svg, ticks, scale, label, name })
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    this.draw([], [], 100)
  }

  /** dots and line: [step, value] each; steps: where the axis ends. */
  draw(dots, line, steps) {
    const x = step => left + (width - left - right) * step / steps
    const y = value => top + (height - top - bottom) * (1 - Math.min(1, Math.max(0, this.scale(value))))
    this.svg.replaceChildren()
    for (const tick of this.ticks) {
      add(this.svg, 'line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) })
      add(this.svg, 'text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, this.label(tick))
    }
    for (const part of [0, .5, 1])
      add(this.svg, 'text', { x: x(part * steps), y: height - 6, 'text-anchor': ['start', 'middle', 'end'][2 * part] },
        Math.round(part * steps))
    const every = Math.ceil(dots.length / 600)
    dots.forEach(([step, value], i) => {
      if (i % every == 0) add(this.svg, 'circle', { class: 'dot', cx: x(step).toFixed(1), cy: y(value).toFixed(1), r: 2 })
    })
    if (line.length > 1)
      add(this.svg, 'polyline', { class: 'line',
        points: line.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ') })
    const last = line.at(-1)
    this.svg.setAttribute('aria-label', last ? `${this.name}: ${this.label(last[1])} after ${last[0]} steps` : `${this.name}: no steps yet`)
  }
}
