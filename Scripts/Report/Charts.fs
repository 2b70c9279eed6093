/// Plots as SVG: lines, a confusion matrix, histograms over time. Colours come from the page's theme; in a file of its own they are fixed.
module OnnxLeNet.Scripts.Report.Charts

open System
open System.Globalization
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Runs

type Series =
    {
        Name: string
        Points: (float * float) list
        /// Which of the styles: a strong line, a dashed one, or a faint one behind them.
        Style: string
    }

/// What a plot's parts look like.
let style =
    """.plot text{font:12px system-ui,sans-serif;fill:var(--muted)}
.plot .name{fill:var(--ink);font-weight:600}.plot .value{fill:var(--ink)}
.plot .grid{stroke:var(--border);stroke-width:1}.plot .axis{stroke:var(--muted);stroke-width:1}
.plot .end{text-anchor:end}.plot .middle{text-anchor:middle}
.plot .strong{stroke:var(--accent);fill:none;stroke-width:2}
.plot .dashed{stroke:var(--second);fill:none;stroke-width:2;stroke-dasharray:6 3}
.plot .faint{stroke:var(--accent);fill:none;stroke-width:1;stroke-opacity:.35}
.plot .dot-strong{fill:var(--accent)}.plot .dot-dashed{fill:var(--second)}
.plot .right{fill:var(--accent)}.plot .wrong{fill:var(--second)}.plot .on{fill:var(--on-accent)}
.plot .bin{fill:var(--accent)}"""

/// The light theme's colours, for a file of its own.
let private light =
    [ "--surface", "#ffffff"
      "--border", "#d8dde6"
      "--ink", "#19202c"
      "--muted", "#535d70"
      "--accent", "#1f5cb8"
      "--on-accent", "#ffffff"
      "--second", "#a8470b"
      "--good", "#1a6e3c"
      "--bad", "#b3261e" ]

/// A picture that needs no page: with its style, and on a ground of its own.
let standalone (svg: string) =
    let css = light |> List.fold (fun (css: string) (name, colour) -> css.Replace($"var({name})", colour)) style
    let ground = Svg.element "style" [] css + Svg.element "rect" [ "width", "100%"; "height", "100%"; "fill", "#ffffff" ] ""
    svg.Insert(svg.IndexOf("</title>", StringComparison.Ordinal) + "</title>".Length, ground)

/// About so many round numbers over a range.
let ticks count (low: float) (high: float) =
    let raw = (high - low) / float count
    let power = DoubleMath.Pow(10.0, Math.Floor(Math.Log10 raw))
    let step = [ 1.0; 2.0; 5.0; 10.0 ] |> List.map ((*) power) |> List.find (fun step -> step >= raw * 0.999)
    [ for i in int (ceil (low / step - 1e-9)) .. int (floor (high / step + 1e-9)) -> float i * step ]

let number (x: float) =
    if x = 0.0 then "0"
    elif abs x < 1e-3 || abs x >= 1e5 then x.ToString("0.##e-0", CultureInfo.InvariantCulture)
    else x.ToString("0.####", CultureInfo.InvariantCulture)

let private width, height = 520.0, 300.0
let private left, right, top, bottom = 58.0, 16.0, 34.0, 44.0

/// Points of a long series, as many as a picture can show: each the mean of its share.
let thinned most (points: (float * float) list) =
    if points.Length <= most then
        points
    else
        points |> List.splitInto most |> List.map (fun part -> List.averageBy fst part, List.averageBy snd part)

/// Lines over an axis. What is not finite is left out; shown says how a value of the vertical axis is written.
let lines (label: string) (xName: string) (shown: float -> string) (fromZero: bool) (series: Series list) =
    let series =
        [ for s in series -> { s with Points = s.Points |> List.filter (fun (_, y) -> Double.IsFinite y) } ]
        |> List.filter (fun s -> not s.Points.IsEmpty)
    let all = series |> List.collect _.Points
    if all.IsEmpty then
        None
    else
        let x0, x1 = all |> List.map fst |> List.min, all |> List.map fst |> List.max
        // The mean of the first and last few updates lies just beside a whole epoch.
        let whole (x: float) = if abs (x - Math.Round x) < 0.02 * (x1 - x0) then Math.Round x else x
        let x0, x1 = if x1 > x0 then whole x0, whole x1 else x0 - 0.5, x1 + 0.5
        // Single steps may be far above the rest, which they would press flat.
        let judged = series |> List.filter (fun s -> s.Style <> "faint") |> List.collect _.Points |> List.map snd
        let values = if judged.IsEmpty then List.map snd all else judged
        let low, high = (if fromZero then 0.0 else List.min values), List.max values
        let margin = if high > low then (high - low) * 0.06 else max (abs high * 0.1) 1e-9
        let y0, y1 = (if fromZero then 0.0 else low - margin), high + margin
        let x value = left + (value - x0) / (x1 - x0) * (width - left - right)
        let y value = top + (y1 - Math.Clamp(value, y0, y1)) / (y1 - y0) * (height - top - bottom)
        let grid =
            [ for tick in ticks 5 y0 y1 do
                  Svg.line left (y tick) (width - right) (y tick) "grid"
                  Svg.text (left - 8.0) (y tick + 4.0) "end" (shown tick)
              for tick in ticks 6 x0 x1 |> List.filter (fun tick -> tick = Math.Floor tick || x1 - x0 < 2.0) do
                  Svg.line (x tick) (height - bottom) (x tick) (height - bottom + 5.0) "axis"
                  Svg.text (x tick) (height - bottom + 20.0) "middle" (number tick)
              Svg.line left (height - bottom) (width - right) (height - bottom) "axis"
              Svg.text ((left + width - right) / 2.0) (height - 6.0) "middle" xName ]
        let drawn =
            [ for s in series do
                  let points = s.Points |> List.map (fun (px, py) -> $"{Svg.at (x px)},{Svg.at (y py)}") |> String.concat " "
                  Svg.element "polyline" [ "class", s.Style; "points", points ] ""
                  if s.Points.Length <= 40 && s.Style <> "faint" then
                      for px, py in s.Points do
                          Svg.element "circle" [ "class", $"dot-{s.Style}"; "cx", Svg.at (x px); "cy", Svg.at (y py); "r", "3" ] "" ]
        let legend =
            series
            |> List.mapFold
                (fun at s ->
                    let key = Svg.line at 16.0 (at + 24.0) 16.0 s.Style + Svg.text (at + 30.0) 20.0 "value" s.Name
                    key, at + 46.0 + Svg.widthOf 12.0 s.Name)
                left
            |> fst
        Some(Svg.picture "plot" label width height (String.concat "" (grid @ drawn @ legend)))

/// How often each class is taken for each, labels down: shares of the row in colour, counts as numbers where they have room.
let confusion (label: string) (names: string list) (counts: int array array) =
    let n = names.Length
    let cell = if n <= 12 then 44.0 elif n <= 30 then 24.0 else max 4.0 (700.0 / float n)
    let named = n <= 30
    let shortName (name: string) = Svg.fit 12.0 110.0 name
    let side = if named then names |> List.map (shortName >> Svg.widthOf 12.0) |> List.max |> (+) 16.0 else 10.0
    let head = if named then (if names |> List.forall (fun name -> Svg.widthOf 12.0 name < cell) then 22.0 else side) else 10.0
    let most = counts |> Array.map (Array.sum >> float >> max 1.0)
    let cells =
        [ for l in 0 .. n - 1 do
              for p in 0 .. n - 1 do
                  let count = counts[l][p]
                  if count > 0 then
                      let share = float count / most[l]
                      let x, y = side + float p * cell, head + float l * cell
                      let opacity = if l = p then 0.15 + 0.85 * share else min 1.0 (0.12 + 3.0 * share)
                      let css = if l = p then "right" else "wrong"
                      Svg.rect x y (cell - 1.0) (cell - 1.0) [ "class", css; "fill-opacity", Svg.at opacity; "rx", "2" ]
                      if Svg.widthOf 12.0 (string count) < cell then
                          let strong = if opacity > 0.6 then "middle on" else "middle value"
                          Svg.text (x + cell / 2.0) (y + cell / 2.0 + 4.0) strong (string count) ]
    let labels =
        [ if named then
              for i, name in List.indexed names do
                  Svg.text (side - 8.0) (head + (float i + 0.5) * cell + 4.0) "end value" (shortName name)
                  let x = side + (float i + 0.5) * cell
                  if head = 22.0 then
                      Svg.text x 14.0 "middle value" name
                  else
                      Svg.element
                          "text"
                          [ "transform", $"translate({Svg.at (x + 4.0)} {Svg.at (head - 6.0)}) rotate(-90)"; "class", "value" ]
                          (Svg.escape (shortName name)) ]
    let size = float n * cell
    let grid =
        [ for i in 0..n do
              let at = float i * cell - 0.5
              Svg.line side (head + at) (side + size) (head + at) "grid"
              Svg.line (side + at) head (side + at) (head + size) "grid" ]
    Svg.picture
        "plot"
        label
        (side + size + 4.0)
        (head + size + 24.0)
        (String.concat "" ((if n <= 30 then grid else []) @ cells @ labels)
         + Svg.text (side + size / 2.0) (head + size + 18.0) "middle" "predicted (across), label (down)")

/// Histograms one beside the other: a column for each time, dark where there are many numbers.
let overTime (label: string) (name: string) (columns: (float * TensorBoard.Histogram) list) =
    let width, height, left, bottom, top = 300.0, 190.0, 52.0, 36.0, 26.0
    let low = columns |> List.map (fun (_, h) -> h.Min) |> List.min
    let high = columns |> List.map (fun (_, h) -> h.Max) |> List.max
    let low, high = if high > low then low, high else low - 0.5, high + 0.5
    let y value = top + (high - value) / (high - low) * (height - top - bottom)
    let each = (width - left - 8.0) / float columns.Length
    let drawn =
        [ for i, (_, h) in List.indexed columns do
              let most = Array.max h.Counts
              for bin in 0 .. h.Counts.Length - 1 do
                  if h.Counts[bin] > 0.0 then
                      let from = if bin = 0 then h.Min else h.Limits[bin - 1]
                      let opacity = 0.06 + 0.94 * Math.Sqrt(h.Counts[bin] / most)
                      let tall = max 0.8 (y from - y h.Limits[bin])
                      Svg.rect
                          (left + float i * each)
                          (y h.Limits[bin])
                          (max 1.0 (each - (if each > 6.0 then 1.0 else 0.0)))
                          tall
                          [ "class", "bin"; "fill-opacity", Svg.at opacity ] ]
    let axis =
        [ for tick in ticks 4 low high do
              Svg.line (left - 4.0) (y tick) left (y tick) "axis"
              Svg.text (left - 7.0) (y tick + 4.0) "end" (number tick)
          Svg.line left (height - bottom) (width - 8.0) (height - bottom) "axis"
          let show (i: int) place = Svg.text place (height - bottom + 16.0) "middle" (number (fst columns[i]))
          show 0 (left + each / 2.0)
          if columns.Length > 1 then show (columns.Length - 1) (left + each * (float columns.Length - 0.5))
          Svg.text ((left + width) / 2.0) (height - 4.0) "middle" "epoch"
          Svg.text left 16.0 "name" (Svg.fit 13.0 (width - left) name) ]
    Svg.picture "plot small" label width height (String.concat "" (drawn @ axis))
