/// What /openapi.json says of the routes, beside what it finds out itself.
module OnnxLeNet.Scripts.Web.OpenApi

open System
open System.Collections.Generic
open System.Text.Json.Nodes
open System.Threading.Tasks
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Http
open Microsoft.AspNetCore.OpenApi
open Microsoft.Extensions.DependencyInjection
open Microsoft.OpenApi
open OnnxLeNet.Scripts.Web.BrowserTraining
open OnnxLeNet.Scripts.Web.ServedModel

let private parameter place (name: string) kind (text: string) =
    OpenApiParameter(
        Name = name,
        In = Nullable place,
        Description = text,
        Required = (place = ParameterLocation.Path),
        Schema = OpenApiSchema(Type = Nullable kind)
    )

let modelQuery =
    parameter ParameterLocation.Query "model" JsonSchemaType.String "the id of a model that a browser trained; the served one if left out"

let idInPath = parameter ParameterLocation.Path "id" JsonSchemaType.String "the model's id"

let private queries =
    [ parameter ParameterLocation.Query "top" JsonSchemaType.Integer "how many classes to tell, the most probable first (3)"
      parameter ParameterLocation.Query "layers" JsonSchemaType.Boolean "whether to send the layers' outputs too"
      modelQuery ]

let private change (edit: OpenApiOperation -> unit) (route: RouteHandlerBuilder) =
    route.AddOpenApiOperationTransformer(fun operation _ _ ->
        edit operation
        Task.CompletedTask)

let private withParameters (parameters: OpenApiParameter list) =
    change (fun operation -> operation.Parameters <- List<IOpenApiParameter>(parameters |> Seq.map (fun p -> p :> IOpenApiParameter)))

let private problems (statuses: int list) (route: RouteHandlerBuilder) =
    for status in statuses do
        route.ProducesProblem status |> ignore
    route

/// A route that answers JSON.
let describe<'T> (summary: string) parameters (route: RouteHandlerBuilder) =
    route.WithTags("server").WithSummary(summary).Produces<'T>(200)
    |> problems [ 400; 403 ]
    |> withParameters parameters
    |> ignore

/// A route that answers a file.
let describeFile (summary: string) parameters (route: RouteHandlerBuilder) =
    route.WithTags("training").WithSummary(summary).Produces(200, contentType = "application/octet-stream")
    |> problems [ 403; 404 ]
    |> withParameters parameters
    |> ignore

let private binary = OpenApiSchema(Type = Nullable JsonSchemaType.String, Format = "binary")

let private array (items: OpenApiSchema) = OpenApiSchema(Type = Nullable JsonSchemaType.Array, Items = items)

let private object (properties: (string * OpenApiSchema) list) =
    let schema = OpenApiSchema(Type = Nullable JsonSchemaType.Object, Properties = Dictionary<string, IOpenApiSchema>())
    for name, property in properties do
        (nonNull schema.Properties)[name] <- property
    schema

let private body (contents: (string * OpenApiSchema) list) =
    change (fun operation ->
        let content = Dictionary<string, OpenApiMediaType>()
        for contentType, schema in contents do
            content[contentType] <- OpenApiMediaType(Schema = schema)
        operation.RequestBody <- OpenApiRequestBody(Required = true, Content = content))

let private work = problems [ 400; 403; 408; 413; 429; 503 ]

let describePredict (route: RouteHandlerBuilder) =
    let number = OpenApiSchema(Type = Nullable JsonSchemaType.Number)
    let pixels = array (array number)
    pixels.Description <- "the rows of a grey picture, 0 to 255; or of [red, green, blue]"
    let input = array number
    input.Description <- "the numbers that the model takes, row-major"
    route
        .WithTags("prediction")
        .WithSummary("What a picture shows, by the engine and by ONNX Runtime")
        .WithDescription("The body is a picture (PNG, JPEG, GIF, BMP, PGM or PPM), a form with one, or JSON with its pixels or with the \
            model's input. Where nothing is on the picture, the answer has blank: true and no class.")
        .Produces<Prediction>(200)
    |> work
    |> withParameters queries
    |> body
        [ "image/*", binary
          "multipart/form-data", object [ "file", binary ]
          "application/json", object [ "pixels", pixels; "input", input ] ]
    |> ignore

let describeModels (route: RouteHandlerBuilder) =
    route
        .WithTags("training")
        .WithSummary("Weights that a browser trained, as an ordinary model")
        .WithDescription("The body is the parameters of LeNet-5 in order, little-endian floats. The engine and ONNX Runtime must agree on \
            the model; the newest eight are kept.")
        .Produces<TrainedModel>(200)
    |> work
    |> body [ "application/octet-stream", binary ]
    |> ignore

/// Adds the document.
let add (services: IServiceCollection) =
    services.AddOpenApi(fun options ->
        options.AddDocumentTransformer(fun document _ _ ->
            document.Info.Title <- "OnnxLeNet"
            document.Info.Version <- "1"
            document.Info.Description <- "What pictures show, by a model that runs in the engine and in ONNX Runtime."
            document.Servers <- null
            Task.CompletedTask)
        |> ignore
        // What may be missing is null, not a schema of F#'s.
        let isOption (kind: Type) = kind.IsGenericType && kind.GetGenericTypeDefinition() = typedefof<option<_>>
        options.CreateSchemaReferenceId <-
            fun info -> if isOption info.Type then null else OpenApiOptions.CreateDefaultSchemaReferenceId info
        options.AddSchemaTransformer(fun schema context _ ->
            if isOption context.JsonTypeInfo.Type && schema.Type.HasValue then
                schema.Type <- Nullable(schema.Type.Value ||| JsonSchemaType.Null)
            Task.CompletedTask)
        |> ignore)
    |> ignore
