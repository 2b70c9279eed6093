/** What all parts of the page use. */
export const at = id => document.getElementById(id)

/** An answer of the server, or an error that says what it says. */
export async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error('The server does not answer: is it still running?')
  })
  if (answer.ok) return answer
  const text = await answer.text()
  let detail = text
  try { detail = JSON.parse(text).detail ?? text } catch { /* it is no JSON */ }
  throw new Error(detail || `${path}: ${answer.status}`)
}

export const askJson = async (path, options) => (await ask(path, options)).json()

export const percent = share => `${(100 * share).toFixed(2)}%`

export const count = number => number.toLocaleString('en')

const colours = new Map()

/** The numbers of a CSS colour, red, green and blue. */
export function rgb(colour) {
  if (!colours.has(colour)) {
    const brush = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d')
    brush.fillStyle = colour
    brush.fillRect(0, 0, 1, 1)
    colours.set(colour, [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)])
  }
  return colours.get(colour)
}

/** Bytes from base64. */
export function bytesOf(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i)
  return bytes
}

/** Does it now, and again whenever the theme changes. */
export function withTheme(action) {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', action)
  action()
}

/** An element with properties and children. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties)
  element.append(...children)
  return element
}
