/// Scripts that complete verbs, options, choices and files in a shell: made of the tables, so that no program starts at a key.
module OnnxLeNet.Scripts.Cli.Completion

open System

[<Literal>]
let private Tool = "onnxlenet"

let private spaced (words: string seq) = String.Join(' ', words)
let private optionsOf (verb: Verb) = verb.Options |> List.filter (fun e -> e.Group <> "")
let private names (verb: Verb) = [ for e in optionsOf verb -> e.Name ] @ [ "--help"; "--version" ]
let private takesFile (e: Entry) = e.Choices.IsEmpty && (e.Values = One || e.Values = OneOrMore)

let private bash (verbs: Verb list) =
    let all = [ for verb in verbs -> verb.Name ]
    let afterOption =
        [ for verb in verbs do
              for e in optionsOf verb do
                  if not e.Choices.IsEmpty then $"    \"{verb.Name} {e.Name}\") words=\"{spaced e.Choices}\" ;;"
                  elif takesFile e then $"    \"{verb.Name} {e.Name}\") files=1 ;;" ]
    let options = [ for verb in verbs -> $"      {verb.Name}) words=\"{spaced (names verb)}\" ;;" ]
    let arguments =
        [ for verb in verbs do
              let choices = verb.Arguments |> List.collect _.Choices
              if not choices.IsEmpty then $"      {verb.Name}) words=\"{spaced choices}\"; files= ;;" ]
    [ $"# {Tool} in bash: put  eval \"$({Tool} completion bash)\"  into ~/.bashrc"
      $"_{Tool}() {{"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=train words= files="
      "  # --option=value is three words here."
      "  if [[ $cur == = ]]; then cur="
      "  elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi"
      "  if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]]; then verb=${COMP_WORDS[1]}; fi"
      "  COMPREPLY=()"
      "  case \"$verb $prev\" in"
      String.Join('\n', afterOption)
      $"    \"help help\") words=\"{spaced all}\" ;;"
      "  esac"
      "  if [[ -z $words && -z $files ]]; then"
      "    if [[ $cur == -* ]]; then case $verb in"
      String.Join('\n', options)
      "    esac"
      $"    elif [[ $COMP_CWORD -eq 1 ]]; then words=\"{spaced all} help\""
      "    else files=1; case $verb in"
      String.Join('\n', arguments)
      "    esac; fi"
      "  fi"
      "  if [[ -n $files ]]; then"
      "    compopt -o filenames 2>/dev/null"
      "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")"
      "  else"
      "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")"
      "  fi"
      "}"
      $"complete -F _{Tool} {Tool}" ]

let private zsh (verbs: Verb list) =
    let quoted (text: string) = text.Replace("'", "'\\''")
    let inBrackets (text: string) = (quoted text).Replace("[", "\\[").Replace("]", "\\]").Replace(":", "\\:")
    let values (e: Entry) =
        if e.Values = NoValue then ""
        elif e.Choices.IsEmpty then $":{e.Placeholder}:_files"
        else $":{e.Placeholder}:({spaced e.Choices})"
    let spec (e: Entry) = $"      '{e.Name}[{inBrackets e.About}]{values e}' \\"
    let arguments (verb: Verb) =
        match verb.Arguments |> List.collect _.Choices with
        | [] -> "      '*:file:_files' ;;"
        | choices -> $"      '*:choice:({spaced choices})' ;;"
    [ $"#compdef {Tool}"
      $"# {Tool} in zsh: put  source <({Tool} completion zsh)  into ~/.zshrc, after compinit"
      $"_{Tool}() {{"
      "  local verb=train"
      "  local -a verbs"
      "  verbs=("
      for verb in verbs do
          $"    '{verb.Name}:{quoted verb.Summary}'"
      "    'help:every option of a verb'"
      "  )"
      "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then _describe verb verbs; return; fi"
      "  if [[ $words[2] == help ]]; then _describe verb verbs; return; fi"
      "  if [[ $words[2] != -* ]]; then verb=$words[2]; shift words; (( CURRENT-- )); fi"
      "  case $verb in"
      for verb in verbs do
          $"    {verb.Name}) _arguments \\"
          for e in optionsOf verb do
              spec e
          "      '--help[show help]' \\"
          arguments verb
      "  esac"
      "}"
      $"compdef _{Tool} {Tool}" ]

let private powershell (verbs: Verb list) =
    let listed (words: string seq) = String.Join(", ", words |> Seq.map (fun word -> $"'{word}'"))
    [ $"# {Tool} in PowerShell: put  {Tool} completion powershell | Out-String | Invoke-Expression  into $PROFILE"
      $"Register-ArgumentCompleter -Native -CommandName {Tool} -ScriptBlock {{"
      "  param($word, $ast, $cursor)"
      "  $options = @{"
      for verb in verbs do
          $"    '{verb.Name}' = {listed (names verb)}"
      "  }"
      "  $choices = @{"
      for verb in verbs do
          for e in optionsOf verb do
              if not e.Choices.IsEmpty then $"    '{verb.Name} {e.Name}' = {listed e.Choices}"
          let own = verb.Arguments |> List.collect _.Choices
          if not own.IsEmpty then $"    '{verb.Name} {verb.Name}' = {listed own}"
      "  }"
      $"  $verbs = {listed [ for verb in verbs -> verb.Name ]}, 'help'"
      "  $typed = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object { $_.ToString() })"
      "  $verb = if ($typed.Count -gt 1 -and -not $typed[1].StartsWith('-')) { $typed[1] } else { 'train' }"
      "  $found = $choices[\"$verb $($typed[-1])\"]"
      "  if (-not $found) {"
      "    if ($word.StartsWith('-')) { $found = $options[$verb] }"
      "    elseif ($typed.Count -le 1 -or $typed[-1] -eq 'help') { $found = $verbs }"
      "  }"
      "  $found | Where-Object { $_ -like \"$word*\" } |"
      "    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }"
      "}" ]

/// The shells, and the script of each.
let shells = [ "bash", bash; "zsh", zsh; "powershell", powershell ]
