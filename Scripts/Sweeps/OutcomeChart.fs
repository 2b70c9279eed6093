/// The outcome of each training over the value it had for one option, as SVG: a point for each.
module OnnxLeNet.Scripts.Sweeps.OutcomeChart

open System
open System.Globalization
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Report

/// A training in a chart.
type Point =
    { Value: Setting
      Outcome: float
      IsBest: bool
      /// What a pointer over it is told.
      Title: string }

let private width, height = 520.0, 300.0
let private left, right, top, bottom = 70.0, 20.0, 34.0, 44.0

let private numberOf =
    function
    | Typed text ->
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, x when Double.IsFinite x -> Some x
        | _ -> None
    | _ -> None

/// Beyond this ratio of the greatest to the least number the axis has logarithms.
[<Literal>]
let private Wide = 20.0

/// Powers of ten between two numbers, with their doubles and fivefolds where there are few.
let private logTicks (low: float) (high: float) =
    let powers = [ for e in int (floor (Math.Log10 low)) .. int (ceil (Math.Log10 high)) -> DoubleMath.Pow(10.0, float e) ]
    let within factors =
        [ for power in powers do
              for factor in factors do
                  let tick = power * factor
                  if tick >= low * 0.999 && tick <= high * 1.001 then tick ]
    let few = within [ 1.0 ]
    if few.Length >= 3 then few else within [ 1.0; 2.0; 5.0 ]

/// Where values stand on the axis, and its labels.
let private axisOf (values: Setting list) =
    let room = width - left - right
    let place low high (x: float) = if high > low then left + room * (0.05 + 0.9 * (x - low) / (high - low)) else left + room / 2.0
    let numbers = values |> List.choose numberOf
    if numbers.Length < values.Length then
        let names = values |> List.distinct
        let each = room / float names.Length
        let at value = left + each * (float (List.findIndex ((=) value) names) + 0.5)
        at, [ for name in names -> at name, Svg.fit 12.0 (each - 6.0) (string name) ]
    else
        let low, high = List.min numbers, List.max numbers
        let log = low > 0.0 && high / low >= Wide
        let scale (x: float) = if log then Math.Log10 x else x
        let at x = place (scale low) (scale high) (scale x)
        let ticks =
            if high = low then [ low ]
            elif log then logTicks low high
            else Charts.ticks 5 low high
        (numberOf >> Option.get >> at), [ for tick in ticks -> at tick, Charts.number tick ]

/// The points over an axis that has the option's name; shown says how an outcome is written.
let svg (label: string) (option: string) (shown: float -> string) (points: Point list) =
    let at, labels = axisOf (points |> List.map _.Value)
    let low, high = points |> List.map _.Outcome |> List.min, points |> List.map _.Outcome |> List.max
    let margin = if high > low then (high - low) * 0.08 else max (abs high * 0.1) 1e-9
    let low, high = low - margin, high + margin
    let y value = top + (high - value) / (high - low) * (height - top - bottom)
    let grid =
        [ for tick in Charts.ticks 5 low high do
              Svg.line left (y tick) (width - right) (y tick) "grid"
              Svg.text (left - 8.0) (y tick + 4.0) "end" (shown tick)
          Svg.line left (height - bottom) (width - right) (height - bottom) "axis"
          for x, text in labels do
              Svg.line x (height - bottom) x (height - bottom + 5.0) "axis"
              Svg.text x (height - bottom + 20.0) "middle" text
          Svg.text ((left + width - right) / 2.0) (height - 6.0) "middle" option
          Svg.text left 16.0 "name" (Svg.fit 13.0 (width - left) label) ]
    let dots =
        [ for p in points |> List.sortBy _.IsBest do
              Svg.element
                  "circle"
                  [ "class", (if p.IsBest then "dot-dashed" else "dot-strong")
                    "cx", Svg.at (at p.Value)
                    "cy", Svg.at (y p.Outcome)
                    "r", (if p.IsBest then "6" else "4")
                    "fill-opacity", (if p.IsBest then "1" else "0.75") ]
                  (Svg.element "title" [] (Svg.escape p.Title)) ]
    Svg.picture "plot" $"{label}, over {option}" width height (String.concat "" (grid @ dots))
