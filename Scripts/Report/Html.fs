/// HTML as text, closed as XML is: elements, tables, figures.
module OnnxLeNet.Scripts.Report.Html

let private attributesOf (attributes: (string * string) list) =
    attributes |> List.map (fun (key, value) -> $" {key}=\"{Svg.escape value}\"") |> String.concat ""

let text = Svg.escape

let tag name (attributes: (string * string) list) (content: string list) =
    let inner = String.concat "" content
    $"<{name}{attributesOf attributes}>{inner}</{name}>"

/// An element that has no content.
let empty name (attributes: (string * string) list) = $"<{name}{attributesOf attributes}/>"

let p (content: string) = tag "p" [] [ text content ]

type Cell =
    | Text of string
    | Code of string
    | Number of string
    /// A number with a bar behind it, of a share of the cell.
    | Bar of string * share: float
    /// Whether something agrees, and how far it is off.
    | Verdict of passed: bool * string

let private cell =
    function
    | Text content -> tag "td" [] [ text content ]
    | Code content -> tag "td" [] [ tag "code" [] [ text content ] ]
    | Number content -> tag "td" [ "class", "number" ] [ text content ]
    | Bar(content, share) -> tag "td" [ "class", "number bar"; "style", $"--share:{Svg.at (100.0 * share)}%%" ] [ text content ]
    | Verdict(passed, content) ->
        let mark = if passed then "✓ " else "✗ "
        tag "td" [ "class", (if passed then "number good" else "number bad") ] [ text (mark + content) ]

/// A table under a caption, which scrolls by itself where it is wider than the page.
let table (caption: string) (headings: string list) (rows: Cell list list) =
    let isNumeric i =
        rows
        |> List.forall (fun row ->
            match List.item i row with
            | Text _
            | Code _ -> false
            | _ -> true)
    let heading i name = tag "th" [ "scope", "col"; if isNumeric i then "class", "number" ] [ text name ]
    tag
        "div"
        [ "class", "scroll"; "tabindex", "0"; "role", "region"; "aria-label", caption ]
        [ tag
              "table"
              []
              [ tag "caption" [] [ text caption ]
                tag "thead" [] [ tag "tr" [] (List.mapi heading headings) ]
                tag "tbody" [] [ for row in rows -> tag "tr" [] (List.map cell row) ] ] ]

/// A picture with words below it.
let figure (css: string) (content: string) (caption: string) =
    tag "figure" [ "class", css ] [ content; if caption <> "" then tag "figcaption" [] [ text caption ] ]

/// Small pictures in rows, each with what it shows in words.
let tiles (css: string) (label: string) (pictures: Tiles.Tile list) =
    let image (tile: Tiles.Tile) =
        empty
            "img"
            [ "src", Tiles.dataUri tile.Picture
              "alt", tile.Text
              "width", string tile.Picture.Width
              "height", string tile.Picture.Height ]
    tag "div" [ "class", $"tiles {css}"; "role", "group"; "aria-label", label ] (List.map image pictures)

let section (id: string) (heading: string) (content: string list) =
    tag "section" [ "id", id; "aria-labelledby", id + "-heading" ] (tag "h2" [ "id", id + "-heading" ] [ text heading ] :: content)
