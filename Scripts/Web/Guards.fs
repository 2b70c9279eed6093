/// What stands before every route: who may ask, how much, how often and how long, and how errors are told.
module OnnxLeNet.Scripts.Web.Guards

open System
open System.IO
open System.Threading.RateLimiting
open System.Threading.Tasks
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Diagnostics
open Microsoft.AspNetCore
open Microsoft.AspNetCore.Http
open Microsoft.AspNetCore.RateLimiting
open Microsoft.AspNetCore.Server.Kestrel.Core
open OnnxLeNet.Numerics

type Limits =
    {
        /// Connections that are open at once: a further one is closed.
        Connections: int64
        /// The most bytes of a request's body: 413 beyond.
        Body: int64
        /// The most bytes of the bodies of all requests at once: 503 beyond.
        Bodies: int64
        /// Requests for work per second, and how many may come at once after a pause: 429 beyond.
        Rate: int
        Burst: int
        /// Predictions that wait while others compute: 503 beyond.
        Waiting: int
        /// Models from the browser that wait: each is compared with ONNX Runtime on all test images.
        WaitingModels: int
        /// A body slower than so many bytes a second after the grace, or a head that takes longer than it: 408.
        SlowestBody: float
        Grace: TimeSpan
        /// A request takes at most so long: 503 beyond.
        Timeout: TimeSpan
    }

let usual =
    { Connections = 2000L
      Body = 16L <<< 20
      Bodies = 128L <<< 20
      Rate = 200
      Burst = 400
      Waiting = 256
      WaitingModels = 4
      SlowestBody = 1024.0
      Grace = TimeSpan.FromSeconds 5.0
      Timeout = TimeSpan.FromSeconds 60.0 }

/// An error as application/problem+json (RFC 9457).
let problem (status: int) (detail: string) : IResult = Results.Problem(detail = DisplayText.Message detail, statusCode = status)

let private refuse (context: HttpContext) status detail = (problem status detail).ExecuteAsync context

/// Kestrel's own limits.
let apply (limits: Limits) (kestrel: KestrelServerLimits) =
    kestrel.MaxConcurrentConnections <- limits.Connections
    kestrel.MaxRequestBodySize <- limits.Body
    kestrel.MinRequestBodyDataRate <- MinDataRate(limits.SlowestBody, limits.Grace)
    kestrel.RequestHeadersTimeout <- limits.Grace

/// How often work may be asked for; what is read from memory may be read at any rate.
let limitRate (limits: Limits) (options: RateLimiterOptions) =
    let bucket _ =
        TokenBucketRateLimiterOptions(
            TokenLimit = limits.Burst,
            TokensPerPeriod = max 1 (limits.Rate / 10),
            ReplenishmentPeriod = TimeSpan.FromMilliseconds 100.0
        )
    options.GlobalLimiter <-
        PartitionedRateLimiter.Create<HttpContext, string>(fun context ->
            if HttpMethods.IsPost context.Request.Method then
                RateLimitPartition.GetTokenBucketLimiter("work", bucket)
            else
                RateLimitPartition.GetNoLimiter "read")
    options.OnRejected <-
        Func<_, _, _>(fun rejected _ ->
            rejected.HttpContext.Response.Headers.RetryAfter <- "1"
            ValueTask(
                refuse
                    rejected.HttpContext
                    429
                    $"too many requests: {limits.Rate} a second are answered, after a pause {limits.Burst} at once; try again later"
            ))

/// Work of which only so much goes on at once: what is too much waits, and more than may wait is refused. A body is read before, so that
/// a slow one holds nobody up.
type Turnstile(atOnce: int, waiting: int) =
    let limiter = new ConcurrencyLimiter(ConcurrencyLimiterOptions(PermitLimit = atOnce, QueueLimit = waiting))

    member _.Run(context: HttpContext, work: unit -> IResult) : Task<IResult> =
        task {
            use! lease = limiter.AcquireAsync(1, context.RequestAborted)
            if lease.IsAcquired then
                return work ()
            else
                context.Response.Headers.RetryAfter <- "1"
                return problem 503 $"{waiting} requests are waiting already: try again later"
        }

/// A page from elsewhere must not ask, under this machine's name or another (DNS rebinding): Host and Origin are ours, and a browser says
/// that the page is, whatever it asks for. A link from elsewhere may lead here: what it opens is ours alone.
let requireOurs (port: unit -> int) =
    Func<HttpContext, RequestDelegate, Task>(fun context next ->
        let headers = context.Request.Headers
        let hosts = [ $"127.0.0.1:{port ()}"; $"localhost:{port ()}" ]
        let origin, site = string headers.Origin, string headers["Sec-Fetch-Site"]
        let isLink =
            HttpMethods.IsGet context.Request.Method
            && string headers["Sec-Fetch-Mode"] = "navigate"
            && string headers["Sec-Fetch-Dest"] = "document"
        if not (List.contains context.Request.Host.Value hosts) then
            refuse context 403 $"the host '{context.Request.Host}' is not answered here: http://{hosts[0]} is"
        elif origin <> "" && not (hosts |> List.exists (fun host -> origin = $"http://{host}")) then
            refuse context 403 $"a page of '{origin}' may not ask here"
        elif not (List.contains site [ ""; "same-origin"; "none" ] || isLink) then
            refuse context 403 $"a page of another site may not ask here (Sec-Fetch-Site: {site})"
        else
            next.Invoke context)

/// Nothing that a page runs, reads or sends is from or for elsewhere, and no script or style stands in it.
let private policy =
    String.Join(
        "; ",
        [ "default-src 'none'"
          "script-src 'self' 'wasm-unsafe-eval'"
          "worker-src 'self'"
          "style-src 'self'"
          "img-src 'self' data: blob:"
          "connect-src 'self'"
          "base-uri 'none'"
          "form-action 'none'"
          "frame-ancestors 'none'" ]
    )

let protect =
    Func<HttpContext, RequestDelegate, Task>(fun context next ->
        let headers = context.Response.Headers
        headers.ContentSecurityPolicy <- policy
        headers.XContentTypeOptions <- "nosniff"
        headers.CacheControl <- "no-cache"
        headers["Referrer-Policy"] <- "no-referrer"
        headers["Cross-Origin-Resource-Policy"] <- "same-origin"
        headers["Cross-Origin-Opener-Policy"] <- "same-origin"
        headers["Cross-Origin-Embedder-Policy"] <- "require-corp"
        headers["Permissions-Policy"] <- "camera=(self), microphone=(), geolocation=()"
        next.Invoke context)

/// What the router refuses, as an answer.
let tellStatus =
    Func<StatusCodeContext, Task>(fun answer ->
        let context = answer.HttpContext
        let detail =
            match context.Response.StatusCode with
            | 404 -> $"there is no {context.Request.Path} here; /openapi.json tells what there is"
            | 405 -> $"{context.Request.Method} is not answered here: {context.Response.Headers.Allow} is"
            | status -> $"the request was refused with {status}"
        refuse context context.Response.StatusCode detail)

/// What a route throws, as an answer. The server stays up.
let tellErrors (limits: Limits) =
    Func<HttpContext, RequestDelegate, Task>(fun context next ->
        task {
            let! failure =
                task {
                    try
                        do! next.Invoke context
                        return None
                    with
                    | :? Http.BadHttpRequestException as e when e.StatusCode = 413 ->
                        return Some(413, $"a body of more than {limits.Body >>> 20} MiB is not read")
                    | :? Http.BadHttpRequestException as e when e.StatusCode = 408 ->
                        return Some(408, $"the body came too slowly: at least {limits.SlowestBody} bytes a second are expected")
                    | :? Http.BadHttpRequestException as e -> return Some(e.StatusCode, e.Message)
                    | :? MissingPartException
                    | :? Requests.NoRoomException as e ->
                        context.Response.Headers.RetryAfter <- "1"
                        return Some(503, e.Message)
                    | :? OnnxLeNetException
                    | :? InvalidDataException as e -> return Some(400, e.Message)
                    | :? OutOfMemoryException -> return Some(503, "there is not enough memory for this request")
                    | :? OperationCanceledException when context.RequestAborted.IsCancellationRequested -> return None
                    | :? IOException
                    | :? UnauthorizedAccessException as e -> return Some(500, e.Message)
                }
            match failure with
            | Some(status, detail) when not context.Response.HasStarted -> do! refuse context status detail
            | _ -> ()
        })
