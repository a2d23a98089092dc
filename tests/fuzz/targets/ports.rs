//! What the ports of the laptop accept: requests that a web page may have sent, and exports of traces.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use laptop::emulators::{fuzzing, programs_only};
use laptop::proof::FaultProfile;
use tower_service::Service;
use usagectl::laptop::local::fuzzing::ControlPort;
use usagectl::laptop::traces;

/// A request as HTTP/1.1 writes it, without the version: `METHOD URL`, headers, an empty line, and the body.
fn request(data: &[u8]) -> Option<Request<Body>> {
    let (mut line, mut rest) = cut(data);
    let end = line.iter().position(|byte| *byte == b' ')?;
    let (method, uri) = (Method::from_bytes(&line[..end]).ok()?, Uri::try_from(&line[end + 1..]).ok()?);
    let mut request = Request::new(Body::empty());
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    loop {
        (line, rest) = cut(rest);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    *request.body_mut() = Body::from(rest.to_vec());
    Some(request)
}

/// The first line, and what follows it.
fn cut(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

/// The response, which doesn't need to wait for anything.
fn answer(routes: &Router, request: Request<Body>) -> Response<Body> {
    let mut routes = routes.clone();
    match pin!(routes.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("the response waits"),
    }
}

/// The first header with this name, as far as it is text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// A request to a service, from a program or from a page.
pub(crate) fn service_port(data: &[u8]) {
    static SERVICE: LazyLock<Router> = LazyLock::new(|| programs_only(Router::new().fallback(async || "answered")));
    let Some(request) = request(data) else { return };
    let headers = request.headers();
    let is_of_page =
        headers.contains_key(header::ORIGIN) || text(headers, "sec-fetch-site").is_some_and(|site| site != "none");
    let host = text(headers, "host").or_else(|| request.uri().authority().map(|host| host.as_str())).map(str::to_owned);
    let is_accepted = answer(&SERVICE, request).status() == StatusCode::OK;
    let host = host.as_deref();
    assert!(!is_accepted || !is_of_page, "a page was answered");
    assert!(!is_accepted || host.is_none_or(cannot_be_rebound), "{host:?} was answered");
    let is_address =
        |host: &str| host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
    assert!(is_accepted || is_of_page || !host.is_some_and(|host| is_address(host) && !host.contains('%')), "{host:?}");
}

/// Whether DNS has no part in where a host leads: it is an address or a name of this machine. No top-level domain is a number.
fn cannot_be_rebound(host: &str) -> bool {
    let host =
        host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host).to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let is_own = ["localhost", "host.docker.internal", "host.containers.internal"].contains(&&*host);
    is_own || last == "localhost" || is_number || host.contains(':')
}

const PORT: u16 = 8_080;
const TOKEN: &str = "5f0c";

/// A request to the control port of a local run.
pub(crate) fn control_port(data: &[u8]) {
    static RUN: LazyLock<Option<ControlPort>> = LazyLock::new(|| ControlPort::new(PORT, TOKEN).ok());
    let (Some(run), Some(request)) = (&*RUN, request(data)) else { return };
    run.reset();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_allowed = may_ask(&method, &path, request.headers());
    let has_token = text(request.headers(), "x-usagectl-token") == Some(TOKEN);
    let status = answer(&run.routes, request).status();
    assert!(status.as_u16() < 500, "{status}");
    assert_eq!(is_allowed, status != StatusCode::FORBIDDEN, "{method} {path}");
    let faults = run.faults();
    let has_changed = run.is_stopped() || faults.to_string() != "none";
    assert!(is_allowed && !matches!(method, Method::GET | Method::HEAD) || !has_changed, "{method} {path}");
    assert!(has_token || !has_changed || ["/faults", "/stop"].contains(&&*path), "{method} {path}");
    assert_eq!(faults.to_string().parse::<FaultProfile>(), Ok(faults));
}

/// Who may send a request: the page of the run with its token, and programs, but not to the routes of the page.
fn may_ask(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let host = text(headers, "host").unwrap_or_default();
    let origin = text(headers, "origin");
    let is_here = [format!("127.0.0.1:{PORT}"), format!("localhost:{PORT}")].iter().any(|own| own == host);
    let is_own_page = origin.is_some_and(|origin| origin.strip_prefix("http://") == Some(host));
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    let is_from_elsewhere = !["same-origin", "none"].contains(&text(headers, "sec-fetch-site").unwrap_or("none"));
    let needs_token = changes && (origin.is_some() || path.starts_with("/page/"));
    is_here
        && (origin.is_none() || is_own_page)
        && !(changes && is_from_elsewhere)
        && (!needs_token || text(headers, "x-usagectl-token") == Some(TOKEN))
}

/// A request to DynamoDB: the header that names the operation, and the body on the lines after it.
pub(crate) fn dynamodb_request(data: &[u8]) {
    static DATABASE: LazyLock<Result<fuzzing::DynamoDb, String>> =
        LazyLock::new(|| fuzzing::DynamoDb::open().map_err(|error| format!("{error:#}")));
    let database = DATABASE.as_ref().unwrap_or_else(|error| panic!("open the database: {error}"));
    let (target, body) = cut(data);
    let (status, answer) = database.answer(target, body);
    assert!((200..500).contains(&status), "the status is {status}: {answer}");
}

/// The URL of a request to S3.
pub(crate) fn s3_url(data: &[u8]) {
    let Ok(url) = Uri::try_from(data) else { return };
    let unsigned = fuzzing::s3_url(&url);
    assert_eq!((url.path(), url.authority()), (unsigned.path(), unsigned.authority()));
    let names = |url: &Uri| -> Vec<String> {
        let parameters = url.query().unwrap_or_default().split('&').filter(|text| !text.is_empty());
        parameters.map(|text| text.split('=').next().unwrap_or_default().to_owned()).collect()
    };
    let is_of_signature = |name: &String| SIGNATURE.contains(&&**name);
    let others: Vec<String> = names(&url).into_iter().filter(|name| !is_of_signature(name)).collect();
    assert_eq!(names(&unsigned), others, "{url}");
}

/// The parameters of a signature in a URL.
const SIGNATURE: [&str; 9] = [
    "AWSAccessKeyId",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// An export of traces.
pub(crate) fn traces_export(data: &[u8]) {
    let printed = traces::fuzzing::printed(data);
    assert_eq!(
        printed.as_ref().map(|traces| traces.iter().map(|trace| trace.spans).sum::<usize>()),
        traces::fuzzing::spans(data)
    );
    for trace in printed.iter().flatten() {
        assert!(trace.lines.len() > trace.spans, "{:?}", trace.lines);
        for line in &trace.lines {
            assert!(line.chars().count() <= 80 && !line.chars().any(char::is_control), "{line:?}");
        }
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&trace.json).is_ok(), "{}", trace.json);
    }
}
